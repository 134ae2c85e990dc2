//! Hears what changes in the catalogue, and has it forgotten.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::{Clock, SystemClock};
use store::{Pool, StoreError};
use tokio_util::sync::CancellationToken;

use crate::resolve::Catalogue;

/// A load that began before a change may end, and be cached, after it; none takes this long.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// How far before the end of the last connection changes are looked for: clocks differ, transactions last.
const OVERLAP: TimeDelta = TimeDelta::minutes(6);
const RETRY: Duration = Duration::from_secs(1);

/// Listens until `end`. While the connection is broken, entries are served for their time; afterwards everything that
/// changed meanwhile is looked up again.
pub(crate) async fn follow(pool: Pool, catalogue: Catalogue, end: CancellationToken) {
    // Entries in Redis may be older than this process, so the first look goes back as well.
    let mut heard_until = SystemClock.now();
    let mut told = false;
    while !end.is_cancelled() {
        let outcome = tokio::select! {
            () = end.cancelled() => return,
            outcome = listen(&pool, &catalogue, &mut heard_until) => outcome,
        };
        match outcome {
            Err(error) if !told => {
                tracing::warn!(error.chain = telemetry::chain(&error), "changes of the catalogue are not heard; caches hold for their time only");
                told = true;
            }
            Err(_told) => {}
            Ok(()) => told = false,
        }
        tokio::select! {
            () = end.cancelled() => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

async fn listen(pool: &Pool, catalogue: &Catalogue, heard_until: &mut DateTime<Utc>) -> Result<(), StoreError> {
    let mut listener = pool.listen(&[store::catalogue::CHANNEL]).await?;
    let since = heard_until.checked_sub_signed(OVERLAP).unwrap_or(*heard_until);
    look_back(pool, catalogue, since).await?;
    tracing::info!("listening for changes of the catalogue");
    let mut again: VecDeque<(tokio::time::Instant, String)> = VecDeque::new();
    loop {
        let due = again.front().map(|(due, _)| *due);
        tokio::select! {
            notification = listener.next() => {
                let Some(notification) = notification else { return Ok(()) };
                *heard_until = SystemClock.now();
                forget(pool, catalogue, &notification.payload).await?;
                again.push_back((tokio::time::Instant::now() + SECOND_LOOK, notification.payload));
            }
            () = tokio::time::sleep_until(due.unwrap_or_else(tokio::time::Instant::now)), if due.is_some() => {
                if let Some((_, change)) = again.pop_front() {
                    forget(pool, catalogue, &change).await?;
                }
            }
        }
    }
}

/// Has everything that changed at or after `since` looked up again.
async fn look_back(pool: &Pool, catalogue: &Catalogue, since: DateTime<Utc>) -> Result<(), StoreError> {
    let client = pool.get().await?;
    catalogue.doubt_offers(&store::catalogue::offers_changed_since(&client, since).await?).await;
    catalogue.doubt_merchants(&store::catalogue::merchants_changed_since(&client, since).await?).await;
    Ok(())
}

async fn forget(pool: &Pool, catalogue: &Catalogue, change: &str) -> Result<(), StoreError> {
    let (kind, id) = change.split_once(':').unwrap_or((change, ""));
    match (kind, id.parse(), id.parse()) {
        ("offer", Ok(offer), _) => catalogue.forget_offer(offer).await,
        ("merchant", _, Ok(merchant)) => catalogue.forget_merchant(merchant).await,
        ("all", _, _) => {
            catalogue.forget_all();
            // Redis holds entries by their ids; the rows say which ones.
            let now = SystemClock.now();
            look_back(pool, catalogue, now.checked_sub_signed(OVERLAP).unwrap_or(now)).await?;
        }
        _ => tracing::warn!(change, "a change of the catalogue that is not understood"),
    }
    Ok(())
}
