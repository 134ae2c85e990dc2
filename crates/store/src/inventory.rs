//! How many there are of each product: of vouchers as many as there are free codes, of the rest what feeds tell.

use deadpool_postgres::GenericClient;

use crate::statements::{execute, query_one};
use crate::{StoreError, sql};

/// A row of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The product, by its `sku` or by its id.
    pub product: String,
    /// How many there are.
    pub stock: i32,
    /// The number at which somebody wants to be told; `None` leaves it as it is.
    pub low_stock_at: Option<i32>,
}

/// What a feed came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Rows that name a product of ours.
    pub known: i64,
    /// Products that are named.
    pub products: i64,
    /// Rows that name a voucher; its stock is the number of its codes, whatever a feed tells.
    pub vouchers: i64,
    /// Products whose stock or mark is another one now.
    pub changed: i64,
}

/// Sets stocks to what a feed tells. Products that it does not name stay as they are.
pub async fn apply(client: &impl GenericClient, feed: &[Told]) -> Result<Applied, StoreError> {
    let products: Vec<_> = feed.iter().map(|told| told.product.as_str()).collect();
    let stocks: Vec<_> = feed.iter().map(|told| told.stock).collect();
    let marks: Vec<_> = feed.iter().map(|told| told.low_stock_at).collect();
    let row = query_one(client, sql!("inventory/apply.sql"), &[&products, &stocks, &marks]).await?;
    Ok(Applied {
        known: row.try_get(0)?,
        products: row.try_get(1)?,
        vouchers: row.try_get(2)?,
        changed: row.try_get(3)?,
    })
}

/// Sets the stock of each voucher to the number of its free codes; gives how many changed.
pub async fn count_codes(client: &impl GenericClient) -> Result<i64, StoreError> {
    Ok(query_one(client, sql!("inventory/count_codes.sql"), &[]).await?.try_get(0)?)
}

/// Notes that a feed was read and believed.
pub async fn note_read(client: &impl GenericClient, source: &str, rows: i32) -> Result<(), StoreError> {
    execute(client, sql!("inventory/note_read.sql"), &[&source, &rows]).await?;
    Ok(())
}

/// Notes that a feed was not, and why.
pub async fn note_failure(client: &impl GenericClient, source: &str, error: &str) -> Result<(), StoreError> {
    execute(client, sql!("inventory/note_failure.sql"), &[&source, &error]).await?;
    Ok(())
}
