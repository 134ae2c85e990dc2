//! Partitions by month as streams of rows, in the text form of COPY: a line a row. What was copied out can be copied in
//! again and is the same.

use bytes::Bytes;
use chrono::NaiveDate;
use deadpool_postgres::{GenericClient, Transaction};
use futures_util::{SinkExt as _, Stream, TryStreamExt as _};

use crate::statements::{query, query_one};
use crate::{Client, StoreError, sql, upkeep};

/// The columns of a table, in order; none when there is no such table.
pub async fn columns(client: &impl GenericClient, table: &str) -> Result<Vec<String>, StoreError> {
    let rows = query(client, sql!("archive/columns.sql"), &[&quoted(table)]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The rows of a partition of `table`, in the order of their ids.
pub async fn copy_out(
    client: &Client,
    table: &str,
    partition: &str,
    columns: &[String],
) -> Result<impl Stream<Item = Result<Bytes, StoreError>> + use<>, StoreError> {
    known(client, table, partition).await?;
    let text = format!("COPY (SELECT {} FROM {} ORDER BY id) TO STDOUT", list(columns), quoted(partition));
    Ok(client.copy_out(text.as_str()).await?.map_err(StoreError::from))
}

/// Makes the partition of the month that begins with `first`, unless it is there; says whether it was made.
pub async fn ensure_partition(client: &impl GenericClient, table: &str, first: NaiveDate) -> Result<bool, StoreError> {
    let row = query_one(client, sql!("archive/ensure_partition.sql"), &[&quoted(table), &first]).await?;
    Ok(row.try_get::<_, i32>(0)? == 1)
}

/// Puts rows into a partition of `table`; gives how many.
pub async fn copy_in<E>(
    transaction: &Transaction<'_>,
    (table, partition): (&str, &str),
    columns: &[String],
    pieces: impl Stream<Item = Result<Bytes, E>>,
) -> Result<u64, E>
where
    E: From<StoreError>,
{
    known(transaction, table, partition).await?;
    let text = format!("COPY {} ({}) FROM STDIN", quoted(partition), list(columns));
    let sink = transaction.copy_in::<_, Bytes>(text.as_str()).await.map_err(StoreError::from)?;
    let mut sink = std::pin::pin!(sink);
    let mut pieces = std::pin::pin!(pieces);
    while let Some(piece) = pieces.try_next().await? {
        sink.send(piece).await.map_err(StoreError::from)?;
    }
    Ok(sink.as_mut().finish().await.map_err(StoreError::from)?)
}

/// Locks a partition of `table` against everybody and counts its rows. Gives up after five seconds: who waits for this lock
/// makes others wait.
pub async fn lock_and_count(transaction: &Transaction<'_>, table: &str, partition: &str) -> Result<i64, StoreError> {
    known(transaction, table, partition).await?;
    let name = quoted(partition);
    let text = format!("SET LOCAL lock_timeout = '5s'; LOCK TABLE {}, {name} IN ACCESS EXCLUSIVE MODE", quoted(table));
    transaction.batch_execute(&text).await?;
    Ok(transaction.query_one(format!("SELECT count(*) FROM {name}").as_str(), &[]).await?.try_get(0)?)
}

/// Takes a partition out of its table and drops it. Refused for a name that is no partition of the table.
pub async fn drop_partition(client: &impl GenericClient, table: &str, partition: &str) -> Result<(), StoreError> {
    known(client, table, partition).await?;
    client.batch_execute(&format!("DROP TABLE {}", quoted(partition))).await?;
    Ok(())
}

/// Names go into statements as text, so only those of partitions do.
async fn known(client: &impl GenericClient, table: &str, partition: &str) -> Result<(), StoreError> {
    if upkeep::partitions_of(client, table).await?.iter().any(|name| name == partition) {
        Ok(())
    } else {
        Err(StoreError::WrongRow(format!("{partition} is no partition of {table}")))
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn list(columns: &[String]) -> String {
    columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
}
