//! Pushing jobs.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::{Clock, SystemClock};
use domain::ids::JobId;
use domain::job::{Job, Queue};
use kv::{Kv, KvError, keys, redis, tried};
use serde_json::value::RawValue;

use crate::envelope::{Envelope, EnvelopeError};
use crate::scripts::{CALL_LIMIT, PUSH_ONCE};

/// The largest job that is taken; what is bigger belongs into Postgres, with its id in the job.
const PAYLOAD_LIMIT: usize = 256 * 1024;

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
    #[error("the job has {0} bytes; the limit is {PAYLOAD_LIMIT}: store it and push its id")]
    TooBig(usize),
    /// Redis did not take it.
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
    correlation_id: Option<String>,
}

impl<'a, J: Job> Enqueue<'a, J> {
    /// As soon as possible, in the ordinary lane.
    #[must_use]
    pub fn new(job: &'a J) -> Self {
        let dedupe = job.dedupe_key().map(|key| (key, Duration::from_mins(10)));
        Self {
            job,
            id: JobId::generate(),
            urgent: false,
            not_before: None,
            not_after: None,
            dedupe,
            correlation_id: None,
        }
    }

    /// In the fast lane.
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.urgent = true;
        self
    }

    /// Not before this long from now.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.not_before = TimeDelta::from_std(delay).ok().and_then(|delay| SystemClock.now().checked_add_signed(delay));
        self
    }

    /// Not after this time: then it is dropped as expired.
    #[must_use]
    pub fn not_after(mut self, time: DateTime<Utc>) -> Self {
        self.not_after = Some(time);
        self
    }

    /// Only if nothing with this key was pushed within `window`.
    #[must_use]
    pub fn dedupe(mut self, key: impl Into<String>, window: Duration) -> Self {
        self.dedupe = Some((key.into(), window));
        self
    }

    /// Notes what it belongs to.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }
}

/// Pushes jobs. Cheap to clone.
#[derive(Clone)]
pub struct Producer {
    kv: Kv,
}

impl Producer {
    /// A producer.
    #[must_use]
    pub fn new(kv: Kv) -> Self {
        Self { kv }
    }

    /// Pushes a job; `None` when its dedupe key was used within the window.
    pub async fn enqueue<J: Job>(&self, enqueue: Enqueue<'_, J>) -> Result<Option<JobId>, EnqueueError> {
        let payload = serde_json::value::to_raw_value(enqueue.job)?;
        let mut envelope = Envelope::new(enqueue.id, J::KIND, &payload);
        envelope.v = (J::VERSION != 1).then_some(J::VERSION);
        envelope.enqueued_at = Some(SystemClock.now());
        envelope.not_before = enqueue.not_before;
        envelope.not_after = enqueue.not_after;
        envelope.correlation_id = enqueue.correlation_id.map(Into::into);
        envelope.traceparent = telemetry::propagation::current_traceparent().map(Into::into);
        envelope.dedupe_key = enqueue.dedupe.as_ref().map(|(key, _)| key.as_str().into());
        let body = sized(envelope.to_bytes()?)?;
        let due = enqueue.not_before.map(|time| time.timestamp_millis());
        let list = match (due, enqueue.urgent) {
            (Some(_), _) => keys::of_queue(J::QUEUE, "delayed"),
            (None, true) => keys::urgent(J::QUEUE),
            (None, false) => keys::ready(J::QUEUE),
        };
        let mut redis = self.kv.commands();
        let pushed: i64 = match (&enqueue.dedupe, due) {
            (Some((key, window)), _) => PUSH_ONCE
                .key(&list)
                .key(keys::of_queue(J::QUEUE, format_args!("once:{key}")))
                .arg(&body)
                .arg(u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(1))
                .arg(due.map(|due| due.to_string()).unwrap_or_default())
                .invoke_async(&mut redis)
                .await
                .map_err(tried("pushing a job once"))?,
            (None, Some(due)) => redis::cmd("ZADD")
                .arg(&list)
                .arg(due)
                .arg(&body)
                .query_async(&mut redis)
                .await
                .map_err(tried("delaying a job"))?,
            (None, None) => redis::cmd("RPUSH")
                .arg(&list)
                .arg(&body)
                .query_async(&mut redis)
                .await
                .map_err(tried("pushing a job"))?,
        };
        Ok((pushed > 0).then_some(enqueue.id))
    }

    /// Pushes many jobs in few calls, in order. After an error an unknown part of them is pushed.
    pub async fn enqueue_many<J: Job>(&self, jobs: &[J]) -> Result<(), EnqueueError> {
        let mut bodies = Vec::with_capacity(jobs.len().min(CALL_LIMIT));
        let now = SystemClock.now();
        for chunk in jobs.chunks(CALL_LIMIT) {
            bodies.clear();
            for job in chunk {
                let payload = serde_json::value::to_raw_value(job)?;
                let mut envelope = Envelope::new(JobId::generate(), J::KIND, &payload);
                envelope.v = (J::VERSION != 1).then_some(J::VERSION);
                envelope.enqueued_at = Some(now);
                bodies.push(sized(envelope.to_bytes()?)?);
            }
            self.push_bodies(J::QUEUE, false, &bodies).await?;
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
        let body = sized(envelope.to_bytes()?)?;
        match envelope.not_before.filter(|time| *time > SystemClock.now()) {
            None => self.push_bodies(queue, urgent, &[body]).await,
            Some(due) => {
                let delayed = keys::of_queue(queue, "delayed");
                let mut command = redis::cmd("ZADD");
                command.arg(delayed).arg(due.timestamp_millis()).arg(body);
                command.query_async::<()>(&mut self.kv.commands()).await.map_err(tried("delaying a job"))?;
                Ok(())
            }
        }
    }

    /// Pushes a payload that is JSON already.
    pub async fn enqueue_raw(
        &self,
        queue: Queue,
        urgent: bool,
        kind: &str,
        payload: &RawValue,
    ) -> Result<JobId, EnqueueError> {
        let mut envelope = Envelope::new(JobId::generate(), kind, payload);
        envelope.enqueued_at = Some(SystemClock.now());
        self.enqueue_envelope(queue, urgent, &envelope).await?;
        Ok(envelope.id)
    }

    /// Pushes elements as they are.
    pub async fn push_bodies(&self, queue: Queue, urgent: bool, bodies: &[Vec<u8>]) -> Result<(), EnqueueError> {
        let list = if urgent { keys::urgent(queue) } else { keys::ready(queue) };
        for chunk in bodies.chunks(CALL_LIMIT) {
            redis::cmd("RPUSH")
                .arg(&list)
                .arg(chunk)
                .query_async::<()>(&mut self.kv.commands())
                .await
                .map_err(tried("pushing jobs"))?;
        }
        Ok(())
    }
}

fn sized(body: Vec<u8>) -> Result<Vec<u8>, EnqueueError> {
    if body.len() > PAYLOAD_LIMIT { Err(EnqueueError::TooBig(body.len())) } else { Ok(body) }
}
