//! Rows that are put aside: nothing is guessed about money.

use chrono::{DateTime, Utc};

use crate::money::Currency;
use crate::network::Network;

/// Why a row could not be put into our words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuarantineReason {
    /// A status that no contract names.
    #[error("the status {0:?} is unknown")]
    UnknownStatus(String),
    /// An amount below zero.
    #[error("{field} is negative")]
    NegativeAmount {
        /// Which field.
        field: String,
    },
    /// A currency for which no rate is set.
    #[error("no rate is set for {0}")]
    NoRate(Currency),
    /// A field that the row cannot do without.
    #[error("{field} is missing")]
    Missing {
        /// Which field.
        field: String,
    },
    /// A field that cannot be read.
    #[error("{field} cannot be read: {detail}")]
    Unreadable {
        /// Which field.
        field: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl QuarantineReason {
    /// The word in tables and metrics.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::UnknownStatus(_) => "unknown_status",
            Self::NegativeAmount { .. } => "negative_amount",
            Self::NoRate(_) => "no_rate",
            Self::Missing { .. } => "missing_field",
            Self::Unreadable { .. } => "unreadable_field",
        }
    }
}

/// A row that is put aside until a person, or a new version that knows more, has looked. Money neither comes nor goes
/// because of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Who reports it.
    pub network: Network,
    /// The network's own id, if the row has one.
    pub external_id: Option<String>,
    /// Why.
    pub reason: QuarantineReason,
    /// The network's own word for the status, if the row has one.
    pub raw_status: Option<String>,
    /// When we asked the network for this report.
    pub observed_at: DateTime<Utc>,
    /// The row as JSON text, its personal data left out.
    pub raw: String,
}
