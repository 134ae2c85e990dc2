//! The chain over the ledger. [`seal`] adds what is not sealed yet; [`verify()`] recomputes everything.
//!
//! Rows are sealed in the order of their sequence. A number may be drawn before its row is committed, so a run seals only
//! up to the number that was drawn last when no writer was under way any more that could still use a lower one.

mod fault;
mod verify;

use std::fmt;
use std::pin::pin;
use std::str::FromStr;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::WalletTransactionId;
use futures_util::TryStreamExt as _;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;

pub use fault::{Fault, Found};
pub use verify::{Progress, Verified, verify};

use crate::statements::{execute, query_one, query_opt, stream};
use crate::{Client, StoreError, sql};

/// The most rows of a block.
const BLOCK: usize = 1_000;
/// The most rows sealed in one transaction.
const AT_ONCE: i64 = 100_000;
/// How long a run waits for writers that are under way.
const PATIENCE: Duration = Duration::from_secs(5);
/// Held while sealing, so that replicas do not compete.
const LOCK: i64 = 0x6c65_6467_6572;

/// A sha256.
type Hash = [u8; 32];

/// A head of the chain: keep it outside, and nobody can rewrite what lies before it. Written as `number:hash`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The block's number, from 1; 0 before the first.
    pub number: i64,
    /// The last row of it.
    pub last_seq: i64,
    /// Its hash.
    pub hash: Hash,
}

impl Head {
    const GENESIS: Self = Self { number: 0, last_seq: i64::MIN, hash: [0; 32] };

    /// Whether this is the block that was kept outside; `None` when it is another one.
    fn is(&self, kept: &KeptHead) -> Option<bool> {
        (self.number == kept.number).then_some(self.hash == kept.hash)
    }

    /// What is to be kept outside.
    #[must_use]
    pub fn keep(&self) -> KeptHead {
        KeptHead { number: self.number, hash: self.hash }
    }
}

/// A head as it is kept outside, on paper or in another system's log: `12:9f86…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptHead {
    number: i64,
    hash: Hash,
}

impl fmt::Display for KeptHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, hex::encode(self.hash))
    }
}

/// A text that is no head.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no head of the chain: a block's number, a colon, and 64 hexadecimal digits")]
pub struct InvalidHead(String);

impl FromStr for KeptHead {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let read = || {
            let (number, hash) = text.trim().split_once(':')?;
            let mut bytes = [0; 32];
            hex::decode_to_slice(hash, &mut bytes).ok()?;
            Some(Self { number: number.parse().ok()?, hash: bytes })
        };
        read().ok_or_else(|| InvalidHead(text.chars().take(100).collect()))
    }
}

/// What sealing came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sealed {
    /// Rows that are sealed now and were not before. None while another process seals, or while a writer takes longer than
    /// five seconds.
    pub rows: u64,
    /// The head of the chain afterwards, if this call moved it.
    pub head: Option<Head>,
}

