//! Orders and their lines.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{OrderId, OrderItemId, ProductId, UserId};
use domain::money::Paise;
use tokio_postgres::Row;

use crate::statements::{execute, query, query_opt};
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

/// Makes an order at today's prices; gives its total. `provider_order_id` is Razorpay's `order_…`. A price that changes meanwhile
/// changes neither the total nor the line.
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
        let row = query_opt(client, sql!("orders/find_price.sql"), &[product]).await?;
        let row = row.ok_or(OrderError::NotForSale(*product))?;
        let price: i64 = row.try_get(0).map_err(StoreError::from)?;
        total = price
            .checked_mul(i64::from(*quantity))
            .and_then(|line| total.checked_add(line))
            .ok_or(OrderError::OutOfRange)?;
        items.push((OrderItemId::generate(), *product, *quantity, price));
    }
    execute(client, sql!("orders/insert.sql"), &[&id, &user, &total, &provider_order_id]).await?;
    for (item, product, quantity, price) in items {
        execute(client, sql!("orders/insert_item.sql"), &[&item, &id, &product, &quantity, &price]).await?;
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
    row.as_ref().map(locked).transpose()
}

/// Sets the state of a paid order. Says whether it was another one.
pub async fn set_status(client: &impl GenericClient, id: OrderId, status: &str) -> Result<bool, StoreError> {
    Ok(execute(client, sql!("orders/set_status.sql"), &[&id, &status]).await? == 1)
}

/// Up to `limit` orders that wait for codes which are there now, the longest waiting first.
pub async fn list_held(client: &impl GenericClient, limit: i64) -> Result<Vec<OrderId>, StoreError> {
    let rows = query(client, sql!("orders/list_held.sql"), &[&limit]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Locks an order that still waits for codes, unless another worker holds it.
pub async fn lock_held(client: &impl GenericClient, id: OrderId) -> Result<Option<Locked>, StoreError> {
    let row = query_opt(client, sql!("orders/lock_free.sql"), &[&id]).await?;
    Ok(row.as_ref().map(locked).transpose()?.filter(|order| order.status == "held"))
}

fn locked(row: &Row) -> Result<Locked, StoreError> {
    Ok(Locked { id: row.try_get(0)?, user_id: row.try_get(1)?, status: row.try_get(2)?, total: row.try_get(3)? })
}

/// Takes sold pieces off the stock, which never goes below zero; a product without a stock is left alone.
pub async fn take_stock(client: &impl GenericClient, product: ProductId, quantity: i32) -> Result<(), StoreError> {
    execute(client, sql!("orders/take_stock.sql"), &[&product, &quantity]).await?;
    Ok(())
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
