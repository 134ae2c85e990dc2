//! What the console shows that joins several families. Reading only.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{NotificationId, UserId, WebhookId};
use domain::money::Paise;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::statements::{query, query_filtered, query_opt};
use crate::{StoreError, sql};

/// A webhook as it came.
#[derive(Debug)]
pub struct Webhook {
    /// The row.
    pub id: WebhookId,
    /// Where from.
    pub source: String,
    /// The sender's id.
    pub event_id: String,
    /// What the sender calls it.
    pub event: String,
    /// The exact bytes; they hold personal data.
    pub body: Vec<u8>,
    /// Their hash.
    pub sha256: Vec<u8>,
    /// Headers without secrets.
    pub headers: Value,
    /// The client.
    pub remote_address: String,
    /// accepted, duplicate, conflict, rejected.
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// When it was worked on.
    pub processed_at: Option<DateTime<Utc>>,
    /// What it did.
    pub effect: Option<String>,
}

/// One webhook.
pub async fn webhook(client: &impl GenericClient, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
    let row = query_opt(client, sql!("console/webhook.sql"), &[&id]).await?;
    row.map(|row| {
        Ok(Webhook {
            id: row.try_get(0)?,
            source: row.try_get(1)?,
            event_id: row.try_get(2)?,
            event: row.try_get(3)?,
            body: row.try_get(4)?,
            sha256: row.try_get(5)?,
            headers: row.try_get(6)?,
            remote_address: row.try_get(7)?,
            verdict: row.try_get(8)?,
            reason: row.try_get(9)?,
            received_at: row.try_get(10)?,
            processed_at: row.try_get(11)?,
            effect: row.try_get(12)?,
        })
    })
    .transpose()
}

/// A message to a person.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub id: NotificationId,
    /// The business event.
    pub event_key: String,
    /// email or sms.
    pub channel: String,
    /// Which text.
    pub template: String,
    /// Its language.
    pub lang: String,
    /// To whom, masked.
    pub recipient: String,
    /// How it stands.
    pub status: String,
    /// How often it was tried.
    pub attempts: i32,
    /// Who sends it.
    pub provider: String,
    /// Why it stands so.
    pub reason: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Delivery {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.try_get(0)?,
            event_key: row.try_get(1)?,
            channel: row.try_get(2)?,
            template: row.try_get(3)?,
            lang: row.try_get(4)?,
            recipient: row.try_get(5)?,
            status: row.try_get(6)?,
            attempts: row.try_get(7)?,
            provider: row.try_get(8)?,
            reason: row.try_get(9)?,
            created_at: row.try_get(10)?,
            updated_at: row.try_get(11)?,
        })
    }
}

/// A message with all that is known of it.
#[derive(Debug)]
pub struct Sent {
    /// The message.
    pub delivery: Delivery,
    /// What kind of message it is.
    pub category: String,
    /// The shopper.
    pub user_id: Option<UserId>,
    /// The provider's id.
    pub provider_message_id: Option<String>,
    /// Parts that an SMS is billed as.
    pub parts: Option<i16>,
    /// When the provider took it.
    pub sent_at: Option<DateTime<Utc>>,
}

/// One message.
pub async fn delivery(client: &impl GenericClient, id: NotificationId) -> Result<Option<Sent>, StoreError> {
    let row = query_opt(client, sql!("console/delivery.sql"), &[&id]).await?;
    row.map(|row| {
        Ok(Sent {
            delivery: Delivery::read(&row)?,
            category: row.try_get(12)?,
            user_id: row.try_get(13)?,
            provider_message_id: row.try_get(14)?,
            parts: row.try_get(15)?,
            sent_at: row.try_get(16)?,
        })
    })
    .transpose()
}

/// What a provider reported of a message.
#[derive(Debug)]
pub struct DeliveryEvent {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What became of the message.
    pub status: String,
    /// Why.
    pub reason: String,
}

/// All that was reported of a message, the oldest first.
pub async fn delivery_events(
    client: &impl GenericClient,
    id: NotificationId,
) -> Result<Vec<DeliveryEvent>, StoreError> {
    let rows = query(client, sql!("console/delivery_events.sql"), &[&id]).await?;
    rows.iter()
        .map(|row| Ok(DeliveryEvent { at: row.try_get(0)?, status: row.try_get(1)?, reason: row.try_get(2)? }))
        .collect()
}

/// Messages before `before`, the newest first; an empty status means all.
pub async fn deliveries(
    client: &impl GenericClient,
    before: NotificationId,
    status: &str,
    limit: i64,
) -> Result<Vec<Delivery>, StoreError> {
    let rows = query_filtered(client, sql!("console/deliveries.sql"), &[&before, &status, &limit]).await?;
    rows.iter().map(Delivery::read).collect()
}

/// What a webhook did, or was asked to do again.
#[derive(Debug)]
pub struct WebhookEvent {
    /// When.
    pub at: DateTime<Utc>,
    /// `effect`, `replay` or `preview`.
    pub kind: String,
    /// Who asked, for a replay.
    pub by: String,
    /// What came of it, in words; empty while it is on its way.
    pub text: String,
}

/// Everything that a webhook did and was asked to do again, the oldest first.
pub async fn webhook_events(client: &impl GenericClient, id: WebhookId) -> Result<Vec<WebhookEvent>, StoreError> {
    let rows = query(client, sql!("console/webhook_events.sql"), &[&id]).await?;
    rows.iter()
        .map(|row| {
            Ok(WebhookEvent { at: row.try_get(0)?, kind: row.try_get(1)?, by: row.try_get(2)?, text: row.try_get(3)? })
        })
        .collect()
}

/// Something that happened to a shopper's money, messages or clicks.
#[derive(Debug)]
pub struct Moment {
    /// When.
    pub at: DateTime<Utc>,
    /// click, transaction, cashback, ledger, order, payment, withdrawal, message, webhook.
    pub kind: String,
    /// The row's id.
    pub id: Uuid,
    /// How it stood, or what it was.
    pub status: String,
    /// What else is known, without personal data.
    pub detail: String,
    /// The money it was about.
    pub amount: Option<Paise>,
    /// What an entry of the ledger left in the wallet.
    pub balance: Option<Paise>,
    /// The shopper.
    pub user_id: Option<UserId>,
}

/// All that belongs to what `text` or `id` names (a shopper, a click, a transaction, an order, a withdrawal, a message or a
/// webhook), or to the correlation id `text` in all that it led to, the oldest first, 500 at most.
pub async fn timeline(client: &impl GenericClient, text: &str, id: Option<Uuid>) -> Result<Vec<Moment>, StoreError> {
    let rows = query(client, sql!("console/timeline.sql"), &[&text, &id]).await?;
    rows.iter()
        .map(|row| {
            Ok(Moment {
                at: row.try_get(0)?,
                kind: row.try_get(1)?,
                id: row.try_get(2)?,
                status: row.try_get(3)?,
                detail: row.try_get(4)?,
                amount: row.try_get(5)?,
                balance: row.try_get(6)?,
                user_id: row.try_get(7)?,
            })
        })
        .collect()
}
