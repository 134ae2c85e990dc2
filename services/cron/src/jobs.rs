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

use anyhow::Context as _;

use crate::job::CronJob;
use crate::schedule::Schedule;
use crate::scheduler::Entry;
use crate::settings::Settings;

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

/// The jobs with their schedules, as the settings have them.
pub(crate) fn entries(settings: &Settings) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut differing = settings.schedules.clone();
    for job in all() {
        let plan = job.plan();
        let other = differing.remove(job.name());
        let text = other.as_deref().unwrap_or(plan.schedule);
        if text == "never" {
            continue;
        }
        let zone = plan.zone.unwrap_or(settings.zone);
        let schedule = Schedule::parse(text, zone, plan.gap, plan.fold)
            .with_context(|| format!("the schedule of {} cannot be used", job.name()))?;
        entries.push(Entry { job, plan, schedule });
    }
    if let Some(unknown) = differing.into_keys().next() {
        anyhow::bail!("CRON_SCHEDULE_{} is for a job that does not exist", unknown.to_uppercase());
    }
    Ok(entries)
}
