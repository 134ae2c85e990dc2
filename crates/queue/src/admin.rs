//! What an operator sees and steers: depths, workers, dead letters, pause and resume.

use domain::clock::{Clock, SystemClock};
use domain::job::Queue;
use kv::{Kv, KvError, keys, redis, tried};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};

use crate::envelope::{Envelope, Failure};
pub use crate::lease::Heartbeat;
use crate::scripts::REPLAY;

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
    /// Since when the job at the head waits, in seconds, if its producer wrote a time.
    pub oldest_age_s: Option<i64>,
    /// Counters since the beginning: done, retried, deferred, dead, expired, `handed_on`, refused, replayed.
    pub counts: std::collections::BTreeMap<String, u64>,
}

/// What the pipeline of [`stats`] answers, in its order.
type Answer = (u64, u64, u64, u64, u64, bool, std::collections::BTreeMap<String, u64>, Option<Vec<u8>>, Vec<String>);

/// How `queue` stands.
pub async fn stats(kv: &Kv, queue: Queue) -> Result<QueueStats, KvError> {
    let part = |part: &str| keys::of_queue(queue, part);
    let mut redis = kv.commands();
    let (waiting, urgent, delayed, suspects, dead, paused, counts, head, leases): Answer = redis::pipe()
        .llen(keys::ready(queue))
        .llen(keys::urgent(queue))
        .zcard(part("delayed"))
        .llen(part("suspects"))
        .hlen(part("dead"))
        .exists(part("paused"))
        .hgetall(part("counts"))
        .lindex(keys::ready(queue), 0)
        .zrange(part("leases"), 0, -1)
        .query_async(&mut redis)
        .await
        .map_err(tried("reading a queue's state"))?;
    let mut in_flight = 0;
    if !leases.is_empty() {
        let mut pipe = redis::pipe();
        for lease in &leases {
            pipe.hlen(part(&format!("inflight:{lease}")));
        }
        let each: Vec<u64> = pipe.query_async(&mut redis).await.map_err(tried("counting jobs in hand"))?;
        in_flight = each.iter().sum();
    }
    let oldest_age_s = head
        .as_deref()
        .and_then(|body| Envelope::parse(body).ok()?.enqueued_at)
        .map(|time| (SystemClock.now() - time).num_seconds());
    Ok(QueueStats { queue, waiting, urgent, in_flight, delayed, suspects, dead, paused, oldest_age_s, counts })
}

/// The sign of life of every worker that lives.
pub async fn workers(kv: &Kv) -> Result<Vec<Heartbeat>, KvError> {
    let mut redis = kv.commands();
    let mut found = Vec::new();
    let mut cursor = 0_u64;
    loop {
        let (next, names): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(keys::HEARTBEATS)
            .arg("COUNT")
            .arg(500)
            .query_async(&mut redis)
            .await
            .map_err(tried("looking for workers"))?;
        if !names.is_empty() {
            let texts: Vec<Option<String>> = redis.mget(&names).await.map_err(tried("reading signs of life"))?;
            found.extend(texts.into_iter().flatten().filter_map(|text| serde_json::from_str::<Heartbeat>(&text).ok()));
        }
        cursor = next;
        if cursor == 0 {
            found.sort_by(|a, b| (&a.service, a.id).cmp(&(&b.service, b.id)));
            found.dedup_by_key(|heartbeat| heartbeat.id);
            return Ok(found);
        }
    }
}

/// Stops claiming from `queue`, for the reason shown to people.
pub async fn pause(kv: &Kv, queue: Queue, reason: &str) -> Result<(), KvError> {
    kv.commands().set(keys::of_queue(queue, "paused"), reason).await.map_err(tried("pausing a queue"))
}

/// Claims again.
pub async fn resume(kv: &Kv, queue: Queue) -> Result<(), KvError> {
    kv.commands().del(keys::of_queue(queue, "paused")).await.map_err(tried("resuming a queue"))
}

/// The first `limit` elements that wait, as they are.
pub async fn peek(kv: &Kv, queue: Queue, limit: u16) -> Result<Vec<Vec<u8>>, KvError> {
    let last = isize::try_from(limit).unwrap_or(isize::MAX) - 1;
    kv.commands().lrange(keys::ready(queue), 0, last).await.map_err(tried("peeking into a queue"))
}

