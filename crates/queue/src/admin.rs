//! What an operator sees and steers: depths, workers, charts, dead letters, pause and resume.

mod dead;
mod minutes;
mod replay;

use domain::clock::{Clock, SystemClock};
use domain::job::Queue;
use kv::{Kv, KvError, keys, redis, tried};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};

pub use self::dead::{Cursor, DeadFilter, DeadLetter, Page, count, dead_letter, dead_letters, delete, export, search};
pub use self::minutes::{Minute, minutes};
pub use self::replay::{ReplayRun, ReplayState, abort_replay, replay, replay_runs, start_replay};
pub use crate::census::{Census, census};
use crate::envelope::Envelope;
pub use crate::heartbeat::Heartbeat;
use crate::layout::Layout;

/// How a queue stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueStats {
    /// The queue.
    pub queue: Queue,
    /// Jobs on the ordinary list.
    pub waiting: u64,
    /// Jobs in the fast lane.
    pub urgent: u64,
    /// Jobs in hand.
    pub in_flight: u64,
    /// Jobs that wait for their time.
    pub delayed: u64,
    /// Jobs that were in hand when a worker died, waiting to run alone.
    pub suspects: u64,
    /// Dead letters.
    pub dead: u64,
    /// Whether it is paused.
    pub paused: bool,
    /// Why, if it is.
    pub pause_reason: Option<String>,
    /// Since when most of the fleet fails, if it does, in milliseconds since the epoch.
    pub outage_since: Option<i64>,
    /// Since when the job at the head waits, in seconds, if its producer wrote a time.
    pub oldest_age_s: Option<i64>,
    /// Jobs that are not where they should be: see [`Census::unaccounted`].
    pub unaccounted: i64,
    /// Counters since the beginning: see [`Census::counts`].
    pub counts: std::collections::BTreeMap<String, u64>,
}

/// How `queue` stands.
pub async fn stats(kv: &Kv, queue: Queue) -> Result<QueueStats, KvError> {
    let layout = Layout::new(queue, kv.mode());
    let census = census(kv, queue).await?;
    let (pause_reason, outage_since, head): (Option<String>, Option<i64>, Option<Vec<u8>>) = redis::pipe()
        .get(&layout.paused)
        .hget(&layout.outcomes, "since")
        .lindex(&layout.ready, 0)
        .query_async(&mut kv.commands())
        .await
        .map_err(tried("reading a queue's state"))?;
    let oldest_age_s = head
        .as_deref()
        .and_then(|body| Envelope::parse(body).ok()?.enqueued_at)
        .map(|time| (SystemClock.now() - time).num_seconds());
    Ok(QueueStats {
        queue,
        waiting: census.waiting,
        urgent: census.urgent,
        in_flight: census.in_flight,
        delayed: census.delayed,
        suspects: census.suspects,
        dead: census.dead,
        paused: pause_reason.is_some(),
        pause_reason,
        outage_since,
        oldest_age_s,
        unaccounted: census.unaccounted(),
        counts: census.counts,
    })
}

/// The sign of life of every worker that lives.
pub async fn workers(kv: &Kv) -> Result<Vec<Heartbeat>, KvError> {
    let mut redis = kv.commands();
    let ids: Vec<String> = redis.zrange(keys::WORKERS, 0, -1).await.map_err(tried("listing workers"))?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let Ok(id) = id.parse() else { continue };
        let text: Option<String> = redis.get(keys::heartbeat(id)).await.map_err(tried("reading a sign of life"))?;
        found.extend(text.and_then(|text| serde_json::from_str::<Heartbeat>(&text).ok()));
    }
    found.sort_by(|a, b| (&a.service, a.id).cmp(&(&b.service, b.id)));
    Ok(found)
}

/// Stops claiming from `queue`, for the reason shown to people. Jobs in hand run on.
pub async fn pause(kv: &Kv, queue: Queue, reason: &str) -> Result<(), KvError> {
    kv.commands().set(Layout::new(queue, kv.mode()).paused, reason).await.map_err(tried("pausing a queue"))
}

/// Claims again.
pub async fn resume(kv: &Kv, queue: Queue) -> Result<(), KvError> {
    kv.commands().del(Layout::new(queue, kv.mode()).paused).await.map_err(tried("resuming a queue"))
}

/// The first `limit` elements that wait, as they are.
pub async fn peek(kv: &Kv, queue: Queue, limit: u16) -> Result<Vec<Vec<u8>>, KvError> {
    let last = isize::try_from(limit).unwrap_or(isize::MAX) - 1;
    kv.commands().lrange(keys::ready(queue), 0, last).await.map_err(tried("peeking into a queue"))
}

/// Jobs that wait for their time, the next first: when they are due (milliseconds since the epoch), and as they are.
pub async fn delayed(kv: &Kv, queue: Queue, skip: u32, limit: u16) -> Result<Vec<(i64, Vec<u8>)>, KvError> {
    let layout = Layout::new(queue, kv.mode());
    let first = isize::try_from(skip).unwrap_or(isize::MAX);
    let last = first.saturating_add(isize::try_from(limit).unwrap_or(isize::MAX)) - 1;
    let members: Vec<(Vec<u8>, i64)> = kv
        .commands()
        .zrange_withscores(&layout.delayed, first, last)
        .await
        .map_err(tried("listing jobs that wait for their time"))?;
    // Before the body stands the mark of its list.
    Ok(members.into_iter().map(|(member, due)| (due, member.get(1..).unwrap_or_default().to_vec())).collect())
}

/// Notes on the last jobs that came too late to run, the newest first.
pub async fn expired(kv: &Kv, queue: Queue, limit: u16) -> Result<Vec<String>, KvError> {
    let last = isize::try_from(limit).unwrap_or(isize::MAX) - 1;
    let layout = Layout::new(queue, kv.mode());
    kv.commands().lrange(&layout.expired, 0, last).await.map_err(tried("listing expired jobs"))
}
