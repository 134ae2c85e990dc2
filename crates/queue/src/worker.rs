//! A worker: the queues of one service in one process.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use domain::clock::{Clock, SystemClock};
use domain::ids::WorkerId;
use domain::job::{Job, Queue};
use kv::Kv;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::execute::{Kind, Kinds};
use crate::handler::{BatchHandler, BatchPolicy, Handler};
use crate::lane::Lane;
use crate::lease::{Vitals, keep_alive};

/// Why a worker cannot be built or started.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A handler's queue was not named with its concurrency.
    #[error("kind {kind} needs queue {queue}: name it with .queue(Queue, concurrency)")]
    QueueNotNamed {
        /// The handler's kind.
        kind: &'static str,
        /// The queue it belongs to.
        queue: Queue,
    },
    /// A queue has no handler.
    #[error("queue {0} has no handler: its jobs would all become dead letters")]
    NoHandler(Queue),
    /// The lease thread cannot start.
    #[error("the lease thread cannot start")]
    Thread(#[from] std::io::Error),
}

/// Puts a worker together.
pub struct WorkerBuilder {
    kv: Kv,
    service: String,
    concurrency: HashMap<Queue, usize>,
    kinds: Vec<(Queue, Kind)>,
}

impl WorkerBuilder {
    /// Serves `queue` with at most `concurrency` jobs at a time (at least one).
    #[must_use]
    pub fn queue(mut self, queue: Queue, concurrency: usize) -> Self {
        self.concurrency.insert(queue, concurrency.max(1));
        self
    }

    /// Runs jobs of kind `J` with `handler`.
    #[must_use]
    pub fn register<J: Job>(mut self, handler: impl Handler<J>) -> Self {
        self.kinds.push((J::QUEUE, Kind::one(handler)));
        self
    }

    /// Runs jobs of kind `J` in batches.
    #[must_use]
    pub fn register_batch<J: Job>(mut self, handler: impl BatchHandler<J>, policy: BatchPolicy) -> Self {
        self.kinds.push((J::QUEUE, Kind::many(handler, policy)));
        self
    }

    /// The worker.
    pub fn build(self) -> Result<Worker, WorkerError> {
        let mut by_queue: HashMap<Queue, Kinds> = HashMap::new();
        for (queue, kind) in self.kinds {
            if !self.concurrency.contains_key(&queue) {
                return Err(WorkerError::QueueNotNamed { kind: kind.name, queue });
            }
            by_queue.entry(queue).or_default().insert(kind.name, kind);
        }
        let mut queues: Vec<_> = self.concurrency.keys().copied().collect();
        queues.sort();
        if let Some(queue) = queues.iter().find(|queue| !by_queue.contains_key(queue)) {
            return Err(WorkerError::NoHandler(*queue));
        }
        let vitals = Arc::new(Vitals::new(WorkerId::generate(), self.service, queues));
        let lanes = by_queue
            .into_iter()
            .map(|(queue, kinds)| {
                let concurrency = self.concurrency.get(&queue).copied().unwrap_or(1);
                Lane::new(self.kv.clone(), queue, concurrency, kinds, vitals.clone())
            })
            .collect();
        Ok(Worker { kv: self.kv, vitals, lanes })
    }
}

/// Runs jobs until told to stop.
pub struct Worker {
    kv: Kv,
    vitals: Arc<Vitals>,
    lanes: Vec<Lane>,
}

impl Worker {
    /// Begins a worker of `service`.
    #[must_use]
    pub fn builder(kv: Kv, service: &str) -> WorkerBuilder {
        WorkerBuilder { kv, service: service.to_owned(), concurrency: HashMap::new(), kinds: Vec::new() }
    }

    /// Its id, fresh at every start.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        self.vitals.id
    }

    /// A way to ask, later, whether it is well.
    #[must_use]
    pub fn health(&self) -> WorkerHealth {
        WorkerHealth { vitals: self.vitals.clone() }
    }

    /// Works until `shutdown` is cancelled; returns when running jobs have ended (25 s at most) and the rest is given back.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), WorkerError> {
        tracing::info!(worker.id = %self.vitals.id, queues = ?self.vitals.queues, "worker started");
        let thread = keep_alive(self.kv, self.vitals.clone())?;
        let (lanes, watches) = (TaskTracker::new(), TaskTracker::new());
        for lane in self.lanes {
            lanes.spawn(lane.run(watches.clone(), shutdown.clone()));
        }
        lanes.close();
        lanes.wait().await;
        self.vitals.stop();
        // The thread looks at the flag every 50 ms.
        let _ended = tokio::task::spawn_blocking(move || thread.join()).await;
        tracing::info!(worker.id = %self.vitals.id, jobs = self.vitals.ended.load(Ordering::Relaxed), "worker stopped");
        Ok(())
    }
}

/// Tells whether a worker is well.
#[derive(Clone)]
pub struct WorkerHealth {
    vitals: Arc<Vitals>,
}

impl WorkerHealth {
    /// `Err` with the reason when the sign of life could not be written for ten seconds.
    pub fn check(&self) -> Result<(), String> {
        let age = SystemClock.now().timestamp_millis().saturating_sub(self.vitals.last_beat_ms.load(Ordering::Relaxed));
        if age > 10_000 { Err(format!("no sign of life written for {} s", age / 1_000)) } else { Ok(()) }
    }
}
