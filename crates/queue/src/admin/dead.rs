//! Dead letters: what could not be done, with its exact bytes and why.

use chrono::{DateTime, Utc};
use domain::job::Queue;
use kv::{Kv, KvError, redis, tried};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};

use crate::envelope::{Failure, Replay};
use crate::layout::Layout;
use crate::scripts::{CALL_LIMIT, DELETE, call, run};

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
    /// When it was pushed, if its producer said so.
    #[serde(default)]
    pub enqueued_at: Option<DateTime<Utc>>,
    /// What went wrong before, with times.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// When and by whom it was replayed before.
    #[serde(default)]
    pub replays: Vec<Replay>,
    /// The trace that caused it.
    #[serde(default)]
    pub traceparent: Option<String>,
    /// What it belongs to.
    #[serde(default)]
    pub correlation_id: Option<String>,
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
            enqueued_at: None,
            failures: Vec::new(),
            replays: Vec::new(),
            traceparent: None,
            correlation_id: None,
        });
        letter.id = id;
        letter
    }

    /// The job's exact bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match &self.body {
            serde_json::Value::String(text) => text.clone().into_bytes(),
            other => serde_json::from_value(other.clone()).unwrap_or_default(),
        }
    }
}

/// Which dead letters are meant. Conditions that are set must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadFilter {
    /// Of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// With this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// With this text, in any case, in the id, the body, the error, the correlation or the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// That died at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// That died at this time or earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<DateTime<Utc>>,
}

impl DeadFilter {
    /// Whether `letter` is meant.
    #[must_use]
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let has = |needle: &str| {
            let texts =
                [&letter.id, &letter.error].into_iter().chain(&letter.correlation_id).chain(&letter.traceparent);
            let body = String::from_utf8_lossy(&letter.bytes()).to_lowercase();
            body.contains(needle) || texts.into_iter().any(|text| text.to_lowercase().contains(needle))
        };
        is(&self.kind, &letter.kind)
            && is(&self.reason, &letter.reason)
            && self.from.is_none_or(|from| letter.died_at >= from.timestamp_millis())
            && self.to.is_none_or(|to| letter.died_at <= to.timestamp_millis())
            && self.text.as_deref().is_none_or(|text| has(&text.to_lowercase()))
    }
}

/// Where a search goes on. Deaths and replays in between neither repeat nor hide a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    died_at: i64,
    /// How many of exactly that time were seen.
    seen: u32,
}

impl Cursor {
    /// The same place when all that was seen there has been removed.
    pub(super) fn after_removal(self) -> Self {
        Self { seen: 0, ..self }
    }
}

/// Some dead letters, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Page {
    /// The letters.
    pub letters: Vec<DeadLetter>,
    /// Where to go on; `None` at the end. There can be more although this page is not full: a call looks at 5,000 at most.
    pub next: Option<Cursor>,
}

/// How many letters one search looks at.
const LOOK_LIMIT: usize = 5_000;

/// The dead letters that `filter` means, the newest first, up to `limit` from `cursor` on.
pub async fn search(
    kv: &Kv,
    queue: Queue,
    filter: &DeadFilter,
    cursor: Option<&Cursor>,
    limit: u16,
) -> Result<Page, KvError> {
    let mut letters = Vec::new();
    let start = Cursor { died_at: filter.to.map_or(i64::MAX, |to| to.timestamp_millis()), seen: 0 };
    let mut place = cursor.cloned().unwrap_or(start);
    let mut looked = 0;
    while looked < LOOK_LIMIT {
        let chunk = chunk(kv, queue, filter, &place).await?;
        let ended = chunk.len() < CALL_LIMIT;
        looked += chunk.len();
        for (died_at, letter) in chunk {
            let seen = if died_at == place.died_at { place.seen + 1 } else { 1 };
            place = Cursor { died_at, seen };
            if let Some(letter) = letter.filter(|letter| filter.matches(letter)) {
                letters.push(letter);
                if letters.len() >= usize::from(limit) {
                    return Ok(Page { letters, next: Some(place) });
                }
            }
        }
        if ended {
            return Ok(Page { letters, next: None });
        }
    }
    Ok(Page { letters, next: Some(place) })
}

