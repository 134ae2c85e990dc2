//! Handlers with their payload types forgotten, so that one worker runs many kinds.

use std::collections::HashMap;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use domain::job::{Job, RetryPolicy};
use futures_util::FutureExt;

use crate::handler::{BatchHandler, BatchPolicy, Handler, JobContext, JobError, Outcome};

type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;
/// The handler at work, or why the payload cannot be read.
type Decoded = Result<Running, serde_json::Error>;
type Start = dyn Fn(&str, JobContext) -> Decoded + Send + Sync;
type RunningBatch<'a> = Pin<Box<dyn Future<Output = Vec<Result<Outcome, serde_json::Error>>> + Send + 'a>>;

/// What the worker knows of a kind.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) version: u32,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeout: Duration,
    pub(crate) run: Run,
}

/// One at a time, or in batches.
pub(crate) enum Run {
    One(Box<Start>),
    Many(BatchPolicy, Box<dyn ErasedBatch>),
}

/// A batch handler with its payload type forgotten.
pub(crate) trait ErasedBatch: Send + Sync {
    /// Runs what decodes; `Err` stands at the places of what does not.
    fn run<'a>(&'a self, jobs: Vec<(&'a str, JobContext)>) -> RunningBatch<'a>;
}

struct Batch<J, H>(H, PhantomData<fn() -> J>);

impl<J: Job, H: BatchHandler<J>> ErasedBatch for Batch<J, H> {
    fn run<'a>(&'a self, jobs: Vec<(&'a str, JobContext)>) -> RunningBatch<'a> {
        let mut decoded = Vec::with_capacity(jobs.len());
        let places: Vec<Result<(), serde_json::Error>> = jobs
            .into_iter()
            .map(|(payload, context)| serde_json::from_str::<J>(payload).map(|job| decoded.push((job, context))))
            .collect();
        async move {
            let outcomes = if decoded.is_empty() { Vec::new() } else { self.0.handle(decoded).await };
            let mut outcomes = outcomes.into_iter();
            // A handler that answers for fewer jobs than it got has not said what became of the rest.
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
        Self::new::<J>(Run::Many(policy, Box::new(Batch::<J, H>(handler, PhantomData))))
    }

    fn new<J: Job>(run: Run) -> Self {
        Self { name: J::KIND, version: J::VERSION, retry: J::RETRY, timeout: J::TIMEOUT, run }
    }
}

/// The kinds of one queue.
pub(crate) type Kinds = HashMap<&'static str, Kind>;