/// Seals what is committed and not sealed.
pub async fn seal(client: &mut Client) -> Result<Sealed, StoreError> {
    // In this order: whoever drew a number up to this one is a writer when the writers are looked at, or has ended. Outside a
    // transaction, so that what ended meanwhile is seen.
    let up_to: i64 = query_one(client, sql!("wallet/seal_horizon.sql"), &[]).await?.try_get(0)?;
    let writers: Vec<String> = query_one(client, sql!("wallet/seal_writers.sql"), &[]).await?.try_get(0)?;
    let begin = Instant::now();
    while !query_one(client, sql!("wallet/seal_is_quiet.sql"), &[&writers]).await?.try_get::<_, bool>(0)? {
        if begin.elapsed() > PATIENCE {
            return Ok(Sealed::default());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut sealed = Sealed::default();
    loop {
        let transaction = client.transaction().await?;
        let lock = query_one(&transaction, "SELECT pg_try_advisory_xact_lock($1)", &[&LOCK]).await?;
        if !lock.try_get::<_, bool>(0)? {
            return Ok(sealed);
        }
        let mut head = last(&transaction).await?;
        let mut rows = 0;
        for block in unsealed_blocks(&transaction, &head, up_to).await? {
            rows += block.ids.len();
            head = insert(&transaction, &head, &block).await?;
            sealed.head = Some(head.clone());
        }
        transaction.commit().await?;
        sealed.rows += u64::try_from(rows).unwrap_or_default();
        if i64::try_from(rows).unwrap_or(i64::MAX) < AT_ONCE {
            return Ok(sealed);
        }
    }
}

/// The head of the chain as stored.
pub async fn last(client: &impl GenericClient) -> Result<Head, StoreError> {
    let Some(row) = query_opt(client, sql!("wallet/last_seal.sql"), &[]).await? else { return Ok(Head::GENESIS) };
    Ok(Head { number: row.try_get(0)?, last_seq: row.try_get(1)?, hash: hash_of(row.try_get(2)?)? })
}

/// How many rows wait to be sealed, and since when the oldest does.
pub async fn unsealed(client: &impl GenericClient) -> Result<(i64, Option<DateTime<Utc>>), StoreError> {
    let head = last(client).await?;
    let row = query_one(client, sql!("wallet/unsealed.sql"), &[&head.last_seq]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Rows that are sealed together.
#[derive(Default)]
struct Block {
    seqs: Vec<i64>,
    ids: Vec<WalletTransactionId>,
    digests: Vec<u8>,
    sum: i128,
}

/// A row of the ledger as far as the chain is concerned.
struct Link {
    seq: i64,
    id: WalletTransactionId,
    amount: i64,
    digest: Hash,
}

impl Link {
    fn of(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.try_get(0)?,
            id: row.try_get(1)?,
            amount: row.try_get(2)?,
            digest: hash_of(row.try_get(3)?)?,
        })
    }
}

async fn unsealed_blocks(client: &impl GenericClient, head: &Head, up_to: i64) -> Result<Vec<Block>, StoreError> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut rows = pin!(stream(client, sql!("wallet/row_digests.sql"), &[&head.last_seq, &up_to, &AT_ONCE]).await?);
    while let Some(row) = rows.try_next().await? {
        let link = Link::of(&row)?;
        if blocks.last().is_none_or(|block| block.ids.len() == BLOCK) {
            blocks.push(Block::default());
        }
        if let Some(block) = blocks.last_mut() {
            block.seqs.push(link.seq);
            block.ids.push(link.id);
            block.digests.extend(link.digest);
            block.sum += i128::from(link.amount);
        }
    }
    Ok(blocks)
}

async fn insert(client: &impl GenericClient, head: &Head, block: &Block) -> Result<Head, StoreError> {
    let (Some(first), Some(last_seq)) = (block.seqs.first(), block.seqs.last().copied()) else {
        return Ok(head.clone());
    };
    let number = head.number + 1;
    let hash = chained(&head.hash, number, &block.digests);
    execute(
        client,
        sql!("wallet/insert_seal.sql"),
        &[
            &number,
            first,
            &last_seq,
            &i32::try_from(block.ids.len()).unwrap_or(i32::MAX),
            &block.sum.to_string(),
            &head.hash.as_slice(),
            &hash.as_slice(),
            &block.seqs,
            &block.ids,
            &block.digests,
        ],
    )
    .await?;
    Ok(Head { number, last_seq, hash })
}

/// The hash of a block: of the block before it, its number, and the digests of its rows.
fn chained(previous: &Hash, number: i64, digests: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(number.to_be_bytes());
    hash.update(digests);
    hash.finalize().into()
}

fn hash_of(bytes: Vec<u8>) -> Result<Hash, StoreError> {
    bytes.try_into().map_err(|_other_length| StoreError::WrongRow("a hash is not 32 bytes long".to_owned()))
}
