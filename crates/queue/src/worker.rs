//! A worker: the queues of one service in one process.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::ids::WorkerId;
use domain::job::{Job, Queue};
use kv::Kv;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::census::keep_census;
use crate::circuit::Circuit;
use crate::handler::{BatchHandler, BatchPolicy, Handler};
use crate::kinds::{Kind, Kinds};
use crate::lane::{Lane, Parts};
use crate::layout::Layout;
use crate::lease::{Vitals, keep_alive};
use crate::settings::{Rate, WorkerSettings};

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
    /// Two handlers for one kind.
    #[error("kind {0} has two handlers")]
    TwoHandlers(&'static str),
    /// Settings that cannot work.
    #[error("the lease must be at least three beats long, and the crash limit 1 to 9")]
    Settings,
    /// The lease thread cannot start.
    #[error("the lease thread cannot start")]
    Thread(#[from] std::io::Error),
}

#[derive(Default)]
struct QueuePlan {
    concurrency: Option<usize>,
    rate: Option<Rate>,
    circuit: Option<Circuit>,
    kinds: Kinds,
    twice: Option<&'static str>,
}

/// Puts a worker together.
pub struct WorkerBuilder {
    kv: Kv,
    service: String,
    settings: WorkerSettings,
    plans: BTreeMap<Queue, QueuePlan>,
}

impl WorkerBuilder {
    /// Serves `queue` with at most `concurrency` handlers at a time (at least one). A batch counts as one handler.
    #[must_use]
    pub fn queue(mut self, queue: Queue, concurrency: usize) -> Self {
        self.plans.entry(queue).or_default().concurrency = Some(concurrency.max(1));
        self
    }

    /// Lets `queue` start no more jobs than `rate` allows, over all workers together.
    #[must_use]
    pub fn rate(mut self, queue: Queue, rate: Rate) -> Self {
        self.plans.entry(queue).or_default().rate = Some(rate);
        self
    }

    /// Claims nothing from `queue` while `circuit` is open. The queue's outcomes are what opens and closes it.
    #[must_use]
    pub fn circuit(mut self, queue: Queue, circuit: Circuit) -> Self {
        self.plans.entry(queue).or_default().circuit = Some(circuit);
        self
    }

    /// Runs jobs of kind `J` with `handler`.
    #[must_use]
    pub fn register<J: Job>(self, handler: impl Handler<J>) -> Self {
        self.add(J::QUEUE, Kind::one(handler))
    }

    /// Runs jobs of kind `J` in batches.
    #[must_use]
    pub fn register_batch<J: Job>(self, handler: impl BatchHandler<J>, policy: BatchPolicy) -> Self {
        self.add(J::QUEUE, Kind::many(handler, policy))
    }

    /// Changes the defaults.
    #[must_use]
    pub fn settings(mut self, settings: WorkerSettings) -> Self {
        self.settings = settings;
        self
    }

    fn add(mut self, queue: Queue, kind: Kind) -> Self {
        let plan = self.plans.entry(queue).or_default();
        let name = kind.name;
        if plan.kinds.insert(name, kind).is_some() {
            plan.twice = Some(name);
        }
        self
    }

    /// The worker.
    pub fn build(self) -> Result<Worker, WorkerError> {
        let settings = self.settings;
        if settings.lease < settings.beat * 3 || !(1..=9).contains(&settings.crash_limit) {
            return Err(WorkerError::Settings);
        }
        let queues: Vec<_> = self.plans.keys().copied().collect();
        let vitals = Arc::new(Vitals::new(WorkerId::generate(), self.service, &queues));
        let mut lanes = Vec::with_capacity(queues.len());
        for (slot, (queue, plan)) in self.plans.into_iter().enumerate() {
            if let Some(kind) = plan.twice {
                return Err(WorkerError::TwoHandlers(kind));
            }
            let Some(kind) = plan.kinds.keys().next() else { return Err(WorkerError::NoHandler(queue)) };
            let Some(concurrency) = plan.concurrency else { return Err(WorkerError::QueueNotNamed { kind, queue }) };
            lanes.push(Lane::new(Parts {
                layout: Layout::new(queue, self.kv.mode()),
                kv: self.kv.clone(),
                concurrency,
                kinds: plan.kinds,
                rate: plan.rate,
                circuit: plan.circuit,
                settings: settings.clone(),
                vitals: vitals.clone(),
                slot,
            }));
        }
        Ok(Worker { kv: self.kv, vitals, lanes, settings })
    }
}

/// Runs jobs until told to stop.
pub struct Worker {
    kv: Kv,
    vitals: Arc<Vitals>,
    lanes: Vec<Lane>,
    settings: WorkerSettings,
}

impl Worker {
    /// Begins a worker of `service`.
    #[must_use]
    pub fn builder(kv: Kv, service: &str) -> WorkerBuilder {
        WorkerBuilder { kv, service: service.to_owned(), settings: WorkerSettings::default(), plans: BTreeMap::new() }
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

    /// Works until `shutdown` is cancelled. Then jobs that have not started go back at once; it returns when running jobs
    /// have ended (25 s at most) and the rest is given back.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), WorkerError> {
        let queues = self.vitals.queues();
        tracing::info!(worker.id = %self.vitals.id, ?queues, "worker started");
        let thread = keep_alive(self.kv.clone(), self.vitals.clone(), self.settings)?;
        let (lanes, company) = (TaskTracker::new(), TaskTracker::new());
        for queue in queues {
            company.spawn(keep_census(self.kv.clone(), queue, shutdown.clone()));
        }
        for lane in self.lanes {
            lanes.spawn(lane.run(shutdown.clone()));
        }
        lanes.close();
        lanes.wait().await;
        self.vitals.stop();
        // The thread looks at the flag every 50 ms.
        let _ended = tokio::task::spawn_blocking(move || thread.join()).await;
        tracing::info!(worker.id = %self.vitals.id, jobs = self.vitals.jobs_ended(), "worker stopped");
        Ok(())
    }
}

/// Tells whether a worker is well.
#[derive(Clone)]
pub struct WorkerHealth {
    vitals: Arc<Vitals>,
}

impl WorkerHealth {
    /// `Err` with the reason when for ten seconds its sign of life could not be written, a queue's loop has not gone round,
    /// Redis has not answered it, or jobs waited with room for them and none was claimed.
    pub fn check(&self) -> Result<(), String> {
        self.vitals.check()
    }

    /// `Err` with the reason when a queue's loop has not gone round for 25 seconds: nothing but a new start helps then. An
    /// outage of Redis does not count.
    pub fn turning(&self) -> Result<(), String> {
        self.vitals.turning()
    }
}
