//! Jobs of accepted webhooks that are not on their list yet.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::WebhookId;
use domain::job::Queue;
use telemetry::propagation::Carried;

use crate::outbox::open_queues;
use crate::statements::{query, query_one};
use crate::{StoreError, sql};

/// A job that waits to be pushed.
#[derive(Debug)]
pub struct Pending {
    /// The webhook, whose id the job will have.
    pub webhook_id: WebhookId,
    /// Its queue.
    pub queue: Queue,
    /// Its kind.
    pub kind: String,
    /// Its payload, as JSON.
    pub payload: String,
    /// What the request belongs to.
    pub carried: Carried,
    /// Since when it waits.
    pub created_at: DateTime<Utc>,
}

/// Locks, for this transaction, up to `limit` jobs that wait for longer than `seconds`, but none for the queues in `full` or for one
/// that is not known here; those that another sweep holds are passed over.
pub async fn claim_pending(
    client: &impl GenericClient,
    limit: i64,
    seconds: f64,
    full: &[Queue],
) -> Result<Vec<Pending>, StoreError> {
    let rows = query(client, sql!("webhooks/claim_pending.sql"), &[&limit, &seconds, &open_queues(full)]).await?;
    rows.iter()
        .map(|row| {
            let queue: String = row.try_get(1)?;
            Ok(Pending {
                webhook_id: row.try_get(0)?,
                queue: queue.parse().map_err(|_unknown| StoreError::WrongRow(format!("queue {queue:?}")))?,
                kind: row.try_get(2)?,
                payload: row.try_get(3)?,
                carried: Carried { traceparent: row.try_get(4)?, correlation_id: row.try_get(6)? },
                created_at: row.try_get(5)?,
            })
        })
        .collect()
}

/// Forgets jobs that were pushed.
pub async fn forget_pending(client: &impl GenericClient, ids: &[WebhookId]) -> Result<(), StoreError> {
    query_one(client, sql!("webhooks/forget_pending.sql"), &[&ids]).await?;
    Ok(())
}
