//! What the console shows that joins several families. Reading only.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{ClickId, NotificationId, OfferId, SyncRunId, TransactionId, UserId, WalletTransactionId, WebhookId};
use domain::money::Paise;
use serde_json::Value;

use crate::statements::{query, query_opt};
use crate::{StoreError, sql};

/// A shopper's wallet.
#[derive(Debug)]
pub struct Wallet {
    /// Whose.
    pub user_id: UserId,
    /// The shopper's name.
    pub name: String,
    /// The mail address, in full: mask it before it is shown.
    pub email: Option<String>,
    /// The number, in full: mask it before it is shown.
    pub mobile: Option<String>,
    /// Since when withdrawals are blocked.
    pub frozen_at: Option<DateTime<Utc>>,
    /// What is in it.
    pub balance: Paise,
    /// What may be taken out now.
    pub withdrawable: Paise,
    /// What may come.
    pub pending: Paise,
}

/// The wallet of a shopper.
pub async fn wallet(client: &impl GenericClient, user: UserId) -> Result<Option<Wallet>, StoreError> {
    let row = query_opt(client, sql!("console/wallet.sql"), &[&user]).await?;
    row.map(|row| {
        Ok(Wallet {
            user_id: row.try_get(0)?,
            name: row.try_get(1)?,
            email: row.try_get(2)?,
            mobile: row.try_get(3)?,
            frozen_at: row.try_get(4)?,
            balance: row.try_get(5)?,
            withdrawable: row.try_get(6)?,
            pending: row.try_get(7)?,
        })
    })
    .transpose()
}

/// A line of a wallet's statement.
#[derive(Debug)]
pub struct StatementLine {
    /// Its place in the ledger.
    pub seq: i64,
    /// The ledger's row.
    pub id: WalletTransactionId,
    /// What kind of transfer.
    pub kind: String,
    /// What came (above zero) or went (below).
    pub amount: Paise,
    /// The wallet afterwards.
    pub balance: Option<Paise>,
    /// The key under which it was posted once.
    pub key: String,
    /// Why.
    pub reason: Value,
    /// When.
    pub at: DateTime<Utc>,
}

/// The statement of a wallet before `before` (a place in the ledger), the newest first.
pub async fn statement(
    client: &impl GenericClient,
    user: UserId,
    before: i64,
    limit: i64,
) -> Result<Vec<StatementLine>, StoreError> {
    let rows = query(client, sql!("console/statement.sql"), &[&user, &before, &limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(StatementLine {
                seq: row.try_get(0)?,
                id: row.try_get(1)?,
                kind: row.try_get(2)?,
                amount: row.try_get(3)?,
                balance: row.try_get(4)?,
                key: row.try_get(5)?,
                reason: row.try_get(6)?,
                at: row.try_get(7)?,
            })
        })
        .collect()
}

/// A network's transaction that belongs to no click we know.
#[derive(Debug)]
pub struct Unmatched {
    /// Our row.
    pub id: TransactionId,
    /// The network.
    pub network: String,
    /// The network's id.
    pub external_id: String,
    /// The merchant's order.
    pub order: Option<String>,
    /// The merchant, when its programme is known.
    pub merchant: Option<String>,
    /// What was bought for.
    pub sale: Option<Paise>,
    /// What we get.
    pub commission: Paise,
    /// The network's word for its state.
    pub raw_status: String,
    /// Why it is not matched.
    pub reason: String,
    /// When it was bought.
    pub occurred_at: DateTime<Utc>,
    /// Since when it is known to be unmatched.
    pub noted_at: DateTime<Utc>,
    /// The sub-id that came back.
    pub sub_id: Option<String>,
}

/// Open unmatched transactions before `before`, the newest first.
pub async fn unmatched(
    client: &impl GenericClient,
    before: TransactionId,
    limit: i64,
) -> Result<Vec<Unmatched>, StoreError> {
    let rows = query(client, sql!("console/unmatched.sql"), &[&before, &limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(Unmatched {
                id: row.try_get(0)?,
                network: row.try_get(1)?,
                external_id: row.try_get(2)?,
                order: row.try_get(3)?,
                merchant: row.try_get(4)?,
                sale: row.try_get(5)?,
                commission: row.try_get(6)?,
                raw_status: row.try_get(7)?,
                reason: row.try_get(8)?,
                occurred_at: row.try_get(9)?,
                noted_at: row.try_get(10)?,
                sub_id: row.try_get(11)?,
            })
        })
        .collect()
}

/// A click that may have led to a transaction.
#[derive(Debug)]
pub struct Suggestion {
    /// The click.
    pub click_id: ClickId,
    /// Whose.
    pub user_id: UserId,
    /// The shopper's name.
    pub name: Option<String>,
    /// When.
    pub clicked_at: DateTime<Utc>,
    /// On what.
    pub offer_id: OfferId,
}

/// Clicks to the transaction's merchant in the thirty days before it, the nearest first.
pub async fn suggestions(
    client: &impl GenericClient,
    transaction: TransactionId,
) -> Result<Vec<Suggestion>, StoreError> {
    let rows = query(client, sql!("console/suggestions.sql"), &[&transaction]).await?;
    rows.iter()
        .map(|row| {
            Ok(Suggestion {
                click_id: row.try_get(0)?,
                user_id: row.try_get(1)?,
                name: row.try_get(2)?,
                clicked_at: row.try_get(3)?,
                offer_id: row.try_get(4)?,
            })
        })
        .collect()
}

/// A pull of a network.
#[derive(Debug)]
pub struct SyncRun {
    /// The run.
    pub id: SyncRunId,
    /// The network.
    pub network: String,
    /// How it stands.
    pub status: String,
    /// Who asked.
    pub requested_by: String,
    /// Pages read.
    pub pages: i32,
    /// Rows read, new, changed, matched, unmatched, quarantined.
    pub rows: [i64; 6],
    /// Commission in what was read.
    pub commission: Paise,
    /// Why it failed.
    pub error: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// The newest pulls.
pub async fn sync_runs(client: &impl GenericClient, limit: i64) -> Result<Vec<SyncRun>, StoreError> {
    let rows = query(client, sql!("console/sync_runs.sql"), &[&limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(SyncRun {
                id: row.try_get(0)?,
                network: row.try_get(1)?,
                status: row.try_get(2)?,
                requested_by: row.try_get(3)?,
                pages: row.try_get(4)?,
                rows: [
                    row.try_get(5)?,
                    row.try_get(6)?,
                    row.try_get(7)?,
                    row.try_get(8)?,
                    row.try_get(9)?,
                    row.try_get(10)?,
                ],
                commission: row.try_get(11)?,
                error: row.try_get(12)?,
                started_at: row.try_get(13)?,
                finished_at: row.try_get(14)?,
            })
        })
        .collect()
}

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

/// Messages before `before`, the newest first; an empty status means all.
pub async fn deliveries(
    client: &impl GenericClient,
    before: NotificationId,
    status: &str,
    limit: i64,
) -> Result<Vec<Delivery>, StoreError> {
    let rows = query(client, sql!("console/deliveries.sql"), &[&before, &status, &limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(Delivery {
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
        })
        .collect()
}
