//! From commit to list. What was accepted is pushed at once; what was not, because Redis or this process was down, is found by
//! the sweep.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use config::Reader;
use domain::ids::{JobId, WebhookId};
use domain::job::Queue;
use kv::{Kv, keys, once};
use queue::{EnqueueError, Envelope, Producer};
use serde_json::value::RawValue;
use store::webhooks::{Arrived, claim_pending, ensure_partitions, forget_pending};
use store::{Pool, StoreError};
use telemetry::metrics::Counter;
use telemetry::propagation::Carried;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Jobs in one call, or as many as one commit more has.
const BATCH: usize = 500;
/// From the beginning of one call to that of the next, at least. A busy service commits some hundred times a second, and a call for
/// each commit is mostly waking and being woken.
const PACE: Duration = Duration::from_millis(5);
/// Accepted webhooks that may wait for Redis in memory; the rest is left to the sweep.
const WAITING: usize = 2_000;
/// How long an event id is remembered in Redis. The unique index remembers it for ever.
const REMEMBERED: Duration = Duration::from_hours(48);
/// Pushed jobs that are forgotten in one commit,
const FORGOTTEN: usize = 2_000;
/// and how long one of them waits for it at most.
const LONGEST_PATIENCE: Duration = Duration::from_millis(200);

/// How jobs of webhooks are pushed.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    sweep: Duration,
}

impl Settings {
    /// Reads `WEBHOOK_SWEEP_MS`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let about = "how often webhooks whose job was not pushed are looked for, in milliseconds (10 to 15000)";
        let millis: u64 = reader.default("WEBHOOK_SWEEP_MS", 5_000, about);
        if !(10..=15_000).contains(&millis) {
            reader.problem("WEBHOOK_SWEEP_MS: 10 to 15000");
        }
        Self { sweep: Duration::from_millis(millis) }
    }
}

/// Why jobs were not pushed this time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    #[error("waiting jobs could not be read or marked")]
    Store(#[from] StoreError),
    #[error("jobs could not be pushed")]
    Push(#[from] EnqueueError),
    #[error("a waiting job holds no JSON")]
    Payload(#[from] serde_json::Error),
    #[error("a job could not be written")]
    Envelope(#[from] queue::EnvelopeError),
}

/// One job, ready to push.
struct Ready {
    id: WebhookId,
    queue: Queue,
    body: Vec<u8>,
}

impl Ready {
    fn new(
        id: WebhookId,
        queue: Queue,
        kind: &str,
        payload: &str,
        at: chrono::DateTime<chrono::Utc>,
        carried: &Carried,
    ) -> Result<Self, PushError> {
        let payload: &RawValue = serde_json::from_str(payload)?;
        // The job has the webhook's id, so a second push is seen for what it is.
        let mut envelope = Envelope::new(JobId::from_uuid(id.as_uuid()), kind, payload);
        envelope.enqueued_at = Some(at);
        envelope.traceparent = carried.traceparent.as_deref().map(Into::into);
        envelope.correlation_id = carried.correlation_id.as_deref().map(Into::into);
        Ok(Self { id, queue, body: envelope.to_bytes()? })
    }
}

/// Hands accepted webhooks over to be pushed. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pusher {
    sender: mpsc::UnboundedSender<Vec<Arrived>>,
    room: Arc<Semaphore>,
}

impl Pusher {
    /// Starts the pushing task; it ends when every handle is gone and all that waits is pushed or left to the sweep.
    pub(crate) fn start(settings: &Settings, pool: &Pool, kv: &Kv, tasks: &TaskTracker) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(WAITING));
        let pushing = PushLoop {
            pool: pool.clone(),
            kv: kv.clone(),
            producer: Producer::new(kv.clone()),
            room: room.clone(),
            // Long before a sweep would take what was pushed for left behind.
            patience: (settings.sweep / 10).min(LONGEST_PATIENCE),
            pushed: Vec::new(),
            down: false,
        };
        tasks.spawn(pushing.run(receiver));
        Self { sender, room }
    }

    /// Takes what was accepted in one commit, which is pushed in one call. What there is no room for waits in Postgres.
    pub(crate) fn hand_over(&self, mut accepted: Vec<Arrived>) {
        accepted.truncate(self.room.available_permits());
        let Ok(count) = u32::try_from(accepted.len()) else { return };
        if count == 0 {
            return;
        }
        // Somebody else may have taken the room in between; then these are left to the sweep.
        if let Ok(room) = self.room.try_acquire_many(count) {
            room.forget();
            for arrived in &mut accepted {
                // The job says where the body is stored.
                arrived.body = Vec::new();
            }
            let _ended = self.sender.send(accepted);
        }
    }
}

/// The task behind a [`Pusher`].
struct PushLoop {
    pool: Pool,
    kv: Kv,
    producer: Producer,
    room: Arc<Semaphore>,
    patience: Duration,
    /// Pushed, and not forgotten in Postgres so far.
    pushed: Vec<WebhookId>,
    down: bool,
}

impl PushLoop {
    async fn run(mut self, mut receiver: mpsc::UnboundedReceiver<Vec<Arrived>>) {
        let (mut forget_at, mut push_at) = (Instant::now(), Instant::now());
        loop {
            let batch = tokio::select! {
                biased;
                () = tokio::time::sleep_until(forget_at), if !self.pushed.is_empty() => None,
                batch = receiver.recv() => match batch {
                    None => break,
                    some => some,
                },
            };
            if let Some(mut batch) = batch {
                // At once where little comes; else what the next commits have goes along.
                tokio::time::sleep_until(push_at).await;
                push_at = Instant::now() + PACE;
                while batch.len() < BATCH
                    && let Ok(more) = receiver.try_recv()
                {
                    batch.extend(more);
                }
                if self.pushed.is_empty() {
                    forget_at = Instant::now() + self.patience;
                }
                let outcome = self.push(&batch).await;
                self.room.add_permits(batch.len());
                self.note(&outcome);
            }
            if Instant::now() >= forget_at || self.pushed.len() >= FORGOTTEN {
                self.forget().await;
            }
        }
        self.forget().await;
    }

