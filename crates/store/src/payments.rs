//! What Razorpay told of payments, refunds and disputes. Each keeps the latest state by rank, so news may come in any order.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{OrderId, PaymentId, RefundId};
use domain::money::Paise;

use crate::statements::{Params, execute, query_one, query_opt};
use crate::{StoreError, sql};

/// The states of a payment, in the order in which one may follow the other; an authorisation can still come after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PaymentState {
    /// Refused.
    Failed,
    /// The bank said yes.
    Authorized,
    /// The money is ours.
    Captured,
}

impl PaymentState {
    /// The word in the table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Authorized => "authorized",
            Self::Captured => "captured",
        }
    }

    const fn rank(self) -> i16 {
        match self {
            Self::Failed => 1,
            Self::Authorized => 2,
            Self::Captured => 3,
        }
    }
}

/// Notes a payment's state unless a later one is known. Says whether it changed anything.
pub async fn note(
    client: &impl GenericClient,
    order: OrderId,
    provider_payment_id: &str,
    amount: Paise,
    state: PaymentState,
) -> Result<bool, StoreError> {
    let params: Params<'_> =
        &[&PaymentId::generate(), &order, &provider_payment_id, &amount, &state.word(), &state.rank()];
    Ok(execute(client, sql!("payments/upsert.sql"), params).await? == 1)
}

/// The payment with this id of Razorpay's, and Razorpay's id of its order.
pub async fn find(
    client: &impl GenericClient,
    provider_payment_id: &str,
) -> Result<Option<(PaymentId, String)>, StoreError> {
    let row = query_opt(client, sql!("payments/find.sql"), &[&provider_payment_id]).await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// The states of a refund. One that failed may be tried again by the provider and then succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefundState {
    /// On its way.
    Pending,
    /// It did not reach the shopper.
    Failed,
    /// The money is with the shopper.
    Processed,
}

impl RefundState {
    /// The word in the table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Processed => "processed",
        }
    }

    const fn rank(self) -> i16 {
        match self {
            Self::Pending => 1,
            Self::Failed => 2,
            Self::Processed => 3,
        }
    }
}

/// Notes a refund's state unless a later one is known. Says whether it changed anything.
pub async fn note_refund(
    client: &impl GenericClient,
    payment: PaymentId,
    provider_refund_id: &str,
    amount: Paise,
    state: RefundState,
) -> Result<bool, StoreError> {
    let params: Params<'_> =
        &[&RefundId::generate(), &payment, &provider_refund_id, &amount, &state.word(), &state.rank()];
    Ok(execute(client, sql!("payments/upsert_refund.sql"), params).await? == 1)
}

/// What was captured for an order and what of it went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Captured, refunded or not.
    pub captured: Paise,
    /// Refunds that were processed.
    pub refunded: Paise,
}

/// The sums of an order.
pub async fn totals(client: &impl GenericClient, order: OrderId) -> Result<Totals, StoreError> {
    let row = query_one(client, sql!("payments/totals_of_order.sql"), &[&order]).await?;
    Ok(Totals { captured: row.try_get(0)?, refunded: row.try_get(1)? })
}

/// How many payments of an order were captured and went back whole.
pub async fn count_returned(client: &impl GenericClient, order: OrderId) -> Result<i64, StoreError> {
    Ok(query_one(client, sql!("payments/count_returned_of_order.sql"), &[&order]).await?.try_get(0)?)
}

/// The states of a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DisputeState {
    /// Raised.
    Open,
    /// The bank wants papers from us.
    ActionRequired,
    /// The bank looks at them.
    UnderReview,
    /// Ended without a winner being told.
    Closed,
    /// The money stays ours.
    Won,
    /// The money is gone.
    Lost,
}

impl DisputeState {
    /// The word in the table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::ActionRequired => "action_required",
            Self::UnderReview => "under_review",
            Self::Closed => "closed",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }

    const fn rank(self) -> i16 {
        match self {
            Self::Open => 1,
            Self::ActionRequired => 2,
            Self::UnderReview => 3,
            Self::Closed => 4,
            Self::Won => 5,
            Self::Lost => 6,
        }
    }
}

/// News of a dispute.
#[derive(Debug)]
pub struct Dispute<'a> {
    /// Razorpay's id of it.
    pub provider_dispute_id: &'a str,
    /// Razorpay's id of the payment.
    pub provider_payment_id: &'a str,
    /// How much the bank wants.
    pub amount: Paise,
    /// Where it stands.
    pub state: DisputeState,
    /// Until when papers are taken.
    pub respond_by: Option<DateTime<Utc>>,
}

/// Notes a dispute's state unless a later one is known. Says whether it changed anything.
pub async fn note_dispute(client: &impl GenericClient, dispute: &Dispute<'_>) -> Result<bool, StoreError> {
    let params: Params<'_> = &[
        &PaymentId::generate(),
        &dispute.provider_dispute_id,
        &dispute.provider_payment_id,
        &dispute.amount,
        &dispute.state.word(),
        &dispute.state.rank(),
        &dispute.respond_by,
    ];
    Ok(execute(client, sql!("payments/upsert_dispute.sql"), params).await? == 1)
}
