//! Every SQL statement of the system, by its file name, prepared once per connection.

use std::fmt::Display;
use std::str::FromStr;

use deadpool_postgres::GenericClient;
use postgres_types::ToSql;
use tokio_postgres::{Row, RowStream};

use crate::StoreError;

/// The text of `sql/<path>`. The tests prepare every such file against the migrated schema.
#[macro_export]
macro_rules! sql {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/", $path))
    };
}

/// One value of each row, as a parameter of a statement that takes its rows as arrays.
macro_rules! column {
    ($rows:expr, $row:ident => $value:expr) => {
        $rows.iter().map(|$row| $value).collect::<Vec<_>>()
    };
}
pub(crate) use column;

/// Reads a word of a closed list.
pub(crate) fn word<T: FromStr<Err = E>, E: Display>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|error: E| StoreError::WrongRow(error.to_string()))
}

/// Parameters of a statement.
pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Prepares statements that are to be sent together. Those that are prepared already are sent in the order in which they are
/// begun; one that is not would be overtaken by those behind it.
pub async fn prepare(client: &impl GenericClient, texts: &[&str]) -> Result<(), StoreError> {
    for text in texts {
        client.prepare_cached(text).await?;
    }
    Ok(())
}

/// Runs a statement for its rows.
pub async fn query(client: &impl GenericClient, text: &str, params: Params<'_>) -> Result<Vec<Row>, StoreError> {
    let statement = client.prepare_cached(text).await?;
    Ok(client.query(&statement, params).await?)
}

/// Runs a statement whose filters may be empty, and prepares it for this call. A plan that is kept must fit every filter, and for a
/// list of the few that failed it would read all that did not.
pub async fn query_filtered(
    client: &impl GenericClient,
    text: &str,
    params: Params<'_>,
) -> Result<Vec<Row>, StoreError> {
    let statement = client.prepare(text).await?;
    Ok(client.query(&statement, params).await?)
}

/// Runs a statement that gives one row.
pub async fn query_one(client: &impl GenericClient, text: &str, params: Params<'_>) -> Result<Row, StoreError> {
    let statement = client.prepare_cached(text).await?;
    Ok(client.query_one(&statement, params).await?)
}

/// Runs a statement that gives one row or none.
pub async fn query_opt(client: &impl GenericClient, text: &str, params: Params<'_>) -> Result<Option<Row>, StoreError> {
    let statement = client.prepare_cached(text).await?;
    Ok(client.query_opt(&statement, params).await?)
}

/// Runs a statement for its effect; gives the number of rows.
pub async fn execute(client: &impl GenericClient, text: &str, params: Params<'_>) -> Result<u64, StoreError> {
    let statement = client.prepare_cached(text).await?;
    Ok(client.execute(&statement, params).await?)
}

/// Runs a statement whose rows are taken one after the other, however many there are.
pub async fn stream(client: &impl GenericClient, text: &str, params: Params<'_>) -> Result<RowStream, StoreError> {
    let statement = client.prepare_cached(text).await?;
    Ok(client.query_raw(&statement, params.iter().copied()).await?)
}
