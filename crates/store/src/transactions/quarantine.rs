//! What a network said and we did not understand. It has no effect until it is understood.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::network::Network;
use domain::transaction::Quarantined;
use sha2::{Digest, Sha256};

use crate::statements::{column, execute, query, word};
use crate::{StoreError, sql};

/// Puts rows aside. The same row again is counted; a later report that is understood takes it out.
pub async fn quarantine(client: &impl GenericClient, rows: &[Quarantined]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    execute(
        client,
        sql!("transactions/quarantine.sql"),
        &[
            &column!(rows, row => row.network.slug()),
            &column!(rows, row => id_of(row)),
            &column!(rows, row => row.reason.word()),
            &column!(rows, row => row.raw_status.as_ref().map(|status| status.replace('\0', ""))),
            &column!(rows, row => row.reason.to_string().replace('\0', "")),
            &column!(rows, row => row.raw.as_str()),
        ],
    )
    .await?;
    Ok(())
}

/// The network's id, or a name made of the row itself.
fn id_of(row: &Quarantined) -> String {
    row.external_id.as_ref().map_or_else(
        || format!("sha256:{}", hex::encode(Sha256::digest(row.raw.as_bytes()))),
        |id| id.chars().filter(|c| *c != '\0').take(200).collect(),
    )
}

/// A row that is put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutAside {
    /// Its network.
    pub network: Network,
    /// The network's id, or `sha256:` and the hash of the row.
    pub external_id: String,
    /// Why, in its word.
    pub reason: String,
    /// The network's word for the state.
    pub raw_status: Option<String>,
    /// Why, in words for people.
    pub detail: String,
    /// When it was first seen.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen_at: DateTime<Utc>,
    /// How often.
    pub times_seen: i32,
}

/// What is put aside now, the latest first.
pub async fn quarantined(client: &impl GenericClient, limit: i64) -> Result<Vec<PutAside>, StoreError> {
    let rows = query(client, sql!("transactions/list_quarantined.sql"), &[&limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(PutAside {
                network: word(row.try_get(0)?)?,
                external_id: row.try_get(1)?,
                reason: row.try_get(2)?,
                raw_status: row.try_get(3)?,
                detail: row.try_get(4)?,
                first_seen_at: row.try_get(5)?,
                last_seen_at: row.try_get(6)?,
                times_seen: row.try_get(7)?,
            })
        })
        .collect()
}
