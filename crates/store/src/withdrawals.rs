//! Money that leaves a wallet for a bank account, and comes back when the bank does not take it.
//!
//! A withdrawal keeps the highest state of the provider's life cycle; what is lower and comes later changes nothing. The
//! money returns once, whatever combination of failed and reversed is told, in whatever order.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{UserId, WithdrawalId};
use domain::money::Paise;
use domain::wallet::{Account, PayoutState, Transfer, TransferKind, WithdrawalStatus};
use serde_json::json;
use tokio_postgres::Row;

use crate::cashback::notices;
use crate::statements::{execute, query, query_one, query_opt, word};
use crate::wallet::{self, LedgerError, sqlstate};
use crate::{StoreError, sql};

/// A withdrawal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// The withdrawal; it is also the payout's `reference_id` and idempotency key at the provider.
    pub id: WithdrawalId,
    /// Whose.
    pub user_id: UserId,
    /// How much.
    pub amount: Paise,
    /// What it has come to.
    pub status: WithdrawalStatus,
    /// Where the money goes, in the provider's words.
    pub fund_account_id: String,
    /// The provider's payout, once known.
    pub payout_id: Option<String>,
    /// The bank's reference, once known.
    pub utr: Option<String>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// When the shopper asked.
    pub requested_at: DateTime<Utc>,
    /// When the shopper's bank had it.
    pub processed_at: Option<DateTime<Utc>>,
    /// When the money went back to the wallet.
    pub returned_at: Option<DateTime<Utc>>,
    /// The last change.
    pub updated_at: DateTime<Utc>,
}

/// A wish to withdraw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWithdrawal {
    /// A fresh id; a repetition may bring another one and gets the first.
    pub id: WithdrawalId,
    /// Who.
    pub user_id: UserId,
    /// How much.
    pub amount: Paise,
    /// Where to, in the provider's words (`fa_…`).
    pub fund_account_id: String,
    /// The same key with the same wish is one withdrawal.
    pub idempotency_key: String,
}

/// Why there is no withdrawal.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// More than may be taken out.
    #[error("only {available} can be withdrawn")]
    Insufficient {
        /// What may be taken out.
        available: Paise,
    },
    /// Less than the minimum.
    #[error("withdrawals begin at {minimum}")]
    BelowMinimum {
        /// The minimum.
        minimum: Paise,
    },
    /// The shopper's withdrawals are frozen.
    #[error("withdrawals of this shopper are frozen")]
    Frozen,
    /// The key was used for another wish.
    #[error("the idempotency key was used for another withdrawal")]
    OtherInput,
    /// There is no such shopper.
    #[error("the shopper has no wallet")]
    NoWallet,
    /// Postgres did not answer or refused for another reason.
    #[error("the withdrawal could not be stored")]
    Store(#[source] StoreError),
}

impl From<StoreError> for RequestError {
    fn from(error: StoreError) -> Self {
        let paise = || {
            let StoreError::Statement(error) = &error else { return Paise::ZERO };
            let detail = error.as_db_error().and_then(tokio_postgres::error::DbError::detail);
            Paise::new(detail.and_then(|text| text.parse().ok()).unwrap_or_default())
        };
        match sqlstate(&error) {
            Some("WA001") => Self::Insufficient { available: paise() },
            Some("WA002") => Self::BelowMinimum { minimum: paise() },
            Some("WA003") => Self::Frozen,
            Some("WA004") => Self::OtherInput,
            Some("WA005") => Self::NoWallet,
            _ => Self::Store(error),
        }
    }
}

/// Takes the money out of the wallet and promises the payout, in one step and one round trip. Two requests at once
/// cannot take more than there is.
pub async fn request(client: &impl GenericClient, new: &NewWithdrawal) -> Result<Withdrawal, RequestError> {
    let row = query_one(
        client,
        sql!("withdrawals/request.sql"),
        &[
            &new.id,
            &new.user_id,
            &new.amount,
            &new.fund_account_id,
            &new.idempotency_key,
            &telemetry::propagation::current_correlation(),
        ],
    )
    .await?;
    Ok(withdrawal(&row)?)
}

/// Finds a withdrawal.
pub async fn find(client: &impl GenericClient, id: WithdrawalId) -> Result<Option<Withdrawal>, StoreError> {
    query_opt(client, sql!("withdrawals/find.sql"), &[&id]).await?.as_ref().map(withdrawal).transpose()
}

