//! Orders, their payments and refunds.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{OrderId, OrderItemId, PaymentId, ProductId, RefundId, UserId};
use domain::money::Paise;

use crate::statements::{execute, query, query_one, query_opt};
use crate::{StoreError, sql};

/// Why an order was not made.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Postgres did not carry it out.
    #[error("the order was not stored")]
    Store(#[from] StoreError),
    /// There is no such product, or it is not sold.
    #[error("product {0} is not for sale")]
    NotForSale(ProductId),
    /// The total does not fit.
    #[error("the total of the order is out of range")]
    OutOfRange,
}

/// Makes an order at today's prices; gives its total. `provider_order_id` is Razorpay's `order_…`.
pub async fn create(
    client: &impl GenericClient,
    id: OrderId,
    user: UserId,
    provider_order_id: &str,
    lines: &[(ProductId, i32)],
) -> Result<Paise, OrderError> {
    let mut total: i64 = 0;
    let mut items = Vec::with_capacity(lines.len());
    for (product, quantity) in lines {
        let price = "SELECT price_paise FROM products WHERE id = $1 AND active";
        let row = query_opt(client, price, &[product]).await?.ok_or(OrderError::NotForSale(*product))?;
        let price: i64 = row.try_get(0).map_err(StoreError::from)?;
        total = price
            .checked_mul(i64::from(*quantity))
            .and_then(|line| total.checked_add(line))
            .ok_or(OrderError::OutOfRange)?;
        items.push((OrderItemId::generate(), *product, *quantity));
    }
    execute(client, sql!("orders/insert.sql"), &[&id, &user, &total, &provider_order_id]).await?;
    for (item, product, quantity) in items {
        query_one(client, sql!("orders/insert_item.sql"), &[&item, &id, &product, &quantity]).await?;
    }
    Ok(Paise::new(total))
}

/// An order, locked for this transaction.
#[derive(Debug)]
pub struct Locked {
    /// The order.
    pub id: OrderId,
    /// Whose.
    pub user_id: UserId,
    /// Its state.
    pub status: String,
    /// What it costs.
    pub total: Paise,
}

/// Locks the order that Razorpay knows by this id.
pub async fn lock_by_provider_id(
    client: &impl GenericClient,
    provider_order_id: &str,
) -> Result<Option<Locked>, StoreError> {
    let row = query_opt(client, sql!("orders/lock_by_provider_id.sql"), &[&provider_order_id]).await?;
    row.map(|row| {
        Ok(Locked { id: row.try_get(0)?, user_id: row.try_get(1)?, status: row.try_get(2)?, total: row.try_get(3)? })
    })
    .transpose()
}

/// Sets the state of a paid order.
pub async fn set_status(client: &impl GenericClient, id: OrderId, status: &str) -> Result<(), StoreError> {
    execute(client, sql!("orders/set_status.sql"), &[&id, &status]).await?;
    Ok(())
}

/// The states of a payment, in the order in which one may follow the other; an authorisation can still come late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PaymentState {
    /// Refused.
    Failed,
    /// The bank said yes.
    Authorized,
    /// The money is ours.
    Captured,
}

/// Notes a payment's state unless a later one is known. Says whether it changed anything.
pub async fn note_payment(
    client: &impl GenericClient,
    order: OrderId,
    provider_payment_id: &str,
    amount: Paise,
    state: PaymentState,
) -> Result<bool, StoreError> {
    let (word, rank): (&str, i16) = match state {
        PaymentState::Failed => ("failed", 1),
        PaymentState::Authorized => ("authorized", 2),
        PaymentState::Captured => ("captured", 3),
    };
    let params: [&(dyn postgres_types::ToSql + Sync); 6] =
        [&PaymentId::generate(), &order, &provider_payment_id, &amount, &word, &rank];
    Ok(execute(client, sql!("orders/upsert_payment.sql"), &params).await? == 1)
}

/// Notes a refund's state unless a later one is known. Gives the Razorpay order id and whether the payment is now refunded in full;
/// `None` when the payment is not known (yet).
pub async fn note_refund(
    client: &impl GenericClient,
    provider_payment_id: &str,
    provider_refund_id: &str,
    amount: Paise,
    status: &str,
) -> Result<Option<(String, bool)>, StoreError> {
    let Some(row) = query_opt(client, sql!("orders/find_payment.sql"), &[&provider_payment_id]).await? else {
        return Ok(None);
    };
    let (payment, paid, order): (PaymentId, i64, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let rank: i16 = match status {
        "processed" => 3,
        "failed" => 2,
        _ => 1,
    };
    let params: [&(dyn postgres_types::ToSql + Sync); 6] =
        [&RefundId::generate(), &payment, &provider_refund_id, &amount, &status, &rank];
    execute(client, sql!("orders/upsert_refund.sql"), &params).await?;
    let total: i64 = query_one(client, sql!("orders/refunded_total.sql"), &[&payment]).await?.try_get(0)?;
    Ok(Some((order, total >= paid)))
}

/// A line of an order.
#[derive(Debug)]
pub struct Item {
    /// The line.
    pub id: OrderItemId,
    /// What was bought.
    pub product_id: ProductId,
    /// Its title.
    pub title: String,
    /// Whether codes are due.
    pub is_voucher: bool,
    /// How many.
    pub quantity: i32,
    /// The price of one.
    pub unit_price: Paise,
}

/// The lines of an order.
pub async fn items(client: &impl GenericClient, order: OrderId) -> Result<Vec<Item>, StoreError> {
    let rows = query(client, sql!("orders/items.sql"), &[&order]).await?;
    rows.iter()
        .map(|row| {
            Ok(Item {
                id: row.try_get(0)?,
                product_id: row.try_get(1)?,
                title: row.try_get(2)?,
                is_voucher: row.try_get::<_, String>(3)? == "voucher",
                quantity: row.try_get(4)?,
                unit_price: row.try_get(5)?,
            })
        })
        .collect()
}

/// An order as it stands.
#[derive(Debug)]
pub struct Summary {
    /// Whose.
    pub user_id: UserId,
    /// Its state.
    pub status: String,
    /// What it costs.
    pub total: Paise,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The order with this id.
pub async fn find(client: &impl GenericClient, id: OrderId) -> Result<Option<Summary>, StoreError> {
    let row = query_opt(client, sql!("orders/find.sql"), &[&id]).await?;
    row.map(|row| {
        Ok(Summary {
            user_id: row.try_get(0)?,
            status: row.try_get(1)?,
            total: row.try_get(2)?,
            created_at: row.try_get(3)?,
        })
    })
    .transpose()
}
