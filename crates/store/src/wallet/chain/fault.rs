//! What is wrong with a ledger, said so that a person can look at the very row.

use std::fmt;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::WalletTransactionId;
use domain::money::Paise;

use super::Hash;
use crate::statements::query_opt;
use crate::{StoreError, sql};

/// Something that is not as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A row is there, and something in it is another.
    Altered {
        /// Its place in the ledger.
        seq: i64,
        /// The transaction.
        id: WalletTransactionId,
        /// The digest that was sealed.
        expected: Hash,
        /// The digest of what is there.
        found: Hash,
        /// What is there.
        now: Found,
    },
    /// At a row's place stands another transaction.
    Displaced {
        /// The place.
        seq: i64,
        /// What was sealed there.
        expected: WalletTransactionId,
        /// What stands there.
        found: WalletTransactionId,
        /// Where that was sealed, if it was.
        belongs_to: Option<i64>,
    },
    /// A row is gone.
    Removed {
        /// Its place.
        seq: i64,
        /// The transaction.
        id: WalletTransactionId,
        /// Where that transaction stands now, if it does.
        moved_to: Option<i64>,
    },
    /// A row stands among sealed rows and was not sealed.
    Added {
        /// Its place.
        seq: i64,
        /// The transaction.
        id: WalletTransactionId,
        /// Where it was sealed, if it was.
        belongs_to: Option<i64>,
    },
    /// A block of which only the hash is known holds other rows.
    Block {
        /// The block.
        number: i64,
        /// Its first row.
        first_seq: i64,
        /// Its last row.
        last_seq: i64,
        /// The hash that was sealed.
        expected: Hash,
        /// The hash of what is there.
        found: Hash,
    },
    /// A seal itself is another, or is gone.
    Seal {
        /// The block.
        number: i64,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The chain is not the one whose head was kept outside.
    Head {
        /// What was kept.
        kept: String,
        /// What is there.
        found: String,
    },
}

/// What is known of a row that is not as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    kind: String,
    amount: Paise,
    balance_after: Option<Paise>,
    created_at: Option<DateTime<Utc>>,
    /// Whether accounts, amount and kind are what the row's own input hash says.
    fits_its_hash: bool,
    /// What the balance would be, going by the row before it.
    balance_due: Option<Paise>,
}

impl Found {
    /// Looks at a transaction as it is now; gives its place too.
    pub(super) async fn of(
        client: &impl GenericClient,
        id: WalletTransactionId,
    ) -> Result<Option<(i64, Self)>, StoreError> {
        let Some(row) = query_opt(client, sql!("wallet/row_now.sql"), &[&id]).await? else { return Ok(None) };
        let (moved, before): (Paise, Option<Paise>) = (row.try_get(6)?, row.try_get(7)?);
        let balance_after: Option<Paise> = row.try_get(3)?;
        let balance_due = balance_after.and_then(|_| before.unwrap_or_default().checked_add(moved).ok());
        let found = Self {
            kind: row.try_get(1)?,
            amount: row.try_get(2)?,
            balance_after,
            created_at: row.try_get(4)?,
            fits_its_hash: row.try_get(5)?,
            balance_due,
        };
        Ok(Some((row.try_get(0)?, found)))
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.kind, self.amount)?;
        if let Some(at) = self.created_at {
            write!(f, " at {}", at.format("%Y-%m-%d %H:%M:%S UTC"))?;
        }
        if !self.fits_its_hash {
            f.write_str("; its accounts, amount or kind are not those it was posted with (its input hash says so)")?;
        }
        if let (Some(after), Some(due)) = (self.balance_after, self.balance_due)
            && after != due
        {
            write!(f, "; its balance afterwards is {after}, by the row before it {due} is due")?;
        }
        Ok(())
    }
}

fn place(seq: Option<i64>) -> String {
    seq.map_or("nowhere".to_owned(), |seq| format!("as row {seq}"))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered { seq, id, expected, found, now } => {
                let (expected, found) = (hex::encode(expected), hex::encode(found));
                write!(
                    f,
                    "row {seq}, transaction {id}, was altered: expected digest {expected}, found {found}. It is now a {now}"
                )
            }
            Self::Displaced { seq, expected, found, belongs_to } => {
                let sealed = place(*belongs_to);
                write!(
                    f,
                    "row {seq} was reordered or replaced: expected transaction {expected}, found {found}, which was sealed {sealed}"
                )
            }
            Self::Removed { seq, id, moved_to: None } => {
                write!(f, "row {seq}, transaction {id}, was removed: expected it, found nothing")
            }
            Self::Removed { seq, id, moved_to: Some(to) } => {
                write!(f, "row {seq}, transaction {id}, was reordered: expected it here, found it as row {to}")
            }
            Self::Added { seq, id, belongs_to } => {
                let sealed = place(*belongs_to);
                write!(
                    f,
                    "row {seq}, transaction {id}, was slipped in: expected nothing here, found a row that was sealed {sealed}"
                )
            }
            Self::Block { number, first_seq, last_seq, expected, found } => {
                let (expected, found) = (hex::encode(expected), hex::encode(found));
                write!(
                    f,
                    "block {number}, rows {first_seq} to {last_seq}, was altered: expected hash {expected}, found {found}"
                )
            }
            Self::Seal { number, expected, found } => {
                write!(f, "the seal of block {number} was altered: expected {expected}, found {found}")
            }
            Self::Head { kept, found } => write!(
                f,
                "the chain was cut or rewritten: expected the head that was kept outside, {kept}, found {found}"
            ),
        }
    }
}
