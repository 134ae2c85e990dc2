//! From the outbox table to the lists: what a commit promised is pushed within a second, whoever dies in between.
//!
//! Every service that writes promises runs a [`Relay`]. Rows are locked with `SKIP LOCKED`, so replicas share the work. A
//! relay that dies after the push and before the mark pushes again: the job keeps the row's id, and every effect has its
//! own key, so a second delivery does no harm.

use std::time::Duration;

use domain::ids::{JobId, OutboxId};
use domain::job::Queue;
use futures_util::future::join_all;
use queue::{EnqueueError, Envelope, Producer};
use store::outbox::{Waiting, claim, mark_relayed};
use store::{Pool, StoreError};
use telemetry::Trail;
use telemetry::metrics::{Counter, KeyValue};
use telemetry::propagation::{Carried, current_traceparent};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

/// The channel on which new rows are announced.
const CHANNEL: &str = "outbox";
/// How often the table is looked at although nothing was announced.
const SWEEP: Duration = Duration::from_secs(1);
/// Rows per transaction.
const BATCH: i64 = 200;
/// Rows that are on their way to Redis at once.
const AT_ONCE: usize = 50;

/// Why promises were not passed on this time.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    /// Postgres did not answer.
    #[error("the outbox could not be read or marked")]
    Store(#[from] StoreError),
    /// Redis did not take a job.
    #[error("a promised job could not be pushed")]
    Push(#[from] EnqueueError),
}

/// Passes promises on.
pub struct Relay {
    pool: Pool,
    producer: Producer,
    relayed: Counter<u64>,
}

impl Relay {
    /// A relay.
    #[must_use]
    pub fn new(pool: Pool, producer: Producer) -> Self {
        let relayed = telemetry::metrics::meter()
            .u64_counter("outbox_relayed")
            .with_description("Jobs pushed from the outbox")
            .build();
        Self { pool, producer, relayed }
    }

    /// Works until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut listener = None;
        while !shutdown.is_cancelled() {
            if listener.is_none() {
                listener = self.pool.listen(&[CHANNEL]).await.ok();
            }
            let mut pause = SWEEP;
            if let Err(error) = self.relay_all().await {
                tracing::warn!(error.chain = telemetry::chain(&error), "the outbox waits");
                pause = SWEEP * 2;
            }
            let announced = async {
                match &mut listener {
                    Some(open) => open.next().await.is_some(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                open = announced => if !open { listener = None },
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Pushes everything that waits. What is for a queue that is full waits on, and keeps nothing else waiting.
    async fn relay_all(&self) -> Result<(), RelayError> {
        let (mut full, mut outcome) = (Vec::new(), Ok(()));
        loop {
            match self.relay_batch(&full).await {
                Ok(0) => return outcome,
                Ok(_) => {}
                Err(error) => {
                    let RelayError::Push(EnqueueError::Full { queue, .. }) = error else { return Err(error) };
                    full.push(queue);
                    outcome = Err(error);
                }
            }
        }
    }

    /// Pushes some of what waits for queues that are not `full`; gives how many. What was pushed, beside a job that could not be too, is
    /// marked all the same: else it would be pushed again with each try.
    async fn relay_batch(&self, full: &[Queue]) -> Result<usize, RelayError> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await.map_err(StoreError::from)?;
        let rows = claim(&transaction, BATCH, full).await?;
        let (pushed, outcome) = self.push_all(&rows).await;
        if !pushed.is_empty() {
            mark_relayed(&transaction, &pushed).await?;
        }
        transaction.commit().await.map_err(StoreError::from)?;
        outcome.map(|()| pushed.len())
    }

    /// Pushes rows in their order, many on their way at once; begins none after those among which one failed. Gives what was pushed.
    async fn push_all(&self, rows: &[Waiting]) -> (Vec<OutboxId>, Result<(), RelayError>) {
        let mut pushed = Vec::with_capacity(rows.len());
        for some in rows.chunks(AT_ONCE) {
            let mut outcome = Ok(());
            for (row, result) in some.iter().zip(join_all(some.iter().map(|row| self.push(row))).await) {
                match result {
                    Ok(()) => pushed.push(row.id),
                    // It waits until the limit is raised or somebody deletes it; what is behind it does not.
                    Err(error @ RelayError::Push(EnqueueError::TooBig { .. })) => {
                        tracing::error!(
                            outbox.id = %row.id, error.chain = telemetry::chain(&error),
                            "a promise is too big to be pushed"
                        );
                    }
                    Err(error) => outcome = outcome.and(Err(error)),
                }
            }
            if outcome.is_err() {
                return (pushed, outcome);
            }
        }
        (pushed, Ok(()))
    }

    async fn push(&self, row: &Waiting) -> Result<(), RelayError> {
        let mut envelope = Envelope::new(JobId::from_uuid(row.id.as_uuid()), &row.kind, &row.payload);
        envelope.enqueued_at = Some(row.created_at);
        envelope.not_before = row.not_before;
        let span = span(row);
        // A kept trace shows the way through the outbox; another one is handed on as it came.
        let of_row = || row.carried.traceparent.clone();
        let passed = if span.is_none() { of_row() } else { span.in_scope(current_traceparent).or_else(of_row) };
        envelope.traceparent = passed.map(Into::into);
        envelope.correlation_id = row.carried.correlation_id.as_deref().map(Into::into);
        self.producer.enqueue_envelope(row.queue, row.urgent, &envelope).instrument(span).await?;
        self.relayed.add(1, &[KeyValue::new("queue", row.queue.name())]);
        Ok(())
    }
}

/// The span of one push, where its trace is kept.
fn span(row: &Waiting) -> Span {
    let Carried { traceparent: Some(traceparent), correlation_id } = &row.carried else { return Span::none() };
    let trail = Trail::of(Some(traceparent), correlation_id.as_deref());
    if !trail.is_kept() {
        return Span::none();
    }
    trail.open(|| {
        tracing::info_span!(
            parent: None, "outbox",
            otel.kind = "producer", queue = row.queue.name(), job.id = %row.id, job.kind = row.kind
        )
    })
}