    async fn push(&mut self, batch: &[Arrived]) -> Result<(), PushError> {
        let ready: Vec<_> = batch
            .iter()
            .filter_map(|row| {
                let promise = row.promise.as_ref()?;
                Some(Ready::new(row.id, promise.queue, promise.kind, &promise.payload, row.received_at, &row.carried))
            })
            .collect::<Result<_, _>>()?;
        let names: Vec<_> = batch.iter().map(|row| keys::webhook_once(row.source, &row.event_id)).collect();
        // The marks are only a help: without them the index is asked. They go out with the jobs.
        let ((pushed, outcome), _remembered) =
            tokio::join!(push(&self.producer, ready), once::mark(&self.kv, &names, REMEMBERED));
        self.pushed.extend(pushed);
        outcome
    }

    /// Deletes what was pushed, many in one commit: a commit for each push would be as many syncs of the disk as the webhooks
    /// themselves need. Whoever dies before it leaves jobs to the sweep that were pushed already; that is seen by their ids.
    async fn forget(&mut self) {
        let ids = std::mem::take(&mut self.pushed);
        if !ids.is_empty() {
            let forgotten = async { Ok(forget_pending(&self.pool.get().await?, &ids).await?) };
            let outcome = forgotten.await;
            self.note(&outcome);
        }
    }

    fn note(&mut self, outcome: &Result<(), PushError>) {
        if let Err(error) = outcome
            && !self.down
        {
            tracing::warn!(error.chain = telemetry::chain(error), "accepted webhooks wait for the sweep");
        }
        self.down = outcome.is_err();
    }
}

/// Pushes jobs; gives which ones, and what kept the others back. A queue that is full holds up no other.
async fn push(producer: &Producer, jobs: Vec<Ready>) -> (Vec<WebhookId>, Result<(), PushError>) {
    let mut by_queue: HashMap<Queue, (Vec<WebhookId>, Vec<Vec<u8>>)> = HashMap::new();
    for job in jobs {
        let (ids, bodies) = by_queue.entry(job.queue).or_default();
        ids.push(job.id);
        bodies.push(job.body);
    }
    let (mut pushed, mut outcome) = (Vec::new(), Ok(()));
    for (queue, (ids, bodies)) in by_queue {
        match producer.push_bodies(queue, false, &bodies).await {
            Ok(()) => pushed.extend(ids),
            Err(error @ EnqueueError::Full { .. }) => outcome = Err(error.into()),
            Err(error) => return (pushed, Err(error.into())),
        }
    }
    (pushed, outcome)
}

/// Looks for jobs that were not pushed, and for partitions that are missing.
pub(crate) struct Sweep {
    pool: Pool,
    producer: Producer,
    every: Duration,
    found: Counter<u64>,
}

impl Sweep {
    pub(crate) fn new(settings: &Settings, pool: Pool, producer: Producer) -> Self {
        let found = telemetry::metrics::meter()
            .u64_counter("webhook_swept")
            .with_description("Jobs of webhooks that the sweep had to push")
            .build();
        Self { pool, producer, every: settings.sweep, found }
    }

    /// Works until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut partitions_due = Instant::now();
        let mut down = false;
        while !shutdown.is_cancelled() {
            let outcome = self.sweep().await;
            if let Err(error) = &outcome
                && !down
            {
                tracing::warn!(error.chain = telemetry::chain(error), "jobs of webhooks wait");
            }
            down = outcome.is_err();
            if Instant::now() >= partitions_due && self.look_ahead().await {
                partitions_due += Duration::from_hours(6);
            }
            tokio::select! {
                () = tokio::time::sleep(self.every) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Pushes what has waited for longer than one turn; what is younger is in the pusher's hands. What is for a queue that is full
    /// waits on.
    async fn sweep(&self) -> Result<(), PushError> {
        let (mut full, mut outcome) = (Vec::new(), Ok(()));
        let batch = i64::try_from(BATCH).unwrap_or(i64::MAX);
        loop {
            let mut client = self.pool.get().await?;
            let transaction = client.transaction().await.map_err(StoreError::from)?;
            let rows = claim_pending(&transaction, batch, self.every.as_secs_f64(), &full).await?;
            if rows.is_empty() {
                return outcome;
            }
            let ready: Vec<_> = rows
                .iter()
                .map(|row| Ready::new(row.webhook_id, row.queue, &row.kind, &row.payload, row.created_at, &row.carried))
                .collect::<Result<_, _>>()?;
            let (pushed, kept_back) = push(&self.producer, ready).await;
            if !pushed.is_empty() {
                forget_pending(&transaction, &pushed).await?;
                transaction.commit().await.map_err(StoreError::from)?;
                self.found.add(u64::try_from(pushed.len()).unwrap_or(u64::MAX), &[]);
                tracing::info!(jobs = pushed.len(), "pushed jobs that had waited");
            }
            if let Err(error) = kept_back {
                let PushError::Push(EnqueueError::Full { queue, .. }) = error else { return Err(error) };
                full.push(queue);
                outcome = Err(error);
            }
        }
    }

    async fn look_ahead(&self) -> bool {
        let made = async { ensure_partitions(&self.pool.get().await?).await };
        match made.await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(
                    error.chain = telemetry::chain(&error),
                    "the coming months' partitions could not be looked after"
                );
                false
            }
        }
    }
}