/// Up to 500 letters from `place` on with their times of death; `None` for one that is replayed or deleted meanwhile.
async fn chunk(
    kv: &Kv,
    queue: Queue,
    filter: &DeadFilter,
    place: &Cursor,
) -> Result<Vec<(i64, Option<DeadLetter>)>, KvError> {
    let layout = Layout::new(queue, kv.mode());
    let mut redis = kv.commands();
    let oldest = filter.from.map_or_else(|| "-inf".to_owned(), |from| from.timestamp_millis().to_string());
    let newest = if place.died_at == i64::MAX { "+inf".to_owned() } else { place.died_at.to_string() };
    let ids: Vec<(String, i64)> = redis::cmd("ZREVRANGEBYSCORE")
        .arg(&layout.dead_times)
        .arg(newest)
        .arg(oldest)
        .arg("WITHSCORES")
        .arg("LIMIT")
        .arg(place.seen)
        .arg(CALL_LIMIT)
        .query_async(&mut redis)
        .await
        .map_err(tried("listing dead letters"))?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut read = redis::cmd("HMGET");
    read.arg(&layout.dead);
    ids.iter().for_each(|(id, _)| {
        read.arg(id);
    });
    let records: Vec<Option<Vec<u8>>> = read.query_async(&mut redis).await.map_err(tried("reading dead letters"))?;
    let letters = ids
        .into_iter()
        .zip(records)
        .map(|((id, died_at), record)| (died_at, record.map(|record| DeadLetter::parse(id, &record))));
    Ok(letters.collect())
}

/// Dead letters, the newest first, by place: for pages with numbers. [`search`] is what follows a changing list.
pub async fn dead_letters(kv: &Kv, queue: Queue, skip: u32, limit: u16) -> Result<Vec<DeadLetter>, KvError> {
    let layout = Layout::new(queue, kv.mode());
    let mut redis = kv.commands();
    let first = isize::try_from(skip).unwrap_or(isize::MAX);
    let last = first.saturating_add(isize::try_from(limit).unwrap_or(isize::MAX)) - 1;
    let ids: Vec<String> =
        redis.zrevrange(&layout.dead_times, first, last).await.map_err(tried("listing dead letters"))?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut read = redis::cmd("HMGET");
    let records: Vec<Option<Vec<u8>>> =
        read.arg(&layout.dead).arg(&ids).query_async(&mut redis).await.map_err(tried("reading dead letters"))?;
    Ok(ids.into_iter().zip(records).filter_map(|(id, record)| Some(DeadLetter::parse(id, &record?))).collect())
}

/// One dead letter.
pub async fn dead_letter(kv: &Kv, queue: Queue, id: &str) -> Result<Option<DeadLetter>, KvError> {
    let layout = Layout::new(queue, kv.mode());
    let record: Option<Vec<u8>> = kv.commands().hget(&layout.dead, id).await.map_err(tried("reading a dead letter"))?;
    Ok(record.map(|record| DeadLetter::parse(id.to_owned(), &record)))
}

/// How many dead letters `filter` means: the dry run of a replay.
pub async fn count(kv: &Kv, queue: Queue, filter: &DeadFilter) -> Result<u64, KvError> {
    let mut found = 0;
    export(kv, queue, filter, |_letter| found += 1).await?;
    Ok(found)
}

/// Shows every dead letter that `filter` means to `see`, the newest first: for exports of any form.
pub async fn export(
    kv: &Kv,
    queue: Queue,
    filter: &DeadFilter,
    mut see: impl FnMut(&DeadLetter),
) -> Result<(), KvError> {
    let mut cursor = None;
    loop {
        let page = search(kv, queue, filter, cursor.as_ref(), u16::MAX).await?;
        page.letters.iter().for_each(&mut see);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

/// Deletes a dead letter; `false` when there is none.
pub async fn delete(kv: &Kv, queue: Queue, id: &str) -> Result<bool, KvError> {
    let layout = Layout::new(queue, kv.mode());
    let mut cmd = call(&DELETE, &[&layout.dead, &layout.dead_times, &layout.counts]);
    cmd.arg(id);
    let deleted: i64 = run(&mut kv.commands(), &DELETE, &cmd).await.map_err(tried("deleting a dead letter"))?;
    Ok(deleted == 1)
}
