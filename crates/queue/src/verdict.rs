//! What becomes of a job after its handler decided: the one place that counts, waits, buries and logs.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::{Clock, SystemClock};
use domain::job::RetryPolicy;
use rand::Rng;
use serde::Serialize;

use crate::envelope::{Envelope, FAILURES_KEPT, Failure, Replay};
use crate::execute::Claimed;
use crate::handler::{JobError, Outcome};
use crate::kinds::Kind;
use crate::layout::Lane;

/// How a claimed job ended.
#[derive(Debug)]
pub(crate) enum End {
    Done,
    /// Redis must be told more than that it is done.
    Settle(Settlement),
    /// It was not finished and stays in hand until the lease is given up.
    Left,
}

/// What to write about one job: the arguments of `settle.lua`.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) what: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) score: i64,
    pub(crate) id: String,
}

/// What tells whether failures are the job's own.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Climate {
    /// Most of the fleet fails, or the queue's circuit is open: tries are not counted, nothing is buried for them.
    pub(crate) outage: bool,
}

/// Turns a handler's decision into an end, and logs it.
pub(crate) fn conclude(
    kind: &Kind,
    claimed: &Claimed,
    envelope: &Envelope<'_>,
    outcome: Outcome,
    climate: Climate,
) -> (End, &'static str) {
    let now = SystemClock.now();
    let attempt = envelope.attempt.saturating_add(1);
    let lane = claimed.claim.lane;
    match outcome {
        Ok(()) => (End::Done, "done"),
        Err(JobError::Defer(wait, error)) => {
            tracing::info!(error.chain = chain(&error), wait_ms = millis(wait), "job deferred");
            (later(envelope, lane, wait, now, "deferred"), "deferred")
        }
        Err(JobError::Fail(error) | JobError::Retry(error) | JobError::RetryAfter(_, error)) if climate.outage => {
            let wait = Duration::from_millis(rand::rng().random_range(5_000..15_000));
            tracing::warn!(error.chain = chain(&error), wait_ms = millis(wait), "job failed in an outage, not counted");
            (later(envelope, lane, wait, now, "held"), "held")
        }
        Err(JobError::Fail(error)) => bury(claimed, Some(envelope), "failed", &chain(&error), now),
        Err(JobError::Retry(error)) => again(kind, claimed, envelope, &error, backoff(kind.retry, attempt), now),
        Err(JobError::RetryAfter(wait, error)) => again(kind, claimed, envelope, &error, wait, now),
    }
}

/// Counts a failed try; buries the job when it was the last.
fn again(
    kind: &Kind,
    claimed: &Claimed,
    envelope: &Envelope<'_>,
    error: &anyhow::Error,
    wait: Duration,
    now: DateTime<Utc>,
) -> (End, &'static str) {
    let text = chain(error);
    let attempt = envelope.attempt.saturating_add(1);
    if attempt >= envelope.max_attempts.unwrap_or(kind.retry.max_attempts) {
        return bury(claimed, Some(envelope), "attempts-used-up", &text, now);
    }
    tracing::warn!(error.chain = text, wait_ms = millis(wait), "job failed, it will be tried again");
    let mut next = envelope.again();
    next.attempt = attempt;
    next.not_before = None;
    next.failures.push(Failure { at: now, error: text });
    let forgotten = next.failures.len().saturating_sub(FAILURES_KEPT);
    next.failures.drain(..forgotten);
    (later(&next, claimed.claim.lane, wait, now, "retried"), "retried")
}

fn later(envelope: &Envelope<'_>, lane: Lane, wait: Duration, now: DateTime<Utc>, what: &'static str) -> End {
    let due = TimeDelta::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait)).unwrap_or(now);
    let body = envelope.to_bytes().unwrap_or_default();
    let bytes = marked(lane, &body);
    End::Settle(Settlement { what, bytes, score: due.timestamp_millis(), id: String::new() })
}

/// A body with the mark that says to which list it goes when due.
pub(crate) fn marked(lane: Lane, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 1);
    bytes.push(lane.mark());
    bytes.extend_from_slice(body);
    bytes
}

/// Back to its list as it came.
pub(crate) fn give_back(body: Vec<u8>) -> Settlement {
    Settlement { what: "returned", bytes: body, score: 0, id: String::new() }
}

