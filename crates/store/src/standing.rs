//! How the shop stands, for those who look from outside: what waits, since when, and what runs out.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;

use crate::statements::{query, query_one};
use crate::{StoreError, sql};

/// Something that waits to be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// How much.
    pub count: i64,
    /// Since when the oldest does.
    pub since: Option<DateTime<Utc>>,
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Promised jobs that are not pushed.
    pub outbox: Waiting,
    /// Jobs of webhooks that are not pushed.
    pub webhooks: Waiting,
    /// Transactions that have no click and that nobody has looked at.
    pub unmatched: i64,
    /// Transactions of the last seven days that have their click.
    pub recent_matched: i64,
    /// Those that have none.
    pub recent_unmatched: i64,
}

/// How things stand now.
pub async fn read(client: &impl GenericClient) -> Result<Standing, StoreError> {
    let row = query_one(client, sql!("standing/read.sql"), &[]).await?;
    Ok(Standing {
        outbox: Waiting { count: row.try_get(0)?, since: row.try_get(1)? },
        webhooks: Waiting { count: row.try_get(2)?, since: row.try_get(3)? },
        unmatched: row.try_get(4)?,
        recent_matched: row.try_get(5)?,
        recent_unmatched: row.try_get(6)?,
    })
}

/// Up to when each network has been read.
pub async fn synced(client: &impl GenericClient) -> Result<Vec<(String, DateTime<Utc>)>, StoreError> {
    let rows = query(client, sql!("standing/synced.sql"), &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Tokens of programs that run out by themselves, the next first: name and time.
pub async fn expiring_tokens(
    client: &impl GenericClient,
    limit: i64,
) -> Result<Vec<(String, DateTime<Utc>)>, StoreError> {
    let rows = query(client, sql!("standing/expiring_tokens.sql"), &[&limit]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
