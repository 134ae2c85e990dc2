//! What is late or grows: networks that have not been read for long, dead letters that come fast.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use queue::admin::QueueStats;
use store::{Transaction, upkeep};

use super::set;
use crate::job::Context;

/// Raises and settles `sync-late:*`; gives how many troubles began. A network that was never asked is not expected.
pub(super) async fn networks(context: &Context, transaction: &Transaction<'_>) -> anyhow::Result<u32> {
    let settings = &context.settings;
    let standing: BTreeMap<_, _> = upkeep::sync_standing(transaction).await?.into_iter().collect();
    let mut begun = 0;
    for network in &settings.networks {
        let Some(read_up_to) = standing.get(network.slug()) else { continue };
        let age = context.now - *read_up_to;
        let title = format!("{network} is read late");
        let detail = format!(
            "Its transactions are known up to {} h ago. The console's page of pulls says why; its page of queues, whether cashback-sync works.",
            age.num_hours()
        );
        let late = age > TimeDelta::hours(settings.watch.sync_late_hours);
        let trouble = late.then_some((title.as_str(), detail.as_str()));
        begun += set(transaction, settings, &format!("sync-late:{network}"), trouble).await?;
    }
    Ok(begun)
}

/// Raises and settles `dead-letters-grow:*`; gives how many troubles began.
pub(super) async fn dead_letters(
    context: &Context,
    transaction: &Transaction<'_>,
    queues: &[QueueStats],
) -> anyhow::Result<u32> {
    let settings = &context.settings;
    let hour_ago = context.now - TimeDelta::hours(1);
    let before: BTreeMap<_, _> = upkeep::dead_before(transaction, hour_ago).await?.into_iter().collect();
    let mut begun = 0;
    for stats in queues {
        let Some(then) = before.get(stats.queue.name()) else { continue };
        let more = stats.dead.saturating_sub(u64::try_from(*then).unwrap_or(0));
        let title = format!("Dead letters come fast in {}", stats.queue);
        let detail =
            format!("{more} jobs of queue {} failed for good within an hour. Look at their reasons.", stats.queue);
        let trouble = (more > settings.watch.dead_letters_an_hour).then_some((title.as_str(), detail.as_str()));
        begun += set(transaction, settings, &format!("dead-letters-grow:{}", stats.queue), trouble).await?;
    }
    Ok(begun)
}
