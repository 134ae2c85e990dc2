//! Clicks: written thousands at a time, found by id.

use std::collections::HashSet;
use std::pin::pin;

use chrono::{DateTime, NaiveDate, Utc};
use deadpool_postgres::{GenericClient, Transaction};
use domain::ids::{ClickId, MerchantId, OfferId, UserId};
use domain::jobs::click::RecordClick;
use domain::money::{BasisPoints, MoneyError, Paise};
use domain::network::Network;
use postgres_types::Type;
pub use telemetry::propagation::Carried;
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::error::SqlState;

use crate::statements::{execute, query, query_one, word};
use crate::{Client, StoreError, sql, wallet};

/// What is sent of each click.
macro_rules! columns {
    () => {
        "id, offer_id, merchant_id, network, user_id, rate_bps, cap_paise, offer_version, class, reason, client_hash, user_agent, \
         clicked_at, correlation_id, traceparent"
    };
}

const COPY: &str = concat!("COPY affiliate_clicks (", columns!(), ") FROM STDIN (FORMAT binary)");

/// The staging table is the connection's own and is emptied by each commit. Its columns are those of [`COLUMNS`].
const STAGE: &str = "CREATE TEMPORARY TABLE IF NOT EXISTS clicks_staged (
    id uuid, offer_id uuid, merchant_id uuid, network text, user_id uuid, rate_bps int, cap_paise bigint, offer_version int,
    class text, reason text, client_hash text, user_agent text, clicked_at timestamptz,
    correlation_id text, traceparent text
) ON COMMIT DELETE ROWS";

const COPY_STAGED: &str = concat!("COPY clicks_staged (", columns!(), ") FROM STDIN (FORMAT binary)");

/// Not among the statement files, since it fits no schema without the staging table.
const INSERT: &str = concat!(
    "INSERT INTO affiliate_clicks (",
    columns!(),
    ") SELECT ",
    columns!(),
    " FROM clicks_staged ON CONFLICT (id) DO NOTHING"
);

const COLUMNS: [Type; 15] = [
    Type::UUID,
    Type::UUID,
    Type::UUID,
    Type::TEXT,
    Type::UUID,
    Type::INT4,
    Type::INT8,
    Type::INT4,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TIMESTAMPTZ,
    Type::TEXT,
    Type::TEXT,
];

/// Writes clicks, each with what it belongs to, all or none; a click that is there already is left as it is. Gives the number of new
/// ones. The months of the clicks need partitions: see [`ensure_partitions`].
///
/// Nearly every batch holds only what never came before, and goes straight into the table; the key tells when one does not. Then
/// nothing of it was written, and it takes the way round by the staging table, which leaves out what is there.
pub async fn record(client: &mut Client, clicks: &[(&RecordClick, &Carried)]) -> Result<u64, StoreError> {
    let mut seen = HashSet::with_capacity(clicks.len());
    let clicks: Vec<_> = clicks.iter().filter(|(click, _)| seen.insert(click.click_id)).copied().collect();
    let transaction = client.transaction().await?;
    match copy(&transaction, COPY, &clicks).await {
        Ok(written) => {
            transaction.commit().await?;
            return Ok(written);
        }
        Err(error) if wallet::sqlstate(&error) == Some(SqlState::UNIQUE_VIOLATION.code()) => {
            transaction.rollback().await?;
        }
        Err(error) => return Err(error),
    }
    let transaction = client.transaction().await?;
    transaction.batch_execute(STAGE).await?;
    copy(&transaction, COPY_STAGED, &clicks).await?;
    let written = execute(&transaction, INSERT, &[]).await?;
    transaction.commit().await?;
    Ok(written)
}

/// Sends clicks to a `COPY`; gives the number of rows.
async fn copy(
    transaction: &Transaction<'_>,
    statement: &str,
    clicks: &[(&RecordClick, &Carried)],
) -> Result<u64, StoreError> {
    let sink = transaction.copy_in(statement).await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &COLUMNS));
    for (click, carried) in clicks {
        writer
            .as_mut()
            .write(&[
                &click.click_id,
                &click.offer_id,
                &click.merchant_id,
                &click.network.slug(),
                &click.user_id,
                &click.rate,
                &click.cap,
                &click.offer_version,
                &click.class.word(),
                &text(&click.reason),
                &text(&click.client_hash),
                &text(&click.user_agent),
                &click.clicked_at,
                &carried.correlation_id.as_deref().map(text),
                &carried.traceparent.as_deref().map(text),
            ])
            .await?;
    }
    Ok(writer.finish().await?)
}

/// Postgres text cannot hold a zero byte, and a browser may send one.
fn text(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "").into() } else { text.into() }
}

/// Makes the partitions of `months` months from `first`; gives how many were missing.
pub async fn ensure_partitions(client: &impl GenericClient, first: NaiveDate, months: i32) -> Result<i32, StoreError> {
    Ok(query_one(client, sql!("clicks/ensure_partitions.sql"), &[&first, &months]).await?.try_get(0)?)
}

/// A click as the matching needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// The click.
    pub id: ClickId,
    /// The offer clicked.
    pub offer_id: OfferId,
    /// Its shop.
    pub merchant_id: MerchantId,
    /// The network the link led through.
    pub network: Network,
    /// The shopper; `None` when nobody was logged in, or nobody with that id exists.
    pub user_id: Option<UserId>,
    /// The share promised.
    pub rate: BasisPoints,
    /// The most this click can bring.
    pub cap: Option<Paise>,
    /// The offer's version.
    pub offer_version: i32,
    /// The class, in its word.
    pub class: String,
    /// When.
    pub clicked_at: DateTime<Utc>,
    /// What it belongs to, if it said so.
    pub carried: Carried,
}

/// Finds clicks, in no certain order; unknown ids are left out.
pub async fn find_many(client: &impl GenericClient, ids: &[ClickId]) -> Result<Vec<Click>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    query(client, sql!("clicks/find_many.sql"), &[&ids]).await?.iter().map(click).collect()
}

/// What clicks belong to, of those that said it.
pub async fn carried(
    client: &impl GenericClient,
    ids: &[ClickId],
) -> Result<std::collections::HashMap<ClickId, Carried>, StoreError> {
    if ids.is_empty() {
        return Ok(std::collections::HashMap::new());
    }
    let rows = query(client, sql!("clicks/carried.sql"), &[&ids]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, Carried { correlation_id: row.try_get(1)?, traceparent: row.try_get(2)? })))
        .collect()
}

/// A trace alone is none of ours: it says nothing that people search for.
fn carried_by(correlation_id: Option<String>, traceparent: Option<String>) -> Carried {
    if correlation_id.is_none() { Carried::default() } else { Carried { traceparent, correlation_id } }
}

fn click(row: &Row) -> Result<Click, StoreError> {
    Ok(Click {
        id: row.try_get(0)?,
        offer_id: row.try_get(1)?,
        merchant_id: row.try_get(2)?,
        network: word(row.try_get(3)?)?,
        user_id: row.try_get(4)?,
        rate: BasisPoints::new(row.try_get(5)?).map_err(|error: MoneyError| StoreError::WrongRow(error.to_string()))?,
        cap: row.try_get(6)?,
        offer_version: row.try_get(7)?,
        class: row.try_get(8)?,
        clicked_at: row.try_get(9)?,
        carried: carried_by(row.try_get(10)?, row.try_get(11)?),
    })
}
