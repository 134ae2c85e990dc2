//! Running one job, and turning what came of it into a verdict.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::{Clock, SystemClock};
use domain::job::{Job, RetryPolicy};
use futures_util::FutureExt;
use rand::Rng;
use serde::Serialize;
use tracing::Instrument;

use crate::envelope::{Envelope, Failure};
use crate::handler::{BatchHandler, BatchPolicy, Handler, JobContext, JobError, Outcome};

/// A claimed element: its claim number and its exact bytes.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) seq: u64,
    pub(crate) body: Vec<u8>,
}

/// What becomes of a claimed job.
#[derive(Debug)]
pub(crate) enum Verdict {
    Done,
    /// Back on the list when due; the body is the new envelope. `counted` says whether it was an attempt.
    Later {
        body: Vec<u8>,
        due_ms: i64,
        counted: bool,
    },
    Dead {
        id: String,
        record: Vec<u8>,
    },
    Expired {
        note: Vec<u8>,
    },
}

/// A finished job on its way to be settled.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) seq: u64,
    pub(crate) kind: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) verdict: Verdict,
}

type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;
type Decoded = Result<Running, serde_json::Error>;
type Start = dyn Fn(&str, JobContext) -> Decoded + Send + Sync;
type RunningBatch<'a> = Pin<Box<dyn Future<Output = Vec<Result<Outcome, serde_json::Error>>> + Send + 'a>>;

/// What the worker knows of a kind.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    version: u32,
    retry: RetryPolicy,
    timeout: Duration,
    pub(crate) run: Run,
}

/// One at a time, or in batches.
pub(crate) enum Run {
    One(Box<Start>),
    Many(BatchPolicy, Arc<dyn ErasedBatch>),
}

/// A batch handler with its payload type forgotten.
pub(crate) trait ErasedBatch: Send + Sync {
    /// Runs what decodes; `Err` stands at the places of what does not.
    fn run<'a>(&'a self, jobs: Vec<(&'a str, JobContext)>) -> RunningBatch<'a>;
}

struct Batch<J, H>(H, std::marker::PhantomData<fn() -> J>);

impl<J: Job, H: BatchHandler<J>> ErasedBatch for Batch<J, H> {
    fn run<'a>(&'a self, jobs: Vec<(&'a str, JobContext)>) -> RunningBatch<'a> {
        let mut decoded = Vec::with_capacity(jobs.len());
        let places: Vec<Result<(), serde_json::Error>> = jobs
            .into_iter()
            .map(|(payload, context)| serde_json::from_str::<J>(payload).map(|job| decoded.push((job, context))))
            .collect();
        async move {
            let count = decoded.len();
            let mut outcomes = if count == 0 { Vec::new() } else { self.0.handle(decoded).await };
            // A handler that answers for fewer jobs than it got has not said what became of the rest.
            outcomes.resize_with(count, || Err(JobError::Retry(anyhow::anyhow!("the batch handler gave no outcome"))));
            let mut outcomes = outcomes.into_iter();
            let unanswered = || Err(JobError::Retry(anyhow::anyhow!("the batch handler gave no outcome")));
            places.into_iter().map(|place| place.map(|()| outcomes.next().unwrap_or_else(unanswered))).collect()
        }
        .boxed()
    }
}

impl Kind {
    pub(crate) fn one<J: Job, H: Handler<J>>(handler: H) -> Self {
        let handler = Arc::new(handler);
        let run = move |payload: &str, context: JobContext| -> Decoded {
            let job = serde_json::from_str::<J>(payload)?;
            let handler = handler.clone();
            Ok(Box::pin(async move { handler.handle(job, context).await }))
        };
        Self::new::<J>(Run::One(Box::new(run)))
    }

    pub(crate) fn many<J: Job, H: BatchHandler<J>>(handler: H, policy: BatchPolicy) -> Self {
        Self::new::<J>(Run::Many(policy, Arc::new(Batch::<J, H>(handler, std::marker::PhantomData))))
    }

    fn new<J: Job>(run: Run) -> Self {
        Self { name: J::KIND, version: J::VERSION, retry: J::RETRY, timeout: J::TIMEOUT, run }
    }
}

/// The kinds of one queue.
pub(crate) type Kinds = HashMap<&'static str, Kind>;

/// What is decided before a handler sees the job: `Ok` to run it.
fn admit<'k>(
    kinds: &'k Kinds,
    envelope: &Envelope<'_>,
    claimed: &Claimed,
    now: DateTime<Utc>,
) -> Result<&'k Kind, Finished> {
    let Some(kind) = kinds.get(envelope.kind.as_ref()) else {
        let reason = format!("no handler for kind {:?} here", envelope.kind.chars().take(64).collect::<String>());
        return Err(bury("unknown", claimed, Some(envelope), "unknown-kind", &reason, now));
    };
    let version = envelope.v.unwrap_or(1);
    if version > kind.version {
        let reason = format!("version {version} of {} is newer than version {} known here", kind.name, kind.version);
        return Err(bury(kind.name, claimed, Some(envelope), "unknown-version", &reason, now));
    }
    if envelope.not_after.is_some_and(|limit| limit < now) {
        let note = serde_json::json!({"id": envelope.id, "kind": kind.name, "not_after": envelope.not_after, "expired_at": now});
        let verdict = Verdict::Expired { note: note.to_string().into_bytes() };
        return Err(Finished { seq: claimed.seq, kind: kind.name, outcome: "expired", verdict });
    }
    if let Some(time) = envelope.not_before.filter(|time| *time > now) {
        let verdict = Verdict::Later { body: claimed.body.clone(), due_ms: time.timestamp_millis(), counted: false };
        return Err(Finished { seq: claimed.seq, kind: kind.name, outcome: "deferred", verdict });
    }
    Ok(kind)
}

