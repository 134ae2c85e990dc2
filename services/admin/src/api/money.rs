//! Wallets, withdrawals and orders, for the shop's own backend.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use domain::ids::{OrderId, ProductId, UserId, WalletTransactionId, WithdrawalId};
use domain::money::Paise;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::orders::{self, OrderError};
use store::withdrawals::{self, NewWithdrawal, RequestError};
use store::{StoreError, wallet};

use super::{ApiError, Listing, body, id};
use crate::access::Caller;
use crate::state::{Actor, Deed, State};
use crate::statement;

type Answer = Result<HttpResponse, ApiError>;

/// What is in a wallet.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Wallet {
    user_id: UserId,
    balance_paise: Paise,
    /// What may be taken out now.
    withdrawable_paise: Paise,
    /// What may come.
    pending_paise: Paise,
}

/// Whose wallet.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Whose {
    /// The shopper's id, mail address or mobile number.
    user: String,
}

/// The wallet of the shopper with this id, mail address or mobile number.
pub(crate) async fn find(state: web::Data<State>, query: web::Query<Whose>) -> Answer {
    let client = state.pool.get().await?;
    let shopper = statement::find(&client, query.user.trim()).await?.ok_or(ApiError::NotFound("shopper"))?;
    at_a_glance(&client, shopper.id).await
}

/// One wallet.
pub(crate) async fn wallet(state: web::Data<State>, path: web::Path<String>) -> Answer {
    at_a_glance(&state.pool.get().await?, id(&path)?).await
}

async fn at_a_glance(client: &store::Client, user_id: UserId) -> Answer {
    let found = wallet::overview(client, user_id).await?.ok_or(ApiError::NotFound("wallet"))?;
    Ok(HttpResponse::Ok().json(Wallet {
        user_id,
        balance_paise: found.balance,
        withdrawable_paise: found.withdrawable,
        pending_paise: found.pending,
    }))
}

/// A line of a statement.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Line {
    id: WalletTransactionId,
    at: DateTime<Utc>,
    /// What kind of transfer.
    kind: String,
    /// What came (above zero) or went (below).
    amount_paise: Paise,
    /// The wallet afterwards.
    balance_paise: Paise,
    /// What it was for.
    origin: serde_json::Value,
    /// Its place in the ledger.
    seq: i64,
}

/// Where to go on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct After {
    /// `next` of the page before.
    cursor: Option<i64>,
}

/// A statement, the newest first.
pub(crate) async fn lines(state: web::Data<State>, path: web::Path<String>, query: web::Query<After>) -> Answer {
    let client = state.pool.get().await?;
    let lines = wallet::statement(&client, id(&path)?, query.cursor, 101).await?;
    let lines = lines.into_iter().map(|line| Line {
        id: line.id,
        at: line.at,
        kind: line.kind.to_string(),
        amount_paise: line.amount,
        balance_paise: line.balance,
        origin: serde_json::to_value(&line.origin).unwrap_or_default(),
        seq: line.seq,
    });
    Ok(HttpResponse::Ok().json(Listing::cut(lines.collect(), 100, |line| line.seq.to_string())))
}

/// A withdrawal to be requested.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct NewRequest {
    user_id: UserId,
    amount_paise: Paise,
    /// The provider's id of the shopper's bank account.
    fund_account_id: String,
    /// The same key with the same input is the same withdrawal.
    idempotency_key: String,
}

/// A withdrawal.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Withdrawal {
    id: WithdrawalId,
    user_id: UserId,
    amount_paise: Paise,
    /// requested, processing, processed, failed, reversed.
    status: String,
    payout_id: Option<String>,
    utr: Option<String>,
    failure_reason: Option<String>,
    requested_at: DateTime<Utc>,
    processed_at: Option<DateTime<Utc>>,
}

impl From<withdrawals::Withdrawal> for Withdrawal {
    fn from(one: withdrawals::Withdrawal) -> Self {
        Self {
            id: one.id,
            user_id: one.user_id,
            amount_paise: one.amount,
            status: one.status.to_string(),
            payout_id: one.payout_id,
            utr: one.utr,
            failure_reason: one.failure_reason,
            requested_at: one.requested_at,
            processed_at: one.processed_at,
        }
    }
}

