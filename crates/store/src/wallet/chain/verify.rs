//! Recomputing the chain: one pass over the ledger in the order of its rows, beside the pass over the seals.

use std::pin::pin;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::WalletTransactionId;
use futures_util::TryStreamExt as _;
use tokio_postgres::{IsolationLevel, Row};

use super::fault::{Fault, Found};
use super::{Hash, Head, KeptHead, Link, chained, hash_of};
use crate::statements::{query, query_one, query_opt, stream};
use crate::{Client, StoreError, sql};

/// Seals read at a time; their rows are one stream.
const SEALS: i64 = 50;
/// Faults that are told one by one.
const TOLD: usize = 100;

/// Hears how far it is: rows looked at, and rows that were sealed.
pub type Progress<'a> = &'a mut (dyn FnMut(u64, u64) + Send);

/// What verifying found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The last seal.
    pub head: Head,
    /// Blocks.
    pub blocks: u64,
    /// Rows that are as they were sealed.
    pub rows: u64,
    /// Rows that wait to be sealed, and since when.
    pub unsealed: (i64, Option<DateTime<Utc>>),
    /// What is wrong, the first hundred.
    pub faults: Vec<Fault>,
    /// How many faults there are.
    pub fault_count: u64,
}

/// Recomputes the whole chain as it is at this moment, and compares it with a head that was kept outside, if one is given.
/// Writers are not held up.
pub async fn verify(
    client: &mut Client,
    kept: Option<&KeptHead>,
    progress: Progress<'_>,
) -> Result<Verified, StoreError> {
    let snapshot =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?;
    let total: i64 = query_one(&snapshot, sql!("wallet/sealed_rows.sql"), &[]).await?.try_get(0)?;
    let mut reading = Reading::new(u64::try_from(total).unwrap_or_default());
    loop {
        let rows = query(&snapshot, sql!("wallet/seals.sql"), &[&reading.head.number, &SEALS]).await?;
        let seals: Vec<_> = rows.iter().map(Seal::of).collect::<Result<_, _>>()?;
        if seals.is_empty() {
            break;
        }
        reading.blocks(&snapshot, seals, kept, progress).await?;
    }
    if let Some(kept) = kept.filter(|kept| kept.number > reading.head.number) {
        let found = format!("a chain that ends at block {}", reading.head.number);
        reading.faults.add(Fault::Head { kept: kept.to_string(), found });
    }
    let row = query_one(&snapshot, sql!("wallet/unsealed.sql"), &[&reading.head.last_seq]).await?;
    let unsealed = (row.try_get(0)?, row.try_get(1)?);
    let faults = reading.faults.explain(&snapshot).await?;
    snapshot.rollback().await?;
    Ok(Verified {
        head: reading.head,
        blocks: reading.blocks,
        rows: reading.good,
        unsealed,
        faults,
        fault_count: reading.faults.count,
    })
}

/// Place, transaction and digest of a row as sealed.
type SealedRow = (i64, WalletTransactionId, Hash);

/// A seal as stored.
struct Seal {
    number: i64,
    first_seq: i64,
    last_seq: i64,
    count: i32,
    sum: String,
    previous: Hash,
    hash: Hash,
    /// `None` for blocks of which only the hash is known.
    rows: Option<Vec<SealedRow>>,
}

impl Seal {
    fn of(row: &Row) -> Result<Self, StoreError> {
        let seqs: Option<Vec<i64>> = row.try_get(7)?;
        let ids: Option<Vec<WalletTransactionId>> = row.try_get(8)?;
        let digests: Option<Vec<u8>> = row.try_get(9)?;
        let rows = seqs.zip(ids).zip(digests).map(|((seqs, ids), digests)| {
            let digests = digests.as_chunks::<32>().0.iter().copied();
            seqs.into_iter().zip(ids).zip(digests).map(|((seq, id), digest)| (seq, id, digest)).collect()
        });
        Ok(Self {
            number: row.try_get(0)?,
            first_seq: row.try_get(1)?,
            last_seq: row.try_get(2)?,
            count: row.try_get(3)?,
            sum: row.try_get(4)?,
            previous: hash_of(row.try_get(5)?)?,
            hash: hash_of(row.try_get(6)?)?,
            rows,
        })
    }
}

/// What was found wrong so far.
#[derive(Default)]
struct Faults {
    list: Vec<Fault>,
    count: u64,
}

impl Faults {
    fn add(&mut self, fault: Fault) {
        self.count += 1;
        if self.list.len() < TOLD {
            self.list.push(fault);
        }
    }

    fn seal(&mut self, number: i64, expected: String, found: String) {
        self.add(Fault::Seal { number, expected, found });
    }

    fn slipped_in(&mut self, link: &Link) {
        self.add(Fault::Added { seq: link.seq, id: link.id, belongs_to: None });
    }

    /// Adds what can be said only by looking again: what the row is now, and where things were sealed.
    async fn explain(&self, client: &impl GenericClient) -> Result<Vec<Fault>, StoreError> {
        let mut faults = self.list.clone();
        for fault in &mut faults {
            match fault {
                Fault::Altered { id, now, .. } => {
                    if let Some((_, found)) = Found::of(client, *id).await? {
                        *now = found;
                    }
                }
                Fault::Removed { id, moved_to, .. } => *moved_to = Found::of(client, *id).await?.map(|(seq, _)| seq),
                Fault::Displaced { found, belongs_to, .. } => *belongs_to = sealed_as(client, *found).await?,
                Fault::Added { id, belongs_to, .. } => *belongs_to = sealed_as(client, *id).await?,
                Fault::Block { .. } | Fault::Seal { .. } | Fault::Head { .. } => {}
            }
        }
        Ok(faults)
    }
}