/// Withdrawals, newest first, of one shopper or all, in one state or all, requested before a time and before the withdrawal
/// `after`; at most `limit`.
pub async fn list(
    client: &impl GenericClient,
    user: Option<UserId>,
    status: Option<WithdrawalStatus>,
    before: Option<DateTime<Utc>>,
    after: Option<WithdrawalId>,
    limit: i64,
) -> Result<Vec<Withdrawal>, StoreError> {
    let status = status.map(WithdrawalStatus::word);
    let rows = query(client, sql!("withdrawals/list.sql"), &[&user, &status, &before, &after, &limit]).await?;
    rows.iter().map(withdrawal).collect()
}

/// What the provider says of a payout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutNews {
    /// The payout (`pout_…`).
    pub payout_id: String,
    /// Our withdrawal, from the payout's `reference_id`.
    pub withdrawal_id: Option<WithdrawalId>,
    /// Its state.
    pub state: PayoutState,
    /// The state in the provider's word.
    pub provider_status: String,
    /// How much.
    pub amount: Paise,
    /// The bank's reference; it may come with a later event.
    pub utr: Option<String>,
    /// Why, in words for the shopper, when it failed or came back.
    pub reason: Option<String>,
    /// When the provider said so.
    pub at: DateTime<Utc>,
}

/// What the news changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayoutEffect {
    /// Nothing: it was known, or older than what is known.
    Nothing,
    /// The provider works on it.
    Processing,
    /// The shopper's bank has the money.
    Processed,
    /// The money is in the wallet again.
    Returned,
    /// The bank's reference is known now.
    UtrKnown,
}

