//! The ledger. Every movement of money is one call of [`post`] or [`post_many`], or goes through a [`Poster`]; nothing else writes
//! to it.

pub mod chain;
mod poster;
mod statement;

use std::collections::HashMap;

use deadpool_postgres::GenericClient;
use domain::ids::{AccountId, UserId, WalletTransactionId};
use domain::money::Paise;
use domain::wallet::{Account, Transfer};
use serde_json::Value;
use telemetry::propagation::current_correlation;
use tokio_postgres::Row;

pub use poster::Poster;
pub use statement::{Change, Line, Origin, Purchase, Step, pending, statement};

use crate::statements::{column, query, query_one, query_opt};
use crate::{StoreError, sql};

/// Why a transfer was not posted.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The wallet holds less than the amount.
    #[error("the wallet holds too little")]
    Insufficient,
    /// The idempotency key was used for another transfer.
    #[error("the idempotency key was used for another transfer")]
    OtherInput,
    /// An account does not exist, or both sides are shoppers.
    #[error("the transfer names an account that does not exist, or two shoppers")]
    NoAccount,
    /// Postgres did not answer or refused for another reason.
    #[error("the ledger could not be written")]
    Store(#[source] StoreError),
}

impl From<StoreError> for LedgerError {
    fn from(error: StoreError) -> Self {
        match sqlstate(&error) {
            Some("WA001") => Self::Insufficient,
            Some("WA004") => Self::OtherInput,
            Some("WA005") => Self::NoAccount,
            _ if error.violated() == Some("wallet_not_overdrawn") => Self::Insufficient,
            _ => Self::Store(error),
        }
    }
}

/// The SQLSTATE of a refusal, such as the ledger's own `WA001`.
pub(crate) fn sqlstate(error: &StoreError) -> Option<&str> {
    match error {
        StoreError::Statement(error) => error.code().map(tokio_postgres::error::SqlState::code),
        _ => None,
    }
}

/// What a posting came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// The ledger's row.
    pub id: WalletTransactionId,
    /// Whether it had been posted before, so that this call had no effect.
    pub replayed: bool,
    /// The shopper's balance right after it; `None` between platform accounts.
    pub balance: Option<Paise>,
}

/// Posts one transfer, in one round trip. The same key and input again give the same answer.
pub async fn post(client: &impl GenericClient, transfer: &Transfer) -> Result<Posted, LedgerError> {
    let row = query_one(
        client,
        sql!("wallet/post_transfer.sql"),
        &[
            &WalletTransactionId::generate(),
            &transfer.debit.id(),
            &transfer.credit.id(),
            &transfer.amount,
            &transfer.kind.word(),
            &transfer.key,
            &correlated(&transfer.reason),
        ],
    )
    .await?;
    Ok(posted(&row)?)
}

/// Posts many transfers, all or none, in one round trip; answers in their order. A key may stand once among them.
pub async fn post_many(client: &impl GenericClient, transfers: &[Transfer]) -> Result<Vec<Posted>, LedgerError> {
    if transfers.is_empty() {
        return Ok(Vec::new());
    }
    let transfers: Vec<_> = transfers.iter().map(|transfer| (WalletTransactionId::generate(), transfer)).collect();
    let rows = query_named(client, sql!("wallet/post_transfers.sql"), &transfers).await?;
    Ok(rows.iter().map(posted).collect::<Result<_, _>>()?)
}

/// Posts transfers of wallets that come once each, by keys that are new, all or none; answers in their order. What callers who
/// know nothing of one another want is nearly always that, and where they are few it costs much less than [`post_many`].
/// Whatever else they want is refused as a whole. For connections that look rows up by key: see the function in Postgres.
async fn post_apart(client: &impl GenericClient, transfers: &[Transfer]) -> Result<Vec<Posted>, LedgerError> {
    let named: Vec<_> = transfers.iter().map(|transfer| (WalletTransactionId::generate(), transfer)).collect();
    // Wallets are locked in the order of their ids, as everywhere.
    let mut by_wallet = named.clone();
    by_wallet.sort_unstable_by_key(|(_, transfer)| wallet_of(transfer));
    let rows = query_named(client, sql!("wallet/post_apart.sql"), &by_wallet).await?;
    let answers = rows.iter().map(|row| posted(row).map(|posted| (posted.id, posted)));
    let answers: HashMap<_, _> = answers.collect::<Result<_, _>>()?;
    let answer = |(id, _): &(WalletTransactionId, &Transfer)| answers.get(id).copied();
    let in_order = named.iter().map(answer).collect::<Option<Vec<_>>>();
    in_order.ok_or_else(|| LedgerError::Store(StoreError::WrongRow("a transfer has no answer".to_owned())))
}

