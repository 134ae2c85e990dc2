//! Cashback: from networks' reports to what is in the wallets.

use chrono::{DateTime, Utc};
use domain::ids::{CashbackId, UserId};

use crate::statements::{execute, query};
use crate::{Client, StoreError, sql, wallet};

mod award;
mod decided;
mod limits;
mod matching;
pub(crate) mod notices;
mod settle;

pub use settle::{SettleError, Settled, assign, commission_of, rematch, settle};

/// Cashback whose network has paid and whose holding period is over becomes payable, at most `limit` of it.
pub async fn release_held(client: &mut Client, now: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    let transaction = client.transaction().await?;
    let rows = query(&transaction, sql!("cashback/held.sql"), &[&now, &limit]).await?;
    let held = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<Vec<(CashbackId, UserId)>, StoreError>>()?;
    let (ids, users): (Vec<_>, Vec<_>) = held.into_iter().unzip();
    if ids.is_empty() {
        return Ok(0);
    }
    wallet::lock(&transaction, &users).await?;
    let released = execute(&transaction, sql!("cashback/release_held.sql"), &[&ids, &now]).await?;
    transaction.commit().await?;
    Ok(released)
}