fn context(kind: &Kind, envelope: &Envelope<'_>) -> JobContext {
    JobContext {
        id: envelope.id,
        attempt: envelope.attempt.saturating_add(1),
        max_attempts: envelope.max_attempts.unwrap_or(kind.retry.max_attempts).max(1),
        enqueued_at: envelope.enqueued_at,
        correlation_id: envelope.correlation_id.as_deref().map(str::to_owned),
        traceparent: envelope.traceparent.as_deref().map(str::to_owned),
    }
}

/// Runs one claimed job to its verdict. It never panics and never takes longer than the kind's time-out.
pub(crate) async fn run_one(kinds: Arc<Kinds>, claimed: Claimed) -> Finished {
    let envelope = match Envelope::parse(&claimed.body) {
        Ok(envelope) => envelope,
        Err(error) => return bury("unknown", &claimed, None, "unreadable", &error.to_string(), SystemClock.now()),
    };
    let kind = match admit(&kinds, &envelope, &claimed, SystemClock.now()) {
        Ok(kind) => kind,
        Err(finished) => return finished,
    };
    let Run::One(run) = &kind.run else {
        return bury(kind.name, &claimed, Some(&envelope), "unreadable", "a batch kind ran alone", SystemClock.now());
    };
    let running = match run(envelope.payload.get(), context(kind, &envelope)) {
        Ok(running) => running,
        Err(error) => {
            let reason = format!("the payload of {} cannot be read: {error}", kind.name);
            return bury(kind.name, &claimed, Some(&envelope), "unreadable", &reason, SystemClock.now());
        }
    };
    let span =
        tracing::info_span!("job", job.id = %envelope.id, job.kind = kind.name, job.attempt = envelope.attempt + 1);
    if let Some(traceparent) = &envelope.traceparent {
        telemetry::propagation::set_parent(&span, traceparent);
    }
    let outcome = guarded(kind, running).instrument(span.clone()).await;
    span.in_scope(|| conclude(kind, &claimed, &envelope, outcome))
}

/// Runs a batch of one kind to its verdicts.
pub(crate) async fn run_many(kinds: Arc<Kinds>, claimed: Vec<Claimed>) -> Vec<Finished> {
    let now = SystemClock.now();
    let mut finished = Vec::with_capacity(claimed.len());
    let mut admitted: Vec<(&Claimed, Envelope<'_>, &Kind)> = Vec::with_capacity(claimed.len());
    for job in &claimed {
        match Envelope::parse(&job.body) {
            Err(error) => finished.push(bury("unknown", job, None, "unreadable", &error.to_string(), now)),
            Ok(envelope) => match admit(&kinds, &envelope, job, now) {
                Err(done) => finished.push(done),
                Ok(kind) => admitted.push((job, envelope, kind)),
            },
        }
    }
    let Some((_, _, kind)) = admitted.first() else { return finished };
    let Run::Many(_, batch) = &kind.run else { return finished };
    let jobs = admitted.iter().map(|(_, envelope, kind)| (envelope.payload.get(), context(kind, envelope))).collect();
    let span = tracing::info_span!("jobs", job.kind = kind.name, jobs = admitted.len());
    let work = AssertUnwindSafe(tokio::time::timeout(kind.timeout, batch.run(jobs)))
        .catch_unwind()
        .instrument(span.clone())
        .await;
    let _entered = span.enter();
    let mut outcomes = match work {
        Ok(Ok(outcomes)) => outcomes.into_iter().map(Some).collect(),
        Ok(Err(_)) | Err(_) => vec![],
    };
    outcomes.resize_with(admitted.len(), || None);
    for ((job, envelope, kind), outcome) in admitted.iter().zip(outcomes) {
        finished.push(match outcome {
            Some(Ok(outcome)) => conclude(kind, job, envelope, outcome),
            Some(Err(error)) => {
                let reason = format!("the payload of {} cannot be read: {error}", kind.name);
                bury(kind.name, job, Some(envelope), "unreadable", &reason, now)
            }
            None => conclude(
                kind,
                job,
                envelope,
                Err(JobError::Retry(anyhow::anyhow!("the batch panicked or took over {:?}", kind.timeout))),
            ),
        });
    }
    finished
}

async fn guarded(kind: &Kind, running: Running) -> Outcome {
    match AssertUnwindSafe(tokio::time::timeout(kind.timeout, running)).catch_unwind().await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_elapsed)) => Err(JobError::Retry(anyhow::anyhow!("took longer than {:?}", kind.timeout))),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Err(JobError::Retry(anyhow::anyhow!(
                "the handler panicked: {}",
                text.unwrap_or_else(|| "no message".to_owned())
            )))
        }
    }
}