/// The wallet that a transfer moves, if it moves one.
fn wallet_of(transfer: &Transfer) -> Option<UserId> {
    match (transfer.debit, transfer.credit) {
        (Account::User(user), _) | (_, Account::User(user)) => Some(user),
        _ => None,
    }
}

/// Runs a statement that takes transfers, with the ids of their entries, as arrays.
async fn query_named(
    client: &impl GenericClient,
    text: &str,
    transfers: &[(WalletTransactionId, &Transfer)],
) -> Result<Vec<Row>, StoreError> {
    let ids = column!(transfers, named => named.0);
    let debits = column!(transfers, named => named.1.debit.id());
    let credits = column!(transfers, named => named.1.credit.id());
    let amounts = column!(transfers, named => named.1.amount);
    let kinds = column!(transfers, named => named.1.kind.word());
    let keys = column!(transfers, named => named.1.key.as_str());
    let reasons = column!(transfers, named => correlated(&named.1.reason));
    query(client, text, &[&ids, &debits, &credits, &amounts, &kinds, &keys, &reasons]).await
}

/// Says in the reason of an entry what it belongs to, unless it says so already. The reason is no part of what a key must repeat.
pub(crate) fn correlate(reason: &mut Value, correlation: &str) {
    if let Value::Object(reason) = reason {
        reason.entry("correlation_id").or_insert_with(|| correlation.into());
    }
}

/// A reason with what the current piece of work belongs to.
fn correlated(reason: &Value) -> Value {
    let mut reason = reason.clone();
    if let Some(correlation) = current_correlation() {
        correlate(&mut reason, &correlation);
    }
    reason
}

fn posted(row: &Row) -> Result<Posted, StoreError> {
    Ok(Posted { id: row.try_get(0)?, replayed: row.try_get(1)?, balance: row.try_get(2)? })
}

/// Locks wallets for this transaction, in the order of their ids, so that no two transactions wait for each other.
/// Whoever changes what a shopper's cashback has come to holds the shopper's wallet.
pub async fn lock(client: &impl GenericClient, users: &[UserId]) -> Result<(), StoreError> {
    if !users.is_empty() {
        query(client, sql!("wallet/lock.sql"), &[&users]).await?;
    }
    Ok(())
}

/// What is in a shopper's wallet; `None` for an unknown shopper.
pub async fn balance(client: &impl GenericClient, user: UserId) -> Result<Option<Paise>, StoreError> {
    Ok(query_opt(client, sql!("wallet/balance.sql"), &[&user]).await?.map(|row| row.try_get(0)).transpose()?)
}

/// A wallet at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overview {
    /// What is in it.
    pub balance: Paise,
    /// What may be taken out now.
    pub withdrawable: Paise,
    /// Cashback that waits for merchants.
    pub pending: Paise,
}

/// A shopper's wallet at a glance; `None` for an unknown shopper.
pub async fn overview(client: &impl GenericClient, user: UserId) -> Result<Option<Overview>, StoreError> {
    let Some(row) = query_opt(client, sql!("wallet/overview.sql"), &[&user]).await? else { return Ok(None) };
    Ok(Some(Overview { balance: row.try_get(0)?, withdrawable: row.try_get(1)?, pending: row.try_get(2)? }))
}

/// What all entries of an account come to. Reads every entry of a platform account: for reports, not for decisions.
pub async fn account_sum(client: &impl GenericClient, account: AccountId) -> Result<Paise, StoreError> {
    Ok(query_one(client, sql!("wallet/account_sum.sql"), &[&account]).await?.try_get(0)?)
}

/// A wallet whose balance is not the sum of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drift {
    /// Whose.
    pub user_id: UserId,
    /// The balance kept.
    pub balance: Paise,
    /// What the entries come to.
    pub entries: Paise,
}

/// Wallets whose balance is not the sum of their entries, at most `limit`. There are none unless somebody wrote past the
/// ledger.
pub async fn drift(client: &impl GenericClient, limit: i64) -> Result<Vec<Drift>, StoreError> {
    let rows = query(client, sql!("wallet/drift.sql"), &[&limit]).await?;
    rows.iter()
        .map(|row| Ok(Drift { user_id: row.try_get(0)?, balance: row.try_get(1)?, entries: row.try_get(2)? }))
        .collect()
}
