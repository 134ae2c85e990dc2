//! Taking jobs back from the dead letters: one, or all that a filter means, at a rate, in the background.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::clock::{Clock, SystemClock};
use domain::ids::JobId;
use domain::job::Queue;
use kv::{Kv, KvError, keys, redis, tried};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::dead::{DeadFilter, DeadLetter, dead_letter, search};
use crate::envelope::{Envelope, Replay};
use crate::layout::Layout;
use crate::scripts::{REPLAY, call, run};

/// How many replays one call writes.
const BATCH: usize = 100;
/// How many replays a job remembers.
const REPLAYS_KEPT: usize = 20;
/// How long a run is remembered, in seconds.
const RUN_KEPT: u64 = 86_400;

/// Puts a dead job back on its list with its attempts forgotten; `false` when there is none. What it was replayed by and
/// when goes with it. It can be done again when it dies again.
pub async fn replay(kv: &Kv, queue: Queue, id: &str, by: &str) -> Result<bool, KvError> {
    let Some(letter) = dead_letter(kv, queue, id).await? else { return Ok(false) };
    Ok(put_back(kv, queue, &[letter], by).await? == 1)
}

/// Puts letters back. Gives how many were still there.
async fn put_back(kv: &Kv, queue: Queue, letters: &[DeadLetter], by: &str) -> Result<u64, KvError> {
    let layout = Layout::new(queue, kv.mode());
    let now = SystemClock.now();
    let minute = layout.this_minute();
    let mut cmd =
        call(&REPLAY, &[&layout.dead, &layout.dead_times, &layout.ready, &layout.counts, &minute, &layout.replays]);
    for letter in letters {
        let note = serde_json::json!({"id": letter.id, "kind": letter.kind, "at": now, "by": by}).to_string();
        cmd.arg(&letter.id).arg(fresh(&letter.bytes(), now, by)).arg(note);
    }
    run(&mut kv.commands(), &REPLAY, &cmd).await.map_err(tried("replaying dead letters"))
}

/// The job with its attempts forgotten. What could not be read goes as it is.
fn fresh(bytes: &[u8], now: DateTime<Utc>, by: &str) -> Vec<u8> {
    let Ok(mut envelope) = Envelope::parse(bytes) else { return bytes.to_vec() };
    envelope.attempt = 0;
    envelope.not_before = None;
    envelope.not_after = None;
    envelope.replays.push(Replay { at: now, by: by.to_owned() });
    let forgotten = envelope.replays.len().saturating_sub(REPLAYS_KEPT);
    envelope.replays.drain(..forgotten);
    envelope.to_bytes().unwrap_or_else(|_as_it_was| bytes.to_vec())
}

/// How a replay of many stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayState {
    /// It goes on. When `updated_at` is old, its process has died: whoever holds the run may [`ReplayRun::drive`] it on, since what
    /// was replayed is not dead any more.
    Running,
    /// All that was meant is replayed.
    Done,
    /// Somebody stopped it.
    Aborted,
}

/// A replay of many.
#[expect(
    clippy::unsafe_derive_deserialize,
    reason = "the lint means the code that async macros expand to; no unsafe is ours"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayRun {
    /// Its id.
    pub id: String,
    /// The queue.
    pub queue: Queue,
    /// Which letters.
    pub filter: DeadFilter,
    /// Jobs a second.
    pub per_second: u32,
    /// Who started it.
    pub by: String,
    /// How it stands.
    pub state: ReplayState,
    /// Jobs replayed so far.
    pub replayed: u64,
    /// When it began. What dies later is not meant.
    pub started_at: DateTime<Utc>,
    /// When it last moved.
    pub updated_at: DateTime<Utc>,
}

fn run_key(queue: Queue, id: &str) -> String {
    keys::of_queue(queue, format_args!("replay:{id}"))
}

fn runs_key(queue: Queue) -> String {
    keys::of_queue(queue, "replay_runs")
}

