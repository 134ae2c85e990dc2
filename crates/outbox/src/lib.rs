//! From the outbox table to the lists: what a commit promised is pushed within a second, whoever dies in between.
//!
//! Every service that writes promises runs a [`Relay`]. Rows are locked with `SKIP LOCKED`, so replicas share the work. A
//! relay that dies after the push and before the mark pushes again: the job keeps the row's id, and every effect has its
//! own key, so a second delivery does no harm.

use std::time::Duration;

use domain::ids::JobId;
use domain::job::{Queue, UnknownQueue};
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

/// Why promises were not passed on this time.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Postgres did not answer.
    #[error("the outbox could not be read or marked")]
    Store(#[from] StoreError),
    /// Redis did not take a job.
    #[error("a promised job could not be pushed")]
    Push(#[from] EnqueueError),
    /// A row names a queue that this version does not know.
    #[error("a promised job is for an unknown queue")]
    Queue(#[from] UnknownQueue),
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
            match self.relay_all().await {
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error.chain = telemetry::chain(&error), "the outbox waits");
                    pause = SWEEP * 2;
                }
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

    /// Pushes everything that waits; returns how much it was.
    pub async fn relay_all(&self) -> Result<u64, RelayError> {
        let mut total = 0;
        loop {
            let relayed = self.relay_batch().await?;
            total += relayed;
            if relayed == 0 {
                return Ok(total);
            }
        }
    }

    async fn relay_batch(&self) -> Result<u64, RelayError> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await.map_err(StoreError::from)?;
        let rows = claim(&transaction, BATCH).await?;
        for row in &rows {
            self.push(row).await?;
        }
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        if !ids.is_empty() {
            mark_relayed(&transaction, &ids).await?;
        }
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(rows.len().try_into().unwrap_or(u64::MAX))
    }

    async fn push(&self, row: &Waiting) -> Result<(), RelayError> {
        let queue: Queue = row.queue.parse()?;
        let mut envelope = Envelope::new(JobId::from_uuid(row.id.as_uuid()), &row.kind, &row.payload);
        envelope.enqueued_at = Some(row.created_at);
        envelope.not_before = row.not_before;
        let span = span(row, queue);
        // A kept trace shows the way through the outbox; another one is handed on as it came.
        let of_row = || row.carried.traceparent.clone();
        let passed = if span.is_none() { of_row() } else { span.in_scope(current_traceparent).or_else(of_row) };
        envelope.traceparent = passed.map(Into::into);
        envelope.correlation_id = row.carried.correlation_id.as_deref().map(Into::into);
        self.producer.enqueue_envelope(queue, row.urgent, &envelope).instrument(span).await?;
        self.relayed.add(1, &[KeyValue::new("queue", queue.name())]);
        Ok(())
    }
}

/// The span of one push, where its trace is kept.
fn span(row: &Waiting, queue: Queue) -> Span {
    let Carried { traceparent: Some(traceparent), correlation_id } = &row.carried else { return Span::none() };
    let trail = Trail::of(Some(traceparent), correlation_id.as_deref());
    if !trail.is_kept() {
        return Span::none();
    }
    trail.open(|| {
        tracing::info_span!(
            parent: None, "outbox",
            otel.kind = "producer", queue = queue.name(), job.id = %row.id, job.kind = row.kind
        )
    })
}