async fn sealed_as(client: &impl GenericClient, id: WalletTransactionId) -> Result<Option<i64>, StoreError> {
    Ok(query_opt(client, sql!("wallet/sealed_as.sql"), &[&id]).await?.map(|row| row.try_get(0)).transpose()?)
}

/// The chain as far as it was read.
struct Reading {
    head: Head,
    blocks: u64,
    good: u64,
    looked_at: u64,
    total: u64,
    faults: Faults,
}

impl Reading {
    fn new(total: u64) -> Self {
        Self { head: Head::GENESIS, blocks: 0, good: 0, looked_at: 0, total, faults: Faults::default() }
    }

    /// Compares the rows of some blocks with their seals.
    async fn blocks(
        &mut self,
        client: &impl GenericClient,
        seals: Vec<Seal>,
        kept: Option<&KeptHead>,
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<(), StoreError> {
        let up_to = seals.iter().map(|seal| seal.last_seq).max().unwrap_or(self.head.last_seq);
        let rows = stream(client, sql!("wallet/row_digests.sql"), &[&self.head.last_seq, &up_to, &i64::MAX]).await?;
        let mut rows = pin!(rows);
        let mut next = rows.try_next().await?.as_ref().map(Link::of).transpose()?;
        for seal in seals {
            let mut found = Vec::new();
            while let Some(link) = next.take_if(|link| link.seq <= seal.last_seq) {
                found.push(link);
                next = rows.try_next().await?.as_ref().map(Link::of).transpose()?;
            }
            self.block(&seal, &found);
            self.blocks += 1;
            self.looked_at += u64::try_from(seal.count).unwrap_or_default();
            progress(self.looked_at, self.total);
            self.head = Head { number: seal.number, last_seq: seal.last_seq.max(self.head.last_seq), hash: seal.hash };
            if let Some(kept) = kept
                && self.head.is(kept) == Some(false)
            {
                let found = self.head.keep().to_string();
                self.faults.add(Fault::Head { kept: kept.to_string(), found });
            }
        }
        Ok(())
    }

    fn block(&mut self, seal: &Seal, found: &[Link]) {
        let before = self.faults.count;
        self.seal(seal);
        match &seal.rows {
            Some(expected) => self.rows(expected, found),
            None => self.bare_block(seal, found),
        }
        let sum = found.iter().map(|link| i128::from(link.amount)).sum::<i128>().to_string();
        if self.faults.count == before && sum != seal.sum {
            self.faults.seal(seal.number, format!("a sum of {sum} paise"), format!("{} paise", seal.sum));
        }
    }

    /// Whether a seal follows the one before it, and agrees with itself.
    fn seal(&mut self, seal: &Seal) {
        let number = self.head.number + 1;
        if seal.number != number {
            self.faults.seal(number, "a seal".to_owned(), "none".to_owned());
        } else if seal.previous != self.head.hash {
            let (expected, found) = (hex::encode(self.head.hash), hex::encode(seal.previous));
            self.faults.seal(number, format!("the hash of the block before it, {expected}"), found);
        }
        let Some(rows) = &seal.rows else { return };
        let digests: Vec<u8> = rows.iter().flat_map(|(_, _, digest)| *digest).collect();
        let due = chained(&seal.previous, seal.number, &digests);
        if due != seal.hash {
            self.faults.seal(seal.number, format!("hash {}", hex::encode(due)), hex::encode(seal.hash));
        }
        let ends = rows.first().zip(rows.last()).map_or((0, 0), |(first, last)| (first.0, last.0));
        if ends != (seal.first_seq, seal.last_seq) {
            let found = format!("rows {} to {}", seal.first_seq, seal.last_seq);
            self.faults.seal(seal.number, format!("rows {} to {}", ends.0, ends.1), found);
        }
    }

    /// Compares row by row; both are in the order of the ledger.
    fn rows(&mut self, expected: &[SealedRow], found: &[Link]) {
        let mut found = found.iter().peekable();
        for &(seq, id, digest) in expected {
            while let Some(link) = found.next_if(|link| link.seq < seq) {
                self.faults.slipped_in(link);
            }
            // Nothing but the identity keeps a number from standing twice.
            let here: Vec<_> = std::iter::from_fn(|| found.next_if(|link| link.seq == seq)).collect();
            let sealed = here.iter().find(|link| link.id == id).or(here.first()).copied();
            let others = here.iter().filter(|link| sealed.is_some_and(|sealed| sealed.id != link.id));
            others.for_each(|link| self.faults.slipped_in(link));
            match sealed {
                None => self.faults.add(Fault::Removed { seq, id, moved_to: None }),
                Some(link) if link.id != id => {
                    self.faults.add(Fault::Displaced { seq, expected: id, found: link.id, belongs_to: None });
                }
                Some(link) if link.digest != digest => {
                    let now = Found::default();
                    self.faults.add(Fault::Altered { seq, id, expected: digest, found: link.digest, now });
                }
                Some(_) => self.good += 1,
            }
        }
        found.for_each(|link| self.faults.slipped_in(link));
    }

    /// A block of which only the hash is known.
    fn bare_block(&mut self, seal: &Seal, found: &[Link]) {
        let digests: Vec<u8> = found.iter().flat_map(|link| link.digest).collect();
        let hash = chained(&seal.previous, seal.number, &digests);
        if hash == seal.hash {
            self.good += u64::try_from(found.len()).unwrap_or_default();
        } else {
            let (number, first_seq, last_seq) = (seal.number, seal.first_seq, seal.last_seq);
            self.faults.add(Fault::Block { number, first_seq, last_seq, expected: seal.hash, found: hash });
        }
    }
}