/// Takes money out of a wallet: the entry, the payout's job (which the store promises) and the note are one transaction.
pub(crate) async fn withdraw(state: web::Data<State>, caller: Caller, bytes: web::Bytes) -> Answer {
    let new: NewRequest = body(&bytes)?;
    let mut client = state.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    let wanted = NewWithdrawal {
        id: WithdrawalId::generate(),
        user_id: new.user_id,
        amount: new.amount_paise,
        fund_account_id: new.fund_account_id,
        idempotency_key: new.idempotency_key,
    };
    let made = withdrawals::request(&transaction, &wanted).await.map_err(|error| match error {
        RequestError::Store(error) => ApiError::Store(error),
        RequestError::NoWallet => ApiError::NotFound("wallet"),
        other => ApiError::Conflict(other.to_string()),
    })?;
    if made.id == wanted.id {
        let target = format!("withdrawal:{}", made.id);
        let after = Some(serde_json::json!({ "user": made.user_id, "amount_paise": made.amount }));
        let deed = Deed { action: "withdrawal.request", target: &target, after, ..Deed::default() };
        Actor::from(caller).note(&transaction, &deed).await?;
    }
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(HttpResponse::Created().json(Withdrawal::from(made)))
}

/// One withdrawal.
pub(crate) async fn withdrawal(state: web::Data<State>, path: web::Path<String>) -> Answer {
    let client = state.pool.get().await?;
    let found = withdrawals::find(&client, id(&path)?).await?.ok_or(ApiError::NotFound("withdrawal"))?;
    Ok(HttpResponse::Ok().json(Withdrawal::from(found)))
}

/// Which withdrawals.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Which {
    user_id: Option<UserId>,
    status: Option<String>,
    /// Requested before this time.
    before: Option<DateTime<Utc>>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Withdrawals, the newest first.
pub(crate) async fn list(state: web::Data<State>, query: web::Query<Which>) -> Answer {
    let status = query.status.as_deref().map(id).transpose()?;
    let after = query.cursor.as_deref().map(id).transpose()?;
    let client = state.pool.get().await?;
    let found = withdrawals::list(&client, query.user_id, status, query.before, after, 101).await?;
    let items: Vec<Withdrawal> = found.into_iter().map(Withdrawal::from).collect();
    Ok(HttpResponse::Ok().json(Listing::cut(items, 100, |one| one.id.to_string())))
}

/// An order to be noted before it is paid.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct NewOrder {
    user_id: UserId,
    /// The payment provider's id of the order; the same one again is refused.
    provider_order_id: String,
    lines: Vec<OrderLine>,
}

/// What is bought.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct OrderLine {
    product_id: ProductId,
    /// 1 to 100.
    quantity: i32,
}

/// An order.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Order {
    id: OrderId,
    status: String,
    total_paise: Paise,
}

/// Notes an order.
pub(crate) async fn order(state: web::Data<State>, caller: Caller, bytes: web::Bytes) -> Answer {
    let new: NewOrder = body(&bytes)?;
    if new.lines.is_empty()
        || new.provider_order_id.is_empty()
        || new.lines.iter().any(|line| !(1..=100).contains(&line.quantity))
    {
        return Err(ApiError::Invalid("an order has a provider's id and lines of 1 to 100 pieces".to_owned()));
    }
    let mut client = state.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    let id = OrderId::generate();
    let lines: Vec<_> = new.lines.iter().map(|line| (line.product_id, line.quantity)).collect();
    let total = orders::create(&transaction, id, new.user_id, &new.provider_order_id, &lines).await;
    let total_paise = total.map_err(|error| match error {
        OrderError::Store(error) if error.violated().is_some() => {
            ApiError::Conflict("there is an order with that provider's id, or no such shopper".to_owned())
        }
        OrderError::Store(error) => ApiError::Store(error),
        other => ApiError::Invalid(other.to_string()),
    })?;
    let target = format!("order:{id}");
    let after = Some(serde_json::json!({ "user": new.user_id, "total_paise": total_paise }));
    let deed = Deed { action: "order.create", target: &target, after, ..Deed::default() };
    Actor::from(caller).note(&transaction, &deed).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(HttpResponse::Created().json(Order { id, status: "created".to_owned(), total_paise }))
}

/// One order.
pub(crate) async fn show_order(state: web::Data<State>, path: web::Path<String>) -> Answer {
    let id = id(&path)?;
    let client = state.pool.get().await?;
    let found = orders::find(&client, id).await?.ok_or(ApiError::NotFound("order"))?;
    Ok(HttpResponse::Ok().json(Order { id, status: found.status, total_paise: found.total }))
}