/// A dead letter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its id in the store of dead letters: the job's.
    #[serde(default)]
    pub id: String,
    /// The exact bytes, as text or (where they are no text) as numbers. They may hold personal data and secrets.
    pub body: serde_json::Value,
    /// Why it died: unreadable, unknown-kind, unknown-version, failed, attempts-used-up, crashed.
    pub reason: String,
    /// The chain of causes.
    pub error: String,
    /// The job's kind, if it could be read.
    #[serde(default)]
    pub kind: String,
    /// How often it was tried.
    #[serde(default)]
    pub attempt: u32,
    /// When it died, in milliseconds since the epoch.
    pub died_at: i64,
    /// What went wrong before.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// The trace that caused it.
    #[serde(default)]
    pub traceparent: Option<String>,
}

impl DeadLetter {
    fn parse(id: String, record: &[u8]) -> Self {
        let text = String::from_utf8_lossy(record);
        let mut letter = serde_json::from_str(&text).unwrap_or_else(|error| Self {
            id: String::new(),
            body: text.clone().into(),
            reason: "unreadable".to_owned(),
            error: format!("the record itself cannot be read: {error}"),
            kind: String::new(),
            attempt: 0,
            died_at: 0,
            failures: Vec::new(),
            traceparent: None,
        });
        letter.id = id;
        letter
    }

    /// The exact bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match &self.body {
            serde_json::Value::String(text) => text.clone().into_bytes(),
            other => serde_json::from_value(other.clone()).unwrap_or_default(),
        }
    }
}

/// Dead letters, the newest first.
pub async fn dead_letters(kv: &Kv, queue: Queue, skip: u32, limit: u16) -> Result<Vec<DeadLetter>, KvError> {
    let mut redis = kv.commands();
    let first = isize::try_from(skip).unwrap_or(isize::MAX);
    let last = first.saturating_add(isize::try_from(limit).unwrap_or(isize::MAX)) - 1;
    let ids: Vec<String> = redis
        .zrevrange(keys::of_queue(queue, "dead_times"), first, last)
        .await
        .map_err(tried("listing dead letters"))?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let records: Vec<Option<Vec<u8>>> = redis::cmd("HMGET")
        .arg(keys::of_queue(queue, "dead"))
        .arg(&ids)
        .query_async(&mut redis)
        .await
        .map_err(tried("reading dead letters"))?;
    Ok(ids.into_iter().zip(records).filter_map(|(id, record)| Some(DeadLetter::parse(id, &record?))).collect())
}

/// One dead letter.
pub async fn dead_letter(kv: &Kv, queue: Queue, id: &str) -> Result<Option<DeadLetter>, KvError> {
    let record: Option<Vec<u8>> =
        kv.commands().hget(keys::of_queue(queue, "dead"), id).await.map_err(tried("reading a dead letter"))?;
    Ok(record.map(|record| DeadLetter::parse(id.to_owned(), &record)))
}

/// Puts a dead job back on its list with its attempts forgotten; `false` when there is none.
pub async fn replay(kv: &Kv, queue: Queue, id: &str) -> Result<bool, KvError> {
    let Some(letter) = dead_letter(kv, queue, id).await? else { return Ok(false) };
    let bytes = letter.bytes();
    let body = match Envelope::parse(&bytes) {
        Ok(mut envelope) => {
            envelope.attempt = 0;
            envelope.not_after = None;
            envelope.to_bytes().unwrap_or_else(|_as_it_was| bytes.clone())
        }
        Err(_as_it_was) => bytes.clone(),
    };
    let replayed: i64 = REPLAY
        .key(keys::of_queue(queue, "dead"))
        .key(keys::of_queue(queue, "dead_times"))
        .key(keys::ready(queue))
        .key(keys::of_queue(queue, "counts"))
        .arg(id)
        .arg(body)
        .invoke_async(&mut kv.commands())
        .await
        .map_err(tried("replaying a dead letter"))?;
    Ok(replayed == 1)
}

/// Deletes a dead letter; `false` when there is none.
pub async fn delete(kv: &Kv, queue: Queue, id: &str) -> Result<bool, KvError> {
    let (deleted, _): (i64, i64) = redis::pipe()
        .atomic()
        .hdel(keys::of_queue(queue, "dead"), id)
        .zrem(keys::of_queue(queue, "dead_times"), id)
        .query_async(&mut kv.commands())
        .await
        .map_err(tried("deleting a dead letter"))?;
    Ok(deleted == 1)
}