/// It came too early: it waits as it is.
pub(crate) fn postpone(claimed: &Claimed, until: DateTime<Utc>) -> (End, &'static str) {
    let bytes = marked(claimed.claim.lane, &claimed.body);
    let settlement = Settlement { what: "deferred", bytes, score: until.timestamp_millis(), id: String::new() };
    (End::Settle(settlement), "deferred")
}

/// It came too late: dropped, with a note.
pub(crate) fn expire(envelope: &Envelope<'_>, now: DateTime<Utc>) -> (End, &'static str) {
    let note = serde_json::json!({
        "id": envelope.id, "kind": envelope.kind, "not_after": envelope.not_after, "expired_at": now,
    });
    tracing::info!(job.id = %envelope.id, job.kind = %envelope.kind, "job expired before it could run");
    let bytes = note.to_string().into_bytes();
    (End::Settle(Settlement { what: "expired", bytes, score: 0, id: String::new() }), "expired")
}

/// Full jitter: evenly from nothing to the exponential bound.
fn backoff(policy: RetryPolicy, attempt: u32) -> Duration {
    let bound = policy.base.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1).min(30))).min(policy.cap);
    Duration::from_millis(rand::rng().random_range(0..=millis(bound)))
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An error with its causes, short enough to be kept.
fn chain(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    match text.char_indices().nth(1_000) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

/// A dead letter as it lies in Redis.
#[derive(Serialize)]
struct Record<'a> {
    body: Exact<'a>,
    reason: &'a str,
    error: &'a str,
    kind: &'a str,
    attempt: u32,
    died_at: i64,
    enqueued_at: Option<DateTime<Utc>>,
    failures: &'a [Failure],
    replays: &'a [Replay],
    traceparent: Option<&'a str>,
    correlation_id: Option<&'a str>,
}

/// The exact bytes: as text where they are text, as numbers where they are not.
#[derive(Serialize)]
#[serde(untagged)]
enum Exact<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// To the dead letters.
pub(crate) fn bury(
    claimed: &Claimed,
    envelope: Option<&Envelope<'_>>,
    reason: &'static str,
    error: &str,
    now: DateTime<Utc>,
) -> (End, &'static str) {
    let id = envelope.map_or_else(domain::ids::JobId::generate, |envelope| envelope.id).to_string();
    let kind = envelope.map_or("", |envelope| envelope.kind.as_ref());
    tracing::error!(job.id = id, job.kind = kind, reason, error.chain = error, "job is a dead letter");
    let record = Record {
        body: std::str::from_utf8(&claimed.body).map_or(Exact::Bytes(&claimed.body), Exact::Text),
        reason,
        error,
        kind,
        attempt: envelope.map_or(0, |envelope| envelope.attempt.saturating_add(1)),
        died_at: now.timestamp_millis(),
        enqueued_at: envelope.and_then(|envelope| envelope.enqueued_at),
        failures: envelope.map_or(&[], |envelope| &envelope.failures),
        replays: envelope.map_or(&[], |envelope| &envelope.replays),
        traceparent: envelope.and_then(|envelope| envelope.traceparent.as_deref()),
        correlation_id: envelope.and_then(|envelope| envelope.correlation_id.as_deref()),
    };
    let bytes = serde_json::to_vec(&record).unwrap_or_default();
    (End::Settle(Settlement { what: "dead", bytes, score: now.timestamp_millis(), id }), "dead")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_no_further() {
        let policy = RetryPolicy { max_attempts: 9, base: Duration::from_millis(100), cap: Duration::from_millis(350) };
        for attempt in 1..40 {
            let bound = [100, 200, 350].get(usize::try_from(attempt).unwrap() - 1).copied().unwrap_or(350);
            let longest = (0..200).map(|_| millis(backoff(policy, attempt))).max().unwrap();
            assert!(longest <= bound && longest > bound / 2, "attempt {attempt}: {longest} of {bound}");
        }
    }

    #[test]
    fn long_errors_are_cut_between_characters() {
        let text = chain(&anyhow::anyhow!("é".repeat(3_000)));
        assert_eq!(text.chars().count(), 1_001);
    }
}