/// Prepares a replay of all that `filter` means and that is dead by now; [`ReplayRun::drive`] does it.
pub async fn start_replay(
    kv: &Kv,
    queue: Queue,
    filter: DeadFilter,
    per_second: u32,
    by: &str,
) -> Result<ReplayRun, KvError> {
    let now = SystemClock.now();
    let mut run = ReplayRun {
        id: JobId::generate().to_string(),
        queue,
        filter: DeadFilter { to: Some(filter.to.map_or(now, |to| to.min(now))), ..filter },
        per_second: per_second.max(1),
        by: by.to_owned(),
        state: ReplayState::Running,
        replayed: 0,
        started_at: now,
        updated_at: now,
    };
    run.write(kv).await?;
    redis::pipe()
        .lpush(runs_key(queue), &run.id)
        .ltrim(runs_key(queue), 0, 19)
        .exec_async(&mut kv.commands())
        .await
        .map_err(tried("noting a replay"))?;
    Ok(run)
}

/// The last twenty replays of many, the newest first, as far as they are remembered (a day).
pub async fn replay_runs(kv: &Kv, queue: Queue) -> Result<Vec<ReplayRun>, KvError> {
    let mut redis = kv.commands();
    let ids: Vec<String> = redis.lrange(runs_key(queue), 0, 19).await.map_err(tried("listing replays"))?;
    let mut runs = Vec::with_capacity(ids.len());
    for id in ids {
        let (text, aborted): (Option<String>, bool) = redis::pipe()
            .get(run_key(queue, &id))
            .exists(abort_key(queue, &id))
            .query_async(&mut redis)
            .await
            .map_err(tried("reading a replay"))?;
        let Some(mut run) = text.and_then(|text| serde_json::from_str::<ReplayRun>(&text).ok()) else { continue };
        if aborted && run.state == ReplayState::Running {
            run.state = ReplayState::Aborted;
        }
        runs.push(run);
    }
    Ok(runs)
}

fn abort_key(queue: Queue, id: &str) -> String {
    keys::of_queue(queue, format_args!("replay_abort:{id}"))
}

/// Stops a replay of many within a second; what is replayed stays replayed.
pub async fn abort_replay(kv: &Kv, queue: Queue, id: &str) -> Result<(), KvError> {
    kv.commands().set_ex(abort_key(queue, id), 1, RUN_KEPT).await.map_err(tried("aborting a replay"))
}

impl ReplayRun {
    /// Replays at the set rate until all is done, somebody aborts it, or `shutdown`. Run it on a task of its own.
    pub async fn drive(mut self, kv: &Kv, shutdown: &CancellationToken) -> Result<Self, KvError> {
        let (begin, before) = (tokio::time::Instant::now(), self.replayed);
        let at_once = usize::try_from(self.per_second).unwrap_or(BATCH).clamp(1, BATCH);
        let mut cursor = None;
        loop {
            let page =
                search(kv, self.queue, &self.filter, cursor.as_ref(), u16::try_from(at_once).unwrap_or(1)).await?;
            let aborted: bool =
                kv.commands().exists(abort_key(self.queue, &self.id)).await.map_err(tried("reading a replay"))?;
            if aborted || shutdown.is_cancelled() {
                self.state = ReplayState::Aborted;
                self.write(kv).await?;
                return Ok(self);
            }
            if !page.letters.is_empty() {
                self.replayed += put_back(kv, self.queue, &page.letters, &self.by).await?;
                self.write(kv).await?;
                let due = Duration::from_secs_f64(rated(self.replayed - before, self.per_second));
                tokio::select! { () = tokio::time::sleep_until(begin + due) => {}, () = shutdown.cancelled() => {} }
            }
            match page.next {
                // What was replayed is gone from its place, so the place itself is where to go on.
                Some(next) if !page.letters.is_empty() => cursor = Some(next.after_removal()),
                Some(next) => cursor = Some(next),
                None => {
                    self.state = ReplayState::Done;
                    self.write(kv).await?;
                    return Ok(self);
                }
            }
        }
    }

    async fn write(&mut self, kv: &Kv) -> Result<(), KvError> {
        self.updated_at = SystemClock.now();
        let text = serde_json::to_string(self).unwrap_or_default();
        kv.commands().set_ex(run_key(self.queue, &self.id), text, RUN_KEPT).await.map_err(tried("noting a replay"))
    }
}

/// How many seconds `count` jobs take at `per_second`.
fn rated(count: u64, per_second: u32) -> f64 {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    f64::from(count) / f64::from(per_second.max(1))
}
