//! Services without a sign of life, among them those that never gave one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use store::{Transaction, cron_runs, upkeep};

use crate::alarm;
use crate::job::{Context, CronJob as _};

/// Raises and settles `service-gone:*`; gives how many troubles began.
pub(super) async fn look(
    context: &Context,
    transaction: &Transaction<'_>,
    alive: &BTreeMap<&str, (i32, DateTime<Utc>)>,
) -> anyhow::Result<u32> {
    for (service, (workers, beat)) in alive {
        upkeep::note_service(transaction, service, *workers, *beat).await?;
    }
    let mut last_beats: BTreeMap<String, Option<DateTime<Utc>>> =
        context.settings.watch.expected_services.iter().map(|service| (service.clone(), None)).collect();
    for (service, _, last_beat) in upkeep::services(transaction).await? {
        last_beats.insert(service, Some(last_beat));
    }
    // Who never gave a sign has been silent since we began to look.
    let name = super::WorkerWatch.name();
    let standing = cron_runs::standing(transaction).await?;
    let known_since = standing.iter().find(|standing| standing.job == name).map(|standing| standing.known_since);
    let mut begun = 0;
    for (service, last_beat) in last_beats {
        let key = format!("service-gone:{service}");
        if alive.contains_key(service.as_str()) {
            alarm::settle(transaction, &context.settings, &key).await?;
            continue;
        }
        let Some(since) = last_beat.or(known_since) else { continue };
        let silent = (context.now - since).num_seconds();
        if silent > context.settings.watch.service_gone_s {
            let title = format!("No process of {service} is alive");
            let detail = match last_beat {
                Some(_) => format!("The last sign of life came {} min ago. What it does is not done.", silent / 60),
                None => format!("It never gave a sign of life; it is looked for since {} min.", silent / 60),
            };
            begun += u32::from(alarm::raise(transaction, &context.settings, &key, &title, &detail).await?);
        }
    }
    Ok(begun)
}
