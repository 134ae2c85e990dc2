//! Transactions that belong to no click we know: who waits for what, and which clicks they may belong to.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{ClickId, MerchantId, OfferId, TransactionId, UserId};
use domain::money::Paise;
use domain::network::Network;
use tokio_postgres::Row;

use crate::statements::{column, query, query_one, word};
use crate::{StoreError, sql};

/// Unmatched transactions that name one of these clicks.
pub async fn unmatched_of_clicks(
    client: &impl GenericClient,
    clicks: &[ClickId],
) -> Result<HashMap<Network, Vec<TransactionId>>, StoreError> {
    by_network(&query(client, sql!("transactions/unmatched_of_clicks.sql"), &[&clicks]).await?)
}

/// Unmatched transactions of one of these orders.
pub async fn unmatched_of_orders(
    client: &impl GenericClient,
    orders: &[(MerchantId, String)],
) -> Result<HashMap<Network, Vec<TransactionId>>, StoreError> {
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let merchants = column!(orders, order => order.0);
    let numbers = column!(orders, order => order.1.as_str());
    by_network(&query(client, sql!("transactions/unmatched_of_orders.sql"), &[&merchants, &numbers]).await?)
}

fn by_network(rows: &[Row]) -> Result<HashMap<Network, Vec<TransactionId>>, StoreError> {
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows {
        found.entry(word(row.try_get(0)?)?).or_default().push(row.try_get(1)?);
    }
    Ok(found)
}

/// Unmatched transactions whose click or order is known by now, at most `limit`: what a crash between two commits left.
pub async fn sweep(
    client: &impl GenericClient,
    limit: i64,
) -> Result<HashMap<Network, Vec<TransactionId>>, StoreError> {
    by_network(&query(client, sql!("transactions/sweep.sql"), &[&limit]).await?)
}

/// A transaction that waits for a click or an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched {
    /// The transaction.
    pub id: TransactionId,
    /// Its network.
    pub network: Network,
    /// The network's id.
    pub external_id: String,
    /// The sub-id it came back with.
    pub sub_id: Option<String>,
    /// The merchant's order number.
    pub order_id: Option<String>,
    /// The network's programme.
    pub campaign_id: Option<String>,
    /// The shop, when the programme is one of ours.
    pub merchant: Option<String>,
    /// What the shopper paid.
    pub sale: Option<Paise>,
    /// What we get.
    pub commission: Paise,
    /// Where it stands, in its word.
    pub status: String,
    /// When the shopper bought.
    pub occurred_at: DateTime<Utc>,
    /// Why it has no click, in its word.
    pub reason: String,
    /// Since when.
    pub noted_at: DateTime<Utc>,
}

/// Unmatched transactions, the newest first, behind `after`.
pub async fn unmatched(
    client: &impl GenericClient,
    after: Option<TransactionId>,
    limit: i64,
) -> Result<Vec<Unmatched>, StoreError> {
    let rows = query(client, sql!("transactions/list_unmatched.sql"), &[&after, &limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(Unmatched {
                id: row.try_get(0)?,
                network: word(row.try_get(1)?)?,
                external_id: row.try_get(2)?,
                sub_id: row.try_get(3)?,
                order_id: row.try_get(4)?,
                campaign_id: row.try_get(5)?,
                merchant: row.try_get(6)?,
                sale: row.try_get(7)?,
                commission: row.try_get(8)?,
                status: row.try_get(9)?,
                occurred_at: row.try_get(10)?,
                reason: row.try_get(11)?,
                noted_at: row.try_get(12)?,
            })
        })
        .collect()
}

/// How many transactions wait.
pub async fn unmatched_count(client: &impl GenericClient) -> Result<i64, StoreError> {
    Ok(query_one(client, sql!("transactions/count_unmatched.sql"), &[]).await?.try_get(0)?)
}

/// A click that an unmatched transaction may belong to, with what speaks for it, 0 to 100 points in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The click.
    pub click_id: ClickId,
    /// Its shopper.
    pub user_id: UserId,
    /// The offer clicked.
    pub offer_id: OfferId,
    /// When.
    pub clicked_at: DateTime<Utc>,
    /// How close in time, up to 60.
    pub time: i32,
    /// The same shop, 25.
    pub merchant: i32,
    /// Like what the shopper usually spends there, and a click that has brought nothing yet, up to 15.
    pub amount: i32,
}

/// The clicks that an unmatched transaction may belong to, the likeliest first.
pub async fn suggestions(
    client: &impl GenericClient,
    id: TransactionId,
    limit: i64,
) -> Result<Vec<Suggestion>, StoreError> {
    let rows = query(client, sql!("transactions/suggestions.sql"), &[&id, &limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(Suggestion {
                click_id: row.try_get(0)?,
                user_id: row.try_get(1)?,
                offer_id: row.try_get(2)?,
                clicked_at: row.try_get(3)?,
                time: row.try_get(4)?,
                merchant: row.try_get(5)?,
                amount: row.try_get(6)?,
            })
        })
        .collect()
}
