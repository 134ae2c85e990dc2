//! Jobs promised by a commit: written in the same transaction as the effect they tell of, pushed to Redis after it.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::OutboxId;
use domain::job::{Job, Queue, UnknownQueue};
use postgres_types::Json;
use serde_json::value::{RawValue, to_raw_value};
use telemetry::propagation::Carried;

use crate::statements::{execute, query, query_one};
use crate::{StoreError, sql};

/// Which list a job goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lane {
    /// The queue's ordinary list.
    #[default]
    Normal,
    /// The fast lane.
    Urgent,
}

/// A job that waits to be pushed.
#[derive(Debug)]
pub struct Waiting {
    /// The row, and the id that the job will have on its queue.
    pub id: OutboxId,
    /// Its queue.
    pub queue: Queue,
    /// Whether it takes the fast lane.
    pub urgent: bool,
    /// The job's kind.
    pub kind: String,
    /// The job's payload.
    pub payload: Box<RawValue>,
    /// The earliest time to run it.
    pub not_before: Option<DateTime<Utc>>,
    /// What it belongs to.
    pub carried: Carried,
    /// When it was promised.
    pub created_at: DateTime<Utc>,
}

/// Promises a job.
pub async fn push<J: Job>(client: &impl GenericClient, job: &J, lane: Lane) -> Result<OutboxId, StoreError> {
    let id = OutboxId::generate();
    insert(client, id, job, lane, None, None).await?;
    Ok(id)
}

/// Promises a job once per `dedupe_key`; says whether this call was the one.
pub async fn push_once<J: Job>(
    client: &impl GenericClient,
    job: &J,
    lane: Lane,
    dedupe_key: &str,
) -> Result<bool, StoreError> {
    insert(client, OutboxId::generate(), job, lane, Some(dedupe_key), None).await
}

/// One of many jobs that a commit promises.
#[derive(Debug, Clone)]
pub struct Promise {
    queue: &'static str,
    urgent: bool,
    kind: &'static str,
    payload: Json<Box<RawValue>>,
    carried: Carried,
}

impl Promise {
    /// Promises `job`.
    pub fn of<J: Job>(job: &J, lane: Lane) -> Result<Self, StoreError> {
        Ok(Self {
            queue: J::QUEUE.name(),
            urgent: lane == Lane::Urgent,
            kind: J::KIND,
            payload: text_of(job)?,
            carried: Carried::current(),
        })
    }

    /// Says that it belongs to something else than the work that promises it, as far as `carried` knows.
    #[must_use]
    pub fn on(mut self, carried: Carried) -> Self {
        self.carried = carried.or(self.carried);
        self
    }
}

/// Promises many jobs in one round trip.
pub async fn push_many(client: &impl GenericClient, promises: &[Promise]) -> Result<(), StoreError> {
    if promises.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = promises.iter().map(|_| OutboxId::generate()).collect();
    let queues: Vec<_> = promises.iter().map(|promise| promise.queue).collect();
    let urgent: Vec<_> = promises.iter().map(|promise| promise.urgent).collect();
    let kinds: Vec<_> = promises.iter().map(|promise| promise.kind).collect();
    let payloads: Vec<_> = promises.iter().map(|promise| &promise.payload).collect();
    let traces: Vec<_> = promises.iter().map(|promise| promise.carried.traceparent.as_deref()).collect();
    let correlations: Vec<_> = promises.iter().map(|promise| promise.carried.correlation_id.as_deref()).collect();
    execute(
        client,
        sql!("outbox/insert_many.sql"),
        &[&ids, &queues, &urgent, &kinds, &payloads, &traces, &correlations],
    )
    .await?;
    Ok(())
}

/// A job as the text that is kept of it.
fn text_of(job: &impl Job) -> Result<Json<Box<RawValue>>, StoreError> {
    Ok(Json(to_raw_value(job)?))
}

async fn insert<J: Job>(
    client: &impl GenericClient,
    id: OutboxId,
    job: &J,
    lane: Lane,
    dedupe_key: Option<&str>,
    not_before: Option<DateTime<Utc>>,
) -> Result<bool, StoreError> {
    let payload = text_of(job)?;
    let urgent = lane == Lane::Urgent;
    let Carried { traceparent, correlation_id } = Carried::current();
    let rows = execute(
        client,
        sql!("outbox/insert.sql"),
        &[&id, &J::QUEUE.name(), &urgent, &J::KIND, &payload, &not_before, &dedupe_key, &traceparent, &correlation_id],
    )
    .await?;
    Ok(rows == 1)
}

/// The queues that rows are taken for: those that are not in `full`, and none that only a newer version knows. Its rows are left to
/// it while both run.
pub(crate) fn open_queues(full: &[Queue]) -> Vec<&'static str> {
    Queue::ALL.into_iter().filter(|queue| !full.contains(queue)).map(Queue::name).collect()
}

/// Locks up to `limit` waiting rows for this transaction, but none for the queues in `full` or for one that is not known here; rows
/// that another relay holds are passed over.
pub async fn claim(client: &impl GenericClient, limit: i64, full: &[Queue]) -> Result<Vec<Waiting>, StoreError> {
    let rows = query(client, sql!("outbox/claim.sql"), &[&limit, &open_queues(full)]).await?;
    rows.iter()
        .map(|row| {
            let queue: String = row.try_get(1)?;
            Ok(Waiting {
                id: row.try_get(0)?,
                queue: queue.parse().map_err(|unknown: UnknownQueue| StoreError::WrongRow(unknown.to_string()))?,
                urgent: row.try_get(2)?,
                kind: row.try_get(3)?,
                payload: row.try_get::<_, Json<Box<RawValue>>>(4)?.0,
                not_before: row.try_get(5)?,
                carried: Carried { traceparent: row.try_get(6)?, correlation_id: row.try_get(8)? },
                created_at: row.try_get(7)?,
            })
        })
        .collect()
}

/// Marks rows as pushed.
pub async fn mark_relayed(client: &impl GenericClient, ids: &[OutboxId]) -> Result<(), StoreError> {
    execute(client, sql!("outbox/mark_relayed.sql"), &[&ids]).await?;
    Ok(())
}

/// Deletes rows that were pushed more than `days` ago; returns how many.
pub async fn delete_relayed(client: &impl GenericClient, days: i32) -> Result<u64, StoreError> {
    execute(client, sql!("outbox/delete_relayed.sql"), &[&days]).await
}

/// How many rows wait, and since when the oldest does.
pub async fn lag(client: &impl GenericClient) -> Result<(i64, Option<DateTime<Utc>>), StoreError> {
    let row = query_one(client, sql!("outbox/lag.sql"), &[]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}