/// Counts, waits or buries, and logs it: the one place that does.
fn conclude(kind: &Kind, claimed: &Claimed, envelope: &Envelope<'_>, outcome: Outcome) -> Finished {
    let now = SystemClock.now();
    let (wait, error) = match outcome {
        Ok(()) => return Finished { seq: claimed.seq, kind: kind.name, outcome: "done", verdict: Verdict::Done },
        Err(JobError::Fail(error)) => {
            return bury(kind.name, claimed, Some(envelope), "failed", &format!("{error:#}"), now);
        }
        Err(JobError::Defer(wait, error)) => {
            tracing::info!(error.chain = format!("{error:#}"), wait_ms = millis(wait), "job deferred");
            let verdict = later(envelope, wait, now, false);
            return Finished { seq: claimed.seq, kind: kind.name, outcome: "deferred", verdict };
        }
        Err(JobError::RetryAfter(wait, error)) => (Some(wait), error),
        Err(JobError::Retry(error)) => (None, error),
    };
    let text = format!("{error:#}");
    let attempt = envelope.attempt.saturating_add(1);
    if attempt >= envelope.max_attempts.unwrap_or(kind.retry.max_attempts) {
        return bury(kind.name, claimed, Some(envelope), "attempts-used-up", &text, now);
    }
    let wait = wait.unwrap_or_else(|| backoff(kind.retry, attempt));
    tracing::warn!(error.chain = text, wait_ms = millis(wait), "job failed, it will be tried again");
    let mut again = Envelope { attempt, failures: envelope.failures.clone(), not_before: None, ..borrowed(envelope) };
    again.failures.push(Failure { at: now, error: text });
    Finished { seq: claimed.seq, kind: kind.name, outcome: "retried", verdict: later(&again, wait, now, true) }
}

fn borrowed<'b>(envelope: &'b Envelope<'_>) -> Envelope<'b> {
    let text = |text: &'b Option<std::borrow::Cow<'_, str>>| text.as_deref().map(std::borrow::Cow::Borrowed);
    Envelope {
        id: envelope.id,
        kind: std::borrow::Cow::Borrowed(envelope.kind.as_ref()),
        payload: envelope.payload,
        v: envelope.v,
        attempt: envelope.attempt,
        max_attempts: envelope.max_attempts,
        enqueued_at: envelope.enqueued_at,
        not_before: envelope.not_before,
        not_after: envelope.not_after,
        dedupe_key: text(&envelope.dedupe_key),
        correlation_id: text(&envelope.correlation_id),
        traceparent: text(&envelope.traceparent),
        failures: Vec::new(),
    }
}

fn later(envelope: &Envelope<'_>, wait: Duration, now: DateTime<Utc>, counted: bool) -> Verdict {
    let due = TimeDelta::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait)).unwrap_or(now);
    let body = envelope.to_bytes().unwrap_or_default();
    Verdict::Later { body, due_ms: due.timestamp_millis(), counted }
}

/// Full jitter: evenly from nothing to the exponential bound.
fn backoff(policy: RetryPolicy, attempt: u32) -> Duration {
    let bound = policy.base.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1).min(30))).min(policy.cap);
    Duration::from_millis(rand::rng().random_range(0..=millis(bound)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A dead letter as it lies in Redis.
#[derive(Serialize)]
struct Record<'a> {
    body: Cow<'a>,
    reason: &'a str,
    error: &'a str,
    kind: &'a str,
    attempt: u32,
    died_at: i64,
    failures: &'a [Failure],
    traceparent: Option<&'a str>,
}

/// The exact bytes: as text where they are text, as numbers where they are not.
#[derive(Serialize)]
#[serde(untagged)]
enum Cow<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

fn bury(
    kind: &'static str,
    claimed: &Claimed,
    envelope: Option<&Envelope<'_>>,
    reason: &'static str,
    error: &str,
    now: DateTime<Utc>,
) -> Finished {
    let id = envelope.map_or_else(domain::ids::JobId::generate, |envelope| envelope.id).to_string();
    tracing::error!(job.id = id, job.kind = kind, reason, error.chain = error, "job is a dead letter");
    let record = Record {
        body: std::str::from_utf8(&claimed.body).map_or(Cow::Bytes(&claimed.body), Cow::Text),
        reason,
        error,
        kind: envelope.map_or("", |envelope| envelope.kind.as_ref()),
        attempt: envelope.map_or(0, |envelope| envelope.attempt.saturating_add(1)),
        died_at: now.timestamp_millis(),
        failures: envelope.map_or(&[], |envelope| &envelope.failures),
        traceparent: envelope.and_then(|envelope| envelope.traceparent.as_deref()),
    };
    let record = serde_json::to_vec(&record).unwrap_or_default();
    Finished { seq: claimed.seq, kind, outcome: "dead", verdict: Verdict::Dead { id, record } }
}