/// Why news had no effect and a person must look.
#[derive(Debug, thiserror::Error)]
pub enum PayoutError {
    /// The payout belongs to no withdrawal of ours.
    #[error("no withdrawal belongs to payout {0}")]
    UnknownWithdrawal(String),
    /// The withdrawal has another payout: money may leave twice.
    #[error("withdrawal {withdrawal} has payout {known}, and now {told} is told for it")]
    OtherPayout {
        /// The withdrawal.
        withdrawal: WithdrawalId,
        /// The payout it has.
        known: String,
        /// The other one.
        told: String,
    },
    /// The payout has another amount than the withdrawal.
    #[error("withdrawal {withdrawal} is of {expected}, its payout of {told}")]
    OtherAmount {
        /// The withdrawal.
        withdrawal: WithdrawalId,
        /// Its amount.
        expected: Paise,
        /// The payout's.
        told: Paise,
    },
    /// The ledger refused.
    #[error("the ledger did not take the payout's entries")]
    Ledger(#[from] LedgerError),
    /// Postgres did not answer.
    #[error("the payout's news could not be stored")]
    Store(#[from] StoreError),
}

struct Held {
    withdrawal: Withdrawal,
    rank: i32,
}

/// Applies what the provider says. Call it in a transaction: state, ledger and messages commit together.
pub async fn apply_payout(client: &impl GenericClient, news: &PayoutNews) -> Result<PayoutEffect, PayoutError> {
    let held = hold(client, news.withdrawal_id, Some(&news.payout_id)).await?;
    let Held { withdrawal, .. } = &held;
    if news.amount != withdrawal.amount {
        let (expected, told) = (withdrawal.amount, news.amount);
        return Err(PayoutError::OtherAmount { withdrawal: withdrawal.id, expected, told });
    }
    let change = Change {
        payout_id: Some(&news.payout_id),
        provider_status: Some(&news.provider_status),
        utr: news.utr.as_deref(),
        reason: news.reason.as_deref(),
        at: Some(news.at),
    };
    advance(client, &held, news.state, &change).await
}

/// Gives the money back because the provider refused to create the payout, so that there is none.
pub async fn refuse(client: &impl GenericClient, id: WithdrawalId, reason: &str) -> Result<PayoutEffect, PayoutError> {
    let held = hold(client, Some(id), None).await?;
    if let Some(known) = &held.withdrawal.payout_id {
        let told = "none (refused)".to_owned();
        return Err(PayoutError::OtherPayout { withdrawal: id, known: known.clone(), told });
    }
    advance(client, &held, PayoutState::Failed, &Change { reason: Some(reason), ..Change::default() }).await
}

async fn hold(
    client: &impl GenericClient,
    id: Option<WithdrawalId>,
    payout_id: Option<&str>,
) -> Result<Held, PayoutError> {
    let rows = query(client, sql!("withdrawals/lock.sql"), &[&id, &payout_id]).await?;
    let told = || payout_id.unwrap_or("none").to_owned();
    let Some(row) = rows.first() else { return Err(PayoutError::UnknownWithdrawal(told())) };
    let withdrawal = withdrawal(row)?;
    let is_other = withdrawal.payout_id.as_deref().zip(payout_id).is_some_and(|(known, told)| known != told);
    if is_other || rows.len() > 1 {
        let known = withdrawal.payout_id.unwrap_or_else(|| "none".to_owned());
        return Err(PayoutError::OtherPayout { withdrawal: withdrawal.id, known, told: told() });
    }
    Ok(Held { withdrawal, rank: row.try_get(12).map_err(StoreError::from)? })
}

#[derive(Default)]
struct Change<'a> {
    payout_id: Option<&'a str>,
    provider_status: Option<&'a str>,
    utr: Option<&'a str>,
    reason: Option<&'a str>,
    at: Option<DateTime<Utc>>,
}

async fn advance(
    client: &impl GenericClient,
    held: &Held,
    state: PayoutState,
    change: &Change<'_>,
) -> Result<PayoutEffect, PayoutError> {
    let Held { withdrawal, rank } = held;
    if state.rank() <= *rank {
        let utr_is_new = withdrawal.utr.is_none() && change.utr.is_some();
        if utr_is_new {
            execute(client, sql!("withdrawals/set_utr.sql"), &[&withdrawal.id, &change.utr]).await?;
            return Ok(PayoutEffect::UtrKnown);
        }
        return Ok(PayoutEffect::Nothing);
    }
    let was_settled = withdrawal.processed_at.is_some();
    let was_returned = withdrawal.returned_at.is_some();
    let status = state.withdrawal();
    execute(
        client,
        sql!("withdrawals/advance.sql"),
        &[
            &withdrawal.id,
            &status.word(),
            &change.payout_id,
            &change.utr,
            &change.provider_status,
            &state.rank(),
            &change.at,
            &change.reason,
        ],
    )
    .await?;
    if state == PayoutState::Processed {
        post(client, withdrawal, TransferKind::PayoutSettled, Account::PayoutClearing, Account::Bank).await?;
        mark_paid(client, withdrawal).await?;
        let utr = change.utr.or(withdrawal.utr.as_deref());
        notices::withdrawal_processed(client, withdrawal.user_id, withdrawal.id, withdrawal.amount, utr).await?;
        return Ok(PayoutEffect::Processed);
    }
    if !state.returns_money() {
        return Ok(PayoutEffect::Processing);
    }
    if was_returned {
        // Failed became reversed: the shopper has the money already.
        return Ok(PayoutEffect::Nothing);
    }
    if was_settled {
        post(client, withdrawal, TransferKind::PayoutRecalled, Account::Bank, Account::PayoutClearing).await?;
    }
    let wallet = Account::User(withdrawal.user_id);
    post(client, withdrawal, TransferKind::WithdrawalReturn, Account::PayoutClearing, wallet).await?;
    mark_paid(client, withdrawal).await?;
    let reason = change.reason.unwrap_or("the bank did not take it");
    notices::withdrawal_failed(client, withdrawal.user_id, withdrawal.id, withdrawal.amount, reason).await?;
    Ok(PayoutEffect::Returned)
}

async fn post(
    client: &impl GenericClient,
    withdrawal: &Withdrawal,
    kind: TransferKind,
    debit: Account,
    credit: Account,
) -> Result<(), LedgerError> {
    let id = withdrawal.id;
    let transfer = Transfer {
        debit,
        credit,
        amount: withdrawal.amount,
        kind,
        key: format!("withdrawal:{id}:{kind}"),
        reason: json!({ "withdrawal_id": id }),
    };
    wallet::post(client, &transfer).await.map(|_posted| ())
}

/// Marks the oldest cashback as paid, up to what was paid out in all.
async fn mark_paid(client: &impl GenericClient, withdrawal: &Withdrawal) -> Result<(), StoreError> {
    wallet::lock(client, &[withdrawal.user_id]).await?;
    let cause = format!("withdrawal {}", withdrawal.id);
    execute(client, sql!("cashback/mark_paid.sql"), &[&withdrawal.user_id, &cause]).await?;
    Ok(())
}

fn withdrawal(row: &Row) -> Result<Withdrawal, StoreError> {
    Ok(Withdrawal {
        id: row.try_get(0)?,
        user_id: row.try_get(1)?,
        amount: row.try_get(2)?,
        status: word(row.try_get(3)?)?,
        fund_account_id: row.try_get(4)?,
        payout_id: row.try_get(5)?,
        utr: row.try_get(6)?,
        failure_reason: row.try_get(7)?,
        requested_at: row.try_get(8)?,
        processed_at: row.try_get(9)?,
        returned_at: row.try_get(10)?,
        updated_at: row.try_get(11)?,
    })
}
