//! Webhooks as they came, each with the verdict on it.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::WebhookId;
use sha2::{Digest, Sha256};

use crate::statements::{execute, query, query_one, query_opt};
use crate::{StoreError, sql};

/// A webhook that arrived.
#[derive(Debug)]
pub struct Arrived<'a> {
    /// Its row.
    pub id: WebhookId,
    /// Where from, such as `razorpay`.
    pub source: &'a str,
    /// The sender's id of the event.
    pub event_id: &'a str,
    /// What the sender calls the event.
    pub event: &'a str,
    /// The exact bytes.
    pub body: &'a [u8],
    /// Headers without secrets.
    pub headers: serde_json::Value,
    /// The client.
    pub remote_address: &'a str,
}

/// What the keys say of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The first of its kind: act on it.
    Accepted,
    /// It, or its body, came before.
    Duplicate,
    /// Its event id came before with another body: somebody plays tricks, or the sender is broken.
    Conflict,
    /// It could not be verified.
    Rejected,
}

impl Verdict {
    /// The word in the table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Rejected => "rejected",
        }
    }
}

/// Records a verified webhook and says whether it is the first of its kind. Commit before answering the sender.
pub async fn record(client: &impl GenericClient, arrived: &Arrived<'_>) -> Result<Verdict, StoreError> {
    let hash = Sha256::digest(arrived.body).to_vec();
    let first =
        execute(client, sql!("webhooks/claim_receipt.sql"), &[&arrived.source, &arrived.event_id, &hash, &arrived.id])
            .await?;
    let verdict = if first == 1 {
        Verdict::Accepted
    } else {
        let row =
            query_one(client, sql!("webhooks/same_event_other_body.sql"), &[&arrived.source, &arrived.event_id, &hash])
                .await?;
        if row.try_get(0)? { Verdict::Conflict } else { Verdict::Duplicate }
    };
    insert(client, arrived, &hash, verdict, "").await?;
    Ok(verdict)
}

/// Records a webhook that could not be verified.
pub async fn record_rejected(
    client: &impl GenericClient,
    arrived: &Arrived<'_>,
    reason: &str,
) -> Result<(), StoreError> {
    let hash = Sha256::digest(arrived.body).to_vec();
    insert(client, arrived, &hash, Verdict::Rejected, reason).await
}

async fn insert(
    client: &impl GenericClient,
    arrived: &Arrived<'_>,
    hash: &[u8],
    verdict: Verdict,
    reason: &str,
) -> Result<(), StoreError> {
    execute(
        client,
        sql!("webhooks/insert.sql"),
        &[
            &arrived.id,
            &arrived.source,
            &arrived.event_id,
            &arrived.event,
            &arrived.body,
            &hash,
            &arrived.headers,
            &arrived.remote_address,
            &verdict.word(),
            &reason,
        ],
    )
    .await?;
    Ok(())
}

/// A stored webhook.
#[derive(Debug)]
pub struct Stored {
    /// Where from.
    pub source: String,
    /// What the sender calls the event.
    pub event: String,
    /// The exact bytes.
    pub body: Vec<u8>,
    /// The verdict's word.
    pub verdict: String,
    /// Whether its effect was applied.
    pub processed: bool,
}

/// The webhook with this id.
pub async fn find(client: &impl GenericClient, id: WebhookId) -> Result<Option<Stored>, StoreError> {
    let row = query_opt(client, sql!("webhooks/find.sql"), &[&id]).await?;
    row.map(|row| {
        Ok(Stored {
            source: row.try_get(0)?,
            event: row.try_get(1)?,
            body: row.try_get(2)?,
            verdict: row.try_get(3)?,
            processed: row.try_get(4)?,
        })
    })
    .transpose()
}

/// Notes that a webhook's effect was applied, and which it was.
pub async fn mark_processed(client: &impl GenericClient, id: WebhookId, effect: &str) -> Result<(), StoreError> {
    execute(client, sql!("webhooks/mark_processed.sql"), &[&id, &effect]).await?;
    Ok(())
}

/// A line of the list of webhooks.
#[derive(Debug, serde::Serialize)]
pub struct Line {
    /// Its row.
    pub id: WebhookId,
    /// Where from.
    pub source: String,
    /// The sender's id.
    pub event_id: String,
    /// What the sender calls the event.
    pub event: String,
    /// The verdict's word.
    pub verdict: String,
    /// Why it was rejected.
    pub reason: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// When its effect was applied.
    pub processed_at: Option<DateTime<Utc>>,
    /// The effect.
    pub effect: Option<String>,
}

/// Webhooks before `before`, the newest first.
pub async fn list(client: &impl GenericClient, before: WebhookId, limit: i64) -> Result<Vec<Line>, StoreError> {
    let rows = query(client, sql!("webhooks/list.sql"), &[&before, &limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(Line {
                id: row.try_get(0)?,
                source: row.try_get(1)?,
                event_id: row.try_get(2)?,
                event: row.try_get(3)?,
                verdict: row.try_get(4)?,
                reason: row.try_get(5)?,
                received_at: row.try_get(6)?,
                processed_at: row.try_get(7)?,
                effect: row.try_get(8)?,
            })
        })
        .collect()
}
