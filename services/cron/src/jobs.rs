//! Every job: one file and one line each.

pub(crate) mod clean_logs;
pub(crate) mod clean_spool;
mod ensure_partitions;
mod expire_offers;
mod expire_sessions;
mod remind_pending;
mod requeue_stale_webhooks;
pub(crate) mod sitemap;
mod sweep_outbox;
mod sync_inventory;
mod sync_networks;
mod verify_wallets;
mod worker_watch;

use std::collections::BTreeMap;

use chrono_tz::Tz;

use crate::job::CronJob;
use crate::schedule::Schedule;
use crate::scheduler::Entry;

/// Every job there is.
fn all() -> Vec<Box<dyn CronJob>> {
    vec![
        Box::new(worker_watch::WorkerWatch),
        Box::new(sweep_outbox::SweepOutbox),
        Box::new(requeue_stale_webhooks::RequeueStaleWebhooks),
        Box::new(expire_sessions::ExpireSessions),
        Box::new(sync_inventory::SyncInventory),
        Box::new(ensure_partitions::EnsurePartitions),
        Box::new(expire_offers::ExpireOffers),
        Box::new(sync_networks::SINCE_LAST_TIME),
        Box::new(sync_networks::LAST_MONTH),
        Box::new(sync_networks::LAST_QUARTER),
        Box::new(verify_wallets::VerifyWallets),
        Box::new(clean_spool::CleanSpool),
        Box::new(sitemap::Sitemap),
        Box::new(remind_pending::RemindPending),
        Box::new(clean_logs::CleanLogs),
    ]
}

/// The jobs with their schedules: the built-in ones, or those that differ, by job name. Else all that is wrong with these.
pub(crate) fn entries(differing: &BTreeMap<String, String>, zone: Tz) -> Result<Vec<Entry>, Vec<String>> {
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    let mut unknown = differing.clone();
    for job in all() {
        let plan = job.plan();
        let other = unknown.remove(job.name());
        let text = other.as_deref().unwrap_or(plan.schedule);
        if text == "never" {
            continue;
        }
        match Schedule::parse(text, plan.zone.unwrap_or(zone), plan.gap, plan.fold) {
            Ok(schedule) => entries.push(Entry { job, plan, schedule }),
            Err(error) => problems.push(format!("CRON_SCHEDULE_{}: {error}", job.name().to_uppercase())),
        }
    }
    problems.extend(unknown.keys().map(|name| format!("CRON_SCHEDULE_{}: there is no such job", name.to_uppercase())));
    if problems.is_empty() { Ok(entries) } else { Err(problems) }
}
