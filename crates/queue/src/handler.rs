//! What a service writes: a handler per kind, whose answer is a decision.

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::ids::JobId;
use domain::job::Job;
use telemetry::propagation::Carried;

/// What a handler decides. Counting, waiting, burying and logging are the worker's.
pub type Outcome = Result<(), JobError>;

/// Why a job is not done, and what shall become of it.
#[derive(Debug)]
pub enum JobError {
    /// Try again with the kind's back-off; counts as an attempt.
    Retry(anyhow::Error),
    /// Try again after this long, as a provider asked; counts as an attempt.
    RetryAfter(Duration, anyhow::Error),
    /// Not now: come back after this long. No attempt is used up.
    Defer(Duration, anyhow::Error),
    /// It can never succeed: to the dead letters.
    Fail(anyhow::Error),
}

/// An error that nobody classified may be a passing one.
impl<E: Into<anyhow::Error>> From<E> for JobError {
    fn from(error: E) -> Self {
        Self::Retry(error.into())
    }
}

/// What a handler may know of its job besides the payload.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// The job.
    pub id: JobId,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// How many tries there are.
    pub max_attempts: u32,
    /// When it was pushed, if its producer said so.
    pub enqueued_at: Option<DateTime<Utc>>,
    /// When an operator last put it back from the dead letters.
    pub replayed_at: Option<DateTime<Utc>>,
    /// What it belongs to.
    pub correlation_id: Option<String>,
    /// The trace that caused it.
    pub traceparent: Option<String>,
}

impl JobContext {
    /// What the job belongs to, as a row holds it. A trace that nobody keeps need not be remembered.
    #[must_use]
    pub fn carried(&self) -> Carried {
        let is_kept = |traceparent: &&String| traceparent.ends_with("-01");
        Carried {
            traceparent: self.traceparent.as_ref().filter(is_kept).cloned(),
            correlation_id: self.correlation_id.clone(),
        }
    }
}

/// Runs jobs of one kind. It must be idempotent: a job can come twice.
pub trait Handler<J: Job>: Send + Sync + 'static {
    /// Does one job.
    fn handle(&self, job: J, context: JobContext) -> impl Future<Output = Outcome> + Send;
}

/// Runs jobs of one kind many at a time.
pub trait BatchHandler<J: Job>: Send + Sync + 'static {
    /// Does a batch; gives one outcome per job, in order.
    fn handle(&self, jobs: Vec<(J, JobContext)>) -> impl Future<Output = Vec<Outcome>> + Send;
}

/// When a batch is run.
#[derive(Debug, Clone, Copy)]
pub struct BatchPolicy {
    /// At this many jobs, at once.
    pub max: usize,
    /// This long after its first job, at the latest.
    pub linger: Duration,
}
