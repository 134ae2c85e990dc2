//! Running claimed jobs to their ends: decode, guard against panics and time, conclude.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use domain::clock::{Clock, SystemClock};
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::envelope::Envelope;
use crate::handler::{JobContext, JobError, Outcome};
use crate::kinds::{Kind, Kinds, Run};
use crate::layout::{Claim, Lane};
use crate::span;
use crate::unreadable::unreadable;
use crate::verdict::{Climate, End, bury, conclude, expire, give_back, postpone};

/// A claimed element with its exact bytes.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) claim: Claim,
    pub(crate) body: Vec<u8>,
}

/// A job on its way to be settled.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) claim: Claim,
    pub(crate) kind: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) end: End,
    /// Microseconds from push to start, where the producer said when it pushed and it is the first try.
    pub(crate) wait_us: Option<u64>,
    pub(crate) run_us: u64,
}

/// What the jobs of one queue share while they run.
pub(crate) struct Shop {
    pub(crate) kinds: Kinds,
    pub(crate) crash_limit: u8,
    /// Jobs that have not started do not start any more.
    pub(crate) draining: AtomicBool,
    /// See [`Climate::outage`].
    pub(crate) outage: AtomicBool,
    /// Jobs that still run are abandoned.
    pub(crate) abandon: CancellationToken,
}

impl Shop {
    pub(crate) fn new(kinds: Kinds, crash_limit: u8) -> Self {
        Self {
            kinds,
            crash_limit,
            draining: AtomicBool::new(false),
            outage: AtomicBool::new(false),
            abandon: CancellationToken::new(),
        }
    }

    fn climate(&self) -> Climate {
        Climate { outage: self.outage.load(Ordering::Relaxed) }
    }
}

/// Why a handler does not see a job.
enum Refused {
    /// It can never run.
    Buried(&'static str, String),
    TooLate,
    TooEarly(DateTime<Utc>),
}

/// What is decided before a handler sees the job: `Ok` to run it.
fn admit<'k>(
    shop: &'k Shop,
    envelope: &Envelope<'_>,
    claimed: &Claimed,
    now: DateTime<Utc>,
) -> Result<&'k Kind, Refused> {
    let Some(kind) = shop.kinds.get(envelope.kind.as_ref()) else {
        let reason = format!("no handler for kind {:?} here", envelope.kind.chars().take(64).collect::<String>());
        return Err(Refused::Buried("unknown-kind", reason));
    };
    if let Lane::Suspect(crashes) = claimed.claim.lane
        && crashes >= shop.crash_limit
    {
        return Err(Refused::Buried("crashed", format!("its worker died {crashes} times while it ran")));
    }
    let version = envelope.v.unwrap_or(1);
    if version > kind.version {
        let reason = format!("version {version} of {} is newer than version {} known here", kind.name, kind.version);
        return Err(Refused::Buried("unknown-version", reason));
    }
    if envelope.not_after.is_some_and(|limit| limit < now) {
        return Err(Refused::TooLate);
    }
    if let Some(time) = envelope.not_before.filter(|time| *time > now) {
        return Err(Refused::TooEarly(time));
    }
    Ok(kind)
}

/// Ends a job that no handler sees, on its own trail.
fn refuse(refused: Refused, claimed: &Claimed, envelope: &Envelope<'_>, now: DateTime<Utc>) -> (End, &'static str) {
    let span = span::open("unknown", envelope);
    let end = span.in_scope(|| match refused {
        Refused::Buried(reason, error) => bury(claimed, Some(envelope), reason, &error, now),
        Refused::TooLate => expire(envelope, now),
        Refused::TooEarly(time) => postpone(claimed, time),
    });
    span::conclude(&span, end.1);
    end
}

/// The reason for a payload that its kind does not understand.
fn not_of_kind(kind: &Kind, error: &serde_json::Error) -> Refused {
    Refused::Buried("unreadable", format!("the payload of {} cannot be read: {}", kind.name, unreadable(error)))
}

fn context(kind: &Kind, envelope: &Envelope<'_>) -> JobContext {
    JobContext {
        id: envelope.id,
        attempt: envelope.attempt.saturating_add(1),
        max_attempts: envelope.max_attempts.unwrap_or(kind.retry.max_attempts).max(1),
        enqueued_at: envelope.enqueued_at,
        replayed_at: envelope.replays.iter().map(|replay| replay.at).max(),
        correlation_id: Some(span::trail(envelope).correlation_id().to_string()),
        traceparent: envelope.traceparent.as_deref().map(str::to_owned),
    }
}

/// Microseconds since the push, for first tries.
fn waited(envelope: &Envelope<'_>, now: DateTime<Utc>) -> Option<u64> {
    if envelope.attempt > 0 || envelope.not_before.is_some() || !envelope.replays.is_empty() {
        return None;
    }
    u64::try_from((now - envelope.enqueued_at?).num_microseconds()?.max(0)).ok()
}

/// Why there is no outcome yet.
enum Broken {
    Abandoned,
    Elapsed,
    Panicked(String),
}

/// Runs a handler's future: whatever it does, it ends in time and takes nobody with it.
async fn guarded<T>(shop: &Shop, limit: Duration, work: impl Future<Output = T>) -> Result<T, Broken> {
    let work = AssertUnwindSafe(tokio::time::timeout(limit, work)).catch_unwind();
    tokio::select! {
        biased;
        ended = work => match ended {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_elapsed)) => Err(Broken::Elapsed),
            Err(panic) => Err(Broken::Panicked(
                panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                    .unwrap_or_else(|| "no message".to_owned()),
            )),
        },
        () = shop.abandon.cancelled() => Err(Broken::Abandoned),
    }
}

