//! The chain over the ledger. [`seal`] adds what is not sealed yet; [`verify`] recomputes everything.
//!
//! Rows are sealed in the order of their sequence. A number may be drawn before its row is committed, so a run seals only
//! up to the number that was drawn last when no writer was under way any more that could still use a lower one.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use sha2::{Digest, Sha256};

use crate::statements::{execute, query, query_one, query_opt};
use crate::{Client, StoreError, sql};

/// The most rows of a block.
const BLOCK: i64 = 1_000;
/// How long a run waits for writers that are under way.
const PATIENCE: Duration = Duration::from_secs(5);
/// Held while sealing, so that replicas do not compete.
const LOCK: i64 = 0x6c65_6467_6572;

/// A head of the chain: keep it outside, and nobody can rewrite what lies before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The block's number, from 1; 0 before the first.
    pub number: i64,
    /// The last row of it.
    pub last_seq: i64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl Head {
    const GENESIS: Self = Self { number: 0, last_seq: 0, hash: [0; 32] };
}

/// What verifying found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The last block that is as it was sealed.
    pub head: Head,
    /// Rows in blocks that are as they were sealed.
    pub rows: i64,
    /// Rows that wait to be sealed, and since when.
    pub unsealed: (i64, Option<DateTime<Utc>>),
    /// What is wrong, in words; `None` when nothing is.
    pub fault: Option<String>,
}

/// Seals what is committed and not sealed; gives the number of rows. Zero while another process seals, or while a writer
/// takes longer than five seconds.
pub async fn seal(client: &mut Client) -> Result<u64, StoreError> {
    // Outside a transaction, so that this one is not among the writers that are waited for; and in this order: whoever
    // drew a number up to this one is a writer by the time the writers are looked at.
    let up_to: i64 = query_one(client, sql!("wallet/seal_horizon.sql"), &[]).await?.try_get(0)?;
    let writers: String = query_one(client, sql!("wallet/seal_writers.sql"), &[]).await?.try_get(0)?;
    let begin = Instant::now();
    while !query_one(client, sql!("wallet/seal_is_quiet.sql"), &[&writers]).await?.try_get::<_, bool>(0)? {
        if begin.elapsed() > PATIENCE {
            return Ok(0);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let transaction = client.transaction().await?;
    let lock = query_one(&transaction, "SELECT pg_try_advisory_xact_lock($1)", &[&LOCK]).await?;
    if !lock.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let mut head = last(&transaction).await?;
    let mut sealed = 0;
    while let Some(block) = block(&transaction, &head, up_to, BLOCK).await? {
        let hash = chained(&head, &block);
        execute(
            &transaction,
            sql!("wallet/insert_seal.sql"),
            &[
                &(head.number + 1),
                &block.first_seq,
                &block.last_seq,
                &i32::try_from(block.rows).unwrap_or(i32::MAX),
                &block.sum,
                &head.hash.as_slice(),
                &hash.as_slice(),
            ],
        )
        .await?;
        sealed += u64::try_from(block.rows).unwrap_or_default();
        head = Head { number: head.number + 1, last_seq: block.last_seq, hash };
    }
    transaction.commit().await?;
    Ok(sealed)
}

/// The head of the chain as stored.
pub async fn last(client: &impl GenericClient) -> Result<Head, StoreError> {
    let Some(row) = query_opt(client, sql!("wallet/last_seal.sql"), &[]).await? else { return Ok(Head::GENESIS) };
    Ok(Head { number: row.try_get(0)?, last_seq: row.try_get(1)?, hash: hash_of(row.try_get(2)?)? })
}

/// Recomputes the whole chain, and compares it with a head that was kept outside, if one is given.
pub async fn verify(client: &impl GenericClient, kept: Option<&Head>) -> Result<Verified, StoreError> {
    let mut head = Head::GENESIS;
    let mut rows = 0;
    let mut fault = None;
    'blocks: loop {
        let seals = query(client, sql!("wallet/seals.sql"), &[&head.number, &500_i64]).await?;
        if seals.is_empty() {
            break;
        }
        for seal in &seals {
            let (number, first, end): (i64, i64, i64) = (seal.try_get(0)?, seal.try_get(1)?, seal.try_get(2)?);
            let count = i64::from(seal.try_get::<_, i32>(3)?);
            let (previous, hash) = (hash_of(seal.try_get(4)?)?, hash_of(seal.try_get(5)?)?);
            let found = block(client, &head, end, i64::MAX).await?;
            let is_as_sealed = number == head.number + 1
                && previous == head.hash
                && found.as_ref().is_some_and(|block| {
                    (block.first_seq, block.last_seq, block.rows) == (first, end, count)
                        && chained(&head, block) == hash
                });
            if !is_as_sealed {
                fault = Some(format!(
                    "block {number} is not as it was sealed: a row from {first} to {end} was altered, removed, added or reordered"
                ));
                break 'blocks;
            }
            rows += count;
            head = Head { number, last_seq: end, hash };
            if fault.is_none() && kept.is_some_and(|kept| kept.number == number && *kept != head) {
                fault = Some(format!("block {number} has another hash than the one that was kept outside"));
                break 'blocks;
            }
        }
    }
    if fault.is_none() && kept.is_some_and(|kept| kept.number > head.number) {
        fault = Some(format!("the chain ends at block {}, and a later one was kept outside", head.number));
    }
    let row = query_one(client, sql!("wallet/unsealed.sql"), &[&head.last_seq]).await?;
    Ok(Verified { head, rows, unsealed: (row.try_get(0)?, row.try_get(1)?), fault })
}

struct Block {
    first_seq: i64,
    last_seq: i64,
    rows: i64,
    sum: String,
    digests: Vec<u8>,
}

async fn block(client: &impl GenericClient, head: &Head, up_to: i64, limit: i64) -> Result<Option<Block>, StoreError> {
    let row = query_one(client, sql!("wallet/block_of_rows.sql"), &[&head.last_seq, &up_to, &limit]).await?;
    let Some(first_seq) = row.try_get(0)? else { return Ok(None) };
    Ok(Some(Block {
        first_seq,
        last_seq: row.try_get(1)?,
        rows: row.try_get(2)?,
        sum: row.try_get(3)?,
        digests: row.try_get(4)?,
    }))
}

fn chained(head: &Head, block: &Block) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(head.hash);
    hash.update((head.number + 1).to_be_bytes());
    hash.update(&block.digests);
    hash.finalize().into()
}

fn hash_of(bytes: Vec<u8>) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_other_length| StoreError::WrongRow("a seal is not 32 bytes long".to_owned()))
}
