//! Pushing jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use domain::clock::{Clock, SystemClock};
use domain::ids::JobId;
use domain::job::{Job, Queue};
use kv::redis;
use kv::{Connection, Kv, KvError, tried};

use crate::budget::Budgets;
use crate::envelope::{Draft, Envelope, EnvelopeError};
use crate::layout::{Lane, Layout, MINUTES_KEPT, this_minute};
use crate::scripts::{CALL_LIMIT, PUSH_LATER, PUSH_ONCE, call, run};
use crate::verdict::{marked, millis};

/// How long replicas have to confirm a push.
const REPLICA_LIMIT: Duration = Duration::from_secs(1);

/// Why a job was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// The payload cannot be written as JSON.
    #[error("the payload cannot be written as JSON")]
    Payload(#[from] serde_json::Error),
    /// The envelope cannot be written.
    #[error("the envelope cannot be written")]
    Envelope(#[from] EnvelopeError),
    /// The job is too big.
    #[error("the job has {size} bytes; the limit is {limit}: store it and push its id")]
    TooBig {
        /// Bytes of the envelope.
        size: usize,
        /// `QUEUE_MAX_JOB_BYTES`.
        limit: usize,
    },
    /// The queue holds as much as it may. Workers are behind: wait, and try again later.
    #[error("queue {queue} is full: {used} of {limit} bytes of memory are waiting jobs")]
    Full {
        /// The queue.
        queue: Queue,
        /// Memory of its waiting jobs, in bytes.
        used: u64,
        /// `QUEUE_MAX_BYTES`.
        limit: u64,
    },
    /// The job is pushed, but too few replicas confirmed it: a fail-over in this moment could lose it. Pushing it again is safe
    /// where its effect has a key.
    #[error("the job was pushed, but only {0} replicas have it")]
    NotReplicated(u32),
    /// Redis did not take it, or its answer was lost.
    #[error("the job was not pushed")]
    Redis(#[from] KvError),
}

/// A job with the way it is to be pushed.
#[derive(Debug)]
pub struct Enqueue<'a, J> {
    job: &'a J,
    id: JobId,
    urgent: bool,
    not_before: Option<DateTime<Utc>>,
    not_after: Option<DateTime<Utc>>,
    dedupe: Option<(String, Duration)>,
}

impl<'a, J: Job> Enqueue<'a, J> {
    /// As soon as possible, in the ordinary lane.
    #[must_use]
    pub fn new(job: &'a J) -> Self {
        let dedupe = job.dedupe_key().map(|key| (key, Duration::from_mins(10)));
        Self { job, id: JobId::generate(), urgent: false, not_before: None, not_after: None, dedupe }
    }

    /// In the fast lane.
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.urgent = true;
        self
    }

    /// Not before this long from now.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        let time = TimeDelta::from_std(delay).ok().and_then(|delay| SystemClock.now().checked_add_signed(delay));
        self.not_before(time.unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    /// Not before `time`.
    #[must_use]
    pub fn not_before(mut self, time: DateTime<Utc>) -> Self {
        self.not_before = Some(time);
        self
    }

    /// Not after `time`: then it is dropped, counted as expired.
    #[must_use]
    pub fn not_after(mut self, time: DateTime<Utc>) -> Self {
        self.not_after = Some(time);
        self
    }

    /// Not if `key` was pushed to this queue within `window`, whatever became of it.
    #[must_use]
    pub fn dedupe(mut self, key: impl Into<String>, window: Duration) -> Self {
        self.dedupe = Some((key.into(), window));
        self
    }

    /// Under this id, such as the outbox row's.
    #[must_use]
    pub fn id(mut self, id: JobId) -> Self {
        self.id = id;
        self
    }
}

/// Pushes jobs. Cheap to clone.
#[derive(Clone)]
pub struct Producer {
    kv: Kv,
    redis: Connection,
    budgets: Arc<Budgets>,
    /// The minute whose counters were given their time to live.
    minute: Arc<AtomicI64>,
}

/// Where a body goes.
#[derive(Clone, Copy)]
enum To {
    List(Lane),
    /// When it is due, in milliseconds since the epoch, and to which list then.
    Delayed(i64, Lane),
}

impl Producer {
    /// A producer.
    #[must_use]
    pub fn new(kv: Kv) -> Self {
        // Waiting for replicas holds up a connection, so that is not done on the one that everybody shares.
        let redis = if kv.wait_replicas() > 0 { kv.dedicated(REPLICA_LIMIT) } else { kv.commands() };
        let budgets = Arc::new(Budgets::new(kv.queue_bytes()));
        Self { redis, budgets, kv, minute: Arc::new(AtomicI64::new(0)) }
    }

    /// Pushes one job. `None`: its dedupe key was used within the window, nothing was pushed.
    pub async fn enqueue<J: Job>(&self, enqueue: Enqueue<'_, J>) -> Result<Option<JobId>, EnqueueError> {
        let now = SystemClock.now();
        let traceparent = telemetry::propagation::current_traceparent();
        let correlation_id = telemetry::propagation::current_correlation();
        let body = self.sized(serde_json::to_vec(&Draft {
            id: enqueue.id,
            kind: J::KIND,
            payload: enqueue.job,
            v: (J::VERSION != 1).then_some(J::VERSION),
            enqueued_at: &now.to_rfc3339_opts(SecondsFormat::Micros, true),
            not_before: enqueue.not_before,
            not_after: enqueue.not_after,
            dedupe_key: enqueue.dedupe.as_ref().map(|(key, _)| key.as_str()),
            correlation_id: correlation_id.as_deref(),
            traceparent: traceparent.as_deref(),
        })?)?;
        let lane = if enqueue.urgent { Lane::Urgent } else { Lane::Normal };
        let to = match enqueue.not_before {
            Some(time) => To::Delayed(time.timestamp_millis(), lane),
            None => To::List(lane),
        };
        match &enqueue.dedupe {
            None => self.push(J::QUEUE, to, &[body]).await.map(|()| Some(enqueue.id)),
            Some((key, window)) => self.push_once(J::QUEUE, to, &body, enqueue.id, key, *window).await,
        }
    }

    /// Pushes many jobs in few calls, in order. After an error an unknown part of them is pushed.
    pub async fn enqueue_many<J: Job>(&self, jobs: &[J]) -> Result<(), EnqueueError> {
        let enqueued_at = SystemClock.now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let traceparent = telemetry::propagation::current_traceparent();
        let correlation_id = telemetry::propagation::current_correlation();
        let write = |jobs: &[J]| -> Result<Vec<Vec<u8>>, EnqueueError> {
            let each = jobs.iter().map(|job| {
                let draft = Draft {
                    id: JobId::generate(),
                    kind: J::KIND,
                    payload: job,
                    v: (J::VERSION != 1).then_some(J::VERSION),
                    enqueued_at: &enqueued_at,
                    not_before: None,
                    not_after: None,
                    dedupe_key: None,
                    correlation_id: correlation_id.as_deref(),
                    traceparent: traceparent.as_deref(),
                };
                let mut body = Vec::with_capacity(256);
                serde_json::to_writer(&mut body, &draft)?;
                self.sized(body)
            });
            each.collect()
        };
        let mut chunks = jobs.chunks(CALL_LIMIT);
        let mut bodies = write(chunks.next().unwrap_or_default())?;
        while !bodies.is_empty() {
            // The next chunk is written while Redis takes this one.
            let (pushed, next) = tokio::join!(self.push(J::QUEUE, To::List(Lane::Normal), &bodies), async {
                write(chunks.next().unwrap_or_default())
            });
            pushed?;
            bodies = next?;
        }
        Ok(())
    }

    /// Pushes a ready-made envelope, such as the outbox holds.
    pub async fn enqueue_envelope(
        &self,
        queue: Queue,
        urgent: bool,
        envelope: &Envelope<'_>,
    ) -> Result<(), EnqueueError> {
        let body = self.sized(envelope.to_bytes()?)?;
        let lane = if urgent { Lane::Urgent } else { Lane::Normal };
        let to = match envelope.not_before.filter(|time| *time > SystemClock.now()) {
            Some(due) => To::Delayed(due.timestamp_millis(), lane),
            None => To::List(lane),
        };
        self.push(queue, to, &[body]).await
    }

    /// Pushes elements as they are.
    pub async fn push_bodies(&self, queue: Queue, urgent: bool, bodies: &[Vec<u8>]) -> Result<(), EnqueueError> {
        let lane = if urgent { Lane::Urgent } else { Lane::Normal };
        for chunk in bodies.chunks(CALL_LIMIT) {
            self.push(queue, To::List(lane), chunk).await?;
        }
        Ok(())
    }

    /// Pushes up to 500 bodies and counts them, all or nothing.
    async fn push(&self, queue: Queue, to: To, bodies: &[Vec<u8>]) -> Result<(), EnqueueError> {
        let layout = Layout::new(queue, self.kv.mode());
        let mut redis = self.redis.clone();
        self.budgets.check(&mut redis, &layout).await?;
        match to {
            To::List(lane) => {
                let list = if lane == Lane::Urgent { &layout.urgent } else { &layout.ready };
                let minute = this_minute();
                let key = layout.minute(minute);
                let mut pipe = redis::pipe();
                pipe.atomic();
                pipe.cmd("RPUSH").arg(list).arg(bodies).ignore();
                pipe.cmd("HINCRBY").arg(&layout.counts).arg("pushed").arg(bodies.len()).ignore();
                pipe.cmd("HINCRBY").arg(&key).arg("enqueued").arg(bodies.len()).ignore();
                if self.minute.swap(minute, Ordering::Relaxed) != minute {
                    pipe.cmd("EXPIRE").arg(&key).arg(MINUTES_KEPT.as_secs()).ignore();
                }
                pipe.query_async::<()>(&mut redis).await.map_err(tried("pushing jobs"))?;
            }
            To::Delayed(due, lane) => {
                let mut cmd = call(&PUSH_LATER, &[&layout.delayed, &layout.counts, &layout.this_minute()]);
                cmd.arg(due);
                for body in bodies {
                    cmd.arg(marked(lane, body));
                }
                run::<u64>(&mut redis, &PUSH_LATER, &cmd).await.map_err(tried("scheduling jobs"))?;
            }
        }
        self.confirm().await
    }

    async fn push_once(
        &self,
        queue: Queue,
        to: To,
        body: &[u8],
        id: JobId,
        key: &str,
        window: Duration,
    ) -> Result<Option<JobId>, EnqueueError> {
        let layout = Layout::new(queue, self.kv.mode());
        let mut redis = self.redis.clone();
        self.budgets.check(&mut redis, &layout).await?;
        let once = layout.once(key);
        let minute = layout.this_minute();
        let (list, body, due) = match to {
            To::List(Lane::Urgent) => (&layout.urgent, body.to_vec(), String::new()),
            To::List(_) => (&layout.ready, body.to_vec(), String::new()),
            To::Delayed(due, lane) => (&layout.delayed, marked(lane, body), due.to_string()),
        };
        let mut cmd = call(&PUSH_ONCE, &[list, &once, &layout.counts, &minute]);
        cmd.arg(body).arg(millis(window).max(1)).arg(due).arg(id.to_string());
        let before: Option<String> = run(&mut redis, &PUSH_ONCE, &cmd).await.map_err(tried("pushing a job once"))?;
        if before.is_some() {
            return Ok(None);
        }
        self.confirm().await.map(|()| Some(id))
    }

    /// Waits until the replicas have what was pushed, where that is asked for.
    async fn confirm(&self) -> Result<(), EnqueueError> {
        let wanted = self.kv.wait_replicas();
        if wanted == 0 {
            return Ok(());
        }
        let mut wait = redis::cmd("WAIT");
        wait.arg(wanted).arg(millis(REPLICA_LIMIT));
        let have: u32 = wait.query_async(&mut self.redis.clone()).await.map_err(tried("waiting for replicas"))?;
        if have < wanted { Err(EnqueueError::NotReplicated(have)) } else { Ok(()) }
    }

    fn sized(&self, body: Vec<u8>) -> Result<Vec<u8>, EnqueueError> {
        let limit = self.kv.job_bytes();
        if body.len() > limit { Err(EnqueueError::TooBig { size: body.len(), limit }) } else { Ok(body) }
    }
}
