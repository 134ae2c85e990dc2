//! Hears what changes in the catalogue, and has it forgotten.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::{Clock, SystemClock};
use store::{Pool, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::resolve::Catalogue;

/// A load that began before a change may end, and be cached, after it; none takes this long.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// How far before the last change that is forgotten everywhere changes are looked for: clocks differ, transactions last.
const OVERLAP: TimeDelta = TimeDelta::minutes(6);
const RETRY: Duration = Duration::from_secs(1);

/// Listens until `end`. While the connection is broken, entries are served for their time; afterwards everything that
/// changed meanwhile is looked up again. So is what Redis did not forget, being away itself.
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
                tracing::warn!(
                    error.chain = telemetry::chain(&error),
                    "changes of the catalogue are not heard; caches hold for their time only"
                );
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
    // When Redis is asked again to forget what changed, if it did not when it was asked: it would serve it for minutes.
    let mut behind = again_unless(look_back(pool, catalogue, *heard_until).await?);
    tracing::info!("listening for changes of the catalogue");
    let mut again: VecDeque<(Instant, String)> = VecDeque::new();
    loop {
        let due = again.front().map(|(due, _)| *due);
        tokio::select! {
            notification = listener.next() => {
                let Some(notification) = notification else { return Ok(()) };
                let now = SystemClock.now();
                behind = behind.or(again_unless(forget(pool, catalogue, &notification.payload).await?));
                if behind.is_none() {
                    *heard_until = now;
                }
                again.push_back((Instant::now() + SECOND_LOOK, notification.payload));
            }
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if let Some((_, change)) = again.pop_front() {
                    behind = behind.or(again_unless(forget(pool, catalogue, &change).await?));
                }
            }
            () = tokio::time::sleep_until(behind.unwrap_or_else(Instant::now)), if behind.is_some() => {
                let now = SystemClock.now();
                let is_done = !catalogue.is_cut_off() && look_back(pool, catalogue, *heard_until).await?;
                behind = again_unless(is_done);
                if is_done {
                    *heard_until = now;
                    tracing::info!("Redis has forgotten what changed while it was away");
                }
            }
        }
    }
}

/// When to try again.
fn again_unless(is_done: bool) -> Option<Instant> {
    if is_done { None } else { Some(Instant::now() + SECOND_LOOK) }
}

/// Has everything that changed since about `heard_until` looked up again; says whether Redis has forgotten it.
async fn look_back(pool: &Pool, catalogue: &Catalogue, heard_until: DateTime<Utc>) -> Result<bool, StoreError> {
    let since = heard_until.checked_sub_signed(OVERLAP).unwrap_or(heard_until);
    let client = pool.get().await?;
    let offers = store::catalogue::offers_changed_since(&client, since).await?;
    let merchants = store::catalogue::merchants_changed_since(&client, since).await?;
    drop(client);
    let (offers, merchants) = (catalogue.doubt_offers(&offers).await, catalogue.doubt_merchants(&merchants).await);
    Ok(offers && merchants)
}

/// Has a change forgotten; says whether Redis has forgotten it too.
async fn forget(pool: &Pool, catalogue: &Catalogue, change: &str) -> Result<bool, StoreError> {
    let (kind, id) = change.split_once(':').unwrap_or((change, ""));
    Ok(match (kind, id.parse(), id.parse()) {
        ("offer", Ok(offer), _) => catalogue.forget_offer(offer).await,
        ("merchant", _, Ok(merchant)) => catalogue.forget_merchant(merchant).await,
        ("all", _, _) => {
            catalogue.forget_all();
            // Redis holds entries by their ids; the rows say which ones.
            look_back(pool, catalogue, SystemClock.now()).await?
        }
        _ => {
            tracing::warn!(change, "a change of the catalogue that is not understood");
            true
        }
    })
}