/// Runs one claimed job to its end. It never panics and never takes longer than the kind's time-out.
pub(crate) async fn run_one(shop: &Shop, claimed: Claimed) -> Finished {
    let claim = claimed.claim;
    let finished = |kind, (end, outcome), wait_us, run_us| Finished { claim, kind, outcome, end, wait_us, run_us };
    if shop.draining.load(Ordering::Relaxed) {
        return finished("", (End::Settle(give_back(claimed.body)), "returned"), None, 0);
    }
    let now = SystemClock.now();
    let envelope = match Envelope::parse(&claimed.body) {
        Ok(envelope) => envelope,
        Err(error) => {
            return finished("unknown", bury(&claimed, None, "unreadable", &error.to_string(), now), None, 0);
        }
    };
    let kind = match admit(shop, &envelope, &claimed, now) {
        Ok(kind) => kind,
        Err(refused) => return finished("unknown", refuse(refused, &claimed, &envelope, now), None, 0),
    };
    let running = match &kind.run {
        Run::One(run) => run(envelope.payload.get(), context(kind, &envelope)),
        Run::Many(..) => {
            // Batch kinds are sorted out before; this one was not, so it is put back rather than judged.
            return finished(kind.name, (End::Settle(give_back(claimed.body)), "returned"), None, 0);
        }
    };
    let running = match running {
        Ok(running) => running,
        Err(error) => {
            let end = refuse(not_of_kind(kind, &error), &claimed, &envelope, now);
            return finished(kind.name, end, None, 0);
        }
    };
    let span = span::open(kind.name, &envelope);
    let wait_us = waited(&envelope, now);
    let begin = Instant::now();
    let outcome = guarded(shop, kind.timeout, running).instrument(span.clone()).await;
    let run_us = micros(begin.elapsed());
    let end = span.in_scope(|| match outcome {
        Err(Broken::Abandoned) => (End::Left, "left"),
        Ok(outcome) => conclude(kind, &claimed, &envelope, outcome, shop.climate()),
        Err(broken) => conclude(kind, &claimed, &envelope, mishap(kind, &broken), shop.climate()),
    });
    span::conclude(&span, end.1);
    finished(kind.name, end, wait_us, run_us)
}

/// A handler that did not decide has failed, in a way that may pass.
fn mishap(kind: &Kind, broken: &Broken) -> Outcome {
    Err(JobError::Retry(match broken {
        Broken::Panicked(text) => anyhow::anyhow!("the handler panicked: {text}"),
        Broken::Elapsed | Broken::Abandoned => anyhow::anyhow!("took longer than {:?}", kind.timeout),
    }))
}

/// Runs a batch of one kind to its ends.
pub(crate) async fn run_many(shop: &Shop, claimed: Vec<Claimed>) -> Vec<Finished> {
    let now = SystemClock.now();
    let mut finished = Vec::with_capacity(claimed.len());
    let mut admitted: Vec<(&Claimed, Envelope<'_>, &Kind)> = Vec::with_capacity(claimed.len());
    let note = |job: &Claimed, kind, (end, outcome), wait_us, run_us| Finished {
        claim: job.claim,
        kind,
        outcome,
        end,
        wait_us,
        run_us,
    };
    for job in &claimed {
        match Envelope::parse(&job.body) {
            Err(error) => {
                finished.push(note(job, "unknown", bury(job, None, "unreadable", &error.to_string(), now), None, 0));
            }
            Ok(envelope) => match admit(shop, &envelope, job, now) {
                Err(refused) => {
                    finished.push(note(job, "unknown", refuse(refused, job, &envelope, now), None, 0));
                }
                Ok(kind) => admitted.push((job, envelope, kind)),
            },
        }
    }
    let Some((_, _, kind)) = admitted.first() else { return finished };
    let kind = *kind;
    let Run::Many(_, batch) = &kind.run else { return finished };
    let jobs = admitted.iter().map(|(_, envelope, kind)| (envelope.payload.get(), context(kind, envelope))).collect();
    let spans: Vec<_> = admitted.iter().map(|(_, envelope, kind)| span::open_kept(kind.name, envelope)).collect();
    let span = span::open_batch(kind.name, admitted.len());
    let begin = Instant::now();
    let work = guarded(shop, kind.timeout, batch.run(jobs)).instrument(span.clone()).await;
    let run_us = micros(begin.elapsed());
    let _entered = span.enter();
    let mut outcomes = match work {
        Ok(outcomes) => Ok(outcomes.into_iter()),
        Err(broken) => Err(broken),
    };
    for ((job, envelope, kind), kept) in admitted.iter().zip(spans) {
        let result = match &mut outcomes {
            Ok(outcomes) => Ok(outcomes.next()),
            Err(broken) => Err(&*broken),
        };
        // What went well needs no span of its own unless its trace is kept; what is told of a job is told on its trail.
        let went_well = matches!(result, Ok(Some(Ok(Ok(())))));
        let own = kept.unwrap_or_else(|| if went_well { Span::none() } else { span::open(kind.name, envelope) });
        let end = own.in_scope(|| match result {
            Err(Broken::Abandoned) => (End::Left, "left"),
            Err(broken) => conclude(kind, job, envelope, mishap(kind, broken), shop.climate()),
            Ok(Some(Err(error))) => refuse(not_of_kind(kind, &error), job, envelope, now),
            Ok(Some(Ok(outcome))) => conclude(kind, job, envelope, outcome, shop.climate()),
            Ok(None) => conclude(kind, job, envelope, mishap(kind, &Broken::Elapsed), shop.climate()),
        });
        span::conclude(&own, end.1);
        finished.push(note(job, kind.name, end, waited(envelope, now), run_us));
    }
    finished
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
