//! Statements of the jobs that keep the shop in order, and what they note to compare with later.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{OfferId, WebhookId};

use crate::statements::{execute, query, query_one};
use crate::{StoreError, sql};

/// Notes that `workers` workers of a service live.
pub async fn note_service(
    client: &impl GenericClient,
    service: &str,
    workers: i32,
    last_beat: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute(client, sql!("upkeep/note_service.sql"), &[&service, &workers, &last_beat]).await?;
    Ok(())
}

/// Every service that ever gave a sign of life, how many workers it had, and the last sign.
pub async fn services(client: &impl GenericClient) -> Result<Vec<(String, i32, DateTime<Utc>)>, StoreError> {
    let rows = query(client, sql!("upkeep/services.sql"), &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}

/// Up to which moment each network that was ever asked has been read; for one that never was, when it was first asked.
pub async fn sync_standing(client: &impl GenericClient) -> Result<Vec<(String, DateTime<Utc>)>, StoreError> {
    let rows = query(client, sql!("upkeep/sync_standing.sql"), &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// How many dead letters each queue had at its first sample from `from` on.
pub async fn dead_before(client: &impl GenericClient, from: DateTime<Utc>) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = query(client, sql!("upkeep/dead_before.sql"), &[&from]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// How a queue stood at a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The queue's name.
    pub queue: String,
    /// The minute.
    pub taken_at: DateTime<Utc>,
    /// Jobs on both lists.
    pub waiting: i64,
    /// Jobs in hand.
    pub in_flight: i64,
    /// Jobs that wait for their time.
    pub delayed: i64,
    /// Dead letters.
    pub dead: i64,
    /// How long the job at the head had waited, in seconds.
    pub oldest_age_s: Option<i64>,
    /// Jobs done since the beginning.
    pub done: i64,
}

/// Notes how a queue stands, once a minute.
pub async fn insert_sample(client: &impl GenericClient, sample: &Sample) -> Result<(), StoreError> {
    let Sample { queue, taken_at, waiting, in_flight, delayed, dead, oldest_age_s, done } = sample;
    let params: [&(dyn postgres_types::ToSql + Sync); 8] =
        [queue, taken_at, waiting, in_flight, delayed, dead, oldest_age_s, done];
    execute(client, sql!("upkeep/insert_sample.sql"), &params).await?;
    Ok(())
}

/// Deletes samples older than `days`; returns how many.
pub async fn delete_samples(client: &impl GenericClient, days: i32) -> Result<u64, StoreError> {
    execute(client, sql!("upkeep/delete_samples.sql"), &[&days]).await
}

/// Every table that is partitioned by month.
pub async fn partitioned_tables(client: &impl GenericClient) -> Result<Vec<String>, StoreError> {
    let rows = query(client, sql!("upkeep/partitioned_tables.sql"), &[]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Makes the partitions of `table` from last month on, for `months` months; returns how many were missing.
pub async fn ensure_partitions(client: &impl GenericClient, table: &str, months: i32) -> Result<i32, StoreError> {
    Ok(query_one(client, sql!("upkeep/ensure_partitions.sql"), &[&table, &months]).await?.try_get(0)?)
}

/// The names of the partitions of `table`, the oldest first.
pub async fn partitions_of(client: &impl GenericClient, table: &str) -> Result<Vec<String>, StoreError> {
    let rows = query(client, sql!("upkeep/partitions_of.sql"), &[&table]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Ends offers whose time is over at `now`; gives them.
pub async fn expire_offers(client: &impl GenericClient, now: DateTime<Utc>) -> Result<Vec<OfferId>, StoreError> {
    let rows = query(client, sql!("upkeep/expire_offers.sql"), &[&now]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Accepted webhooks of the last seven days that nobody has worked on for `seconds`: the row, its source and its event.
pub async fn stale_webhooks(
    client: &impl GenericClient,
    seconds: f64,
    limit: i64,
) -> Result<Vec<(WebhookId, String, String)>, StoreError> {
    let rows = query(client, sql!("upkeep/stale_webhooks.sql"), &[&seconds, &limit]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}
