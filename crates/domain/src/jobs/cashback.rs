//! `cashback.hint` and `cashback.sync`: reasons to ask a network what it knows. `cashback.match`: a transaction that has no
//! click yet.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{TransactionId, WebhookId};
use crate::job::{Job, Queue};
use crate::network::Network;

/// A postback said that something changed. It is unsigned, so it moves no money: the network's own API is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfirmHint {
    /// The network that sent the postback.
    pub network: Network,
    /// The network's id of the transaction, where the postback carried it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_transaction_id: Option<String>,
    /// The sub-id that carries our click, where the postback carried it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_id: Option<String>,
    /// The postback as received.
    pub webhook_id: WebhookId,
}

impl ConfirmHint {
    /// What the network is asked about: its transaction where it named one, else the click.
    #[must_use]
    pub fn about(&self) -> Option<&str> {
        self.external_transaction_id.as_deref().or(self.sub_id.as_deref())
    }
}

impl Job for ConfirmHint {
    const KIND: &'static str = "cashback.hint";
    const QUEUE: Queue = Queue::Cashback;
    const TIMEOUT: std::time::Duration = std::time::Duration::from_mins(2);

    fn dedupe_key(&self) -> Option<String> {
        Some(format!("hint:{}", self.webhook_id))
    }
}

/// Which transactions a sync reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SyncWindow {
    /// From the stored cursor, with the network's overlap.
    SinceCursor,
    /// Transactions whose action date lies in these days, both included.
    ActionDates {
        /// First day (IST).
        from: NaiveDate,
        /// Last day (IST).
        to: NaiveDate,
    },
    /// Transactions whose action date is this many days back, both included.
    DaysBack {
        /// The nearer end, 0 is today.
        nearest: u16,
        /// The farther end.
        farthest: u16,
    },
}

/// Pull a network's transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncNetwork {
    /// The network.
    pub network: Network,
    /// What to read.
    pub window: SyncWindow,
    /// Who asked: `cron`, or an operator's name.
    pub requested_by: String,
}

impl Job for SyncNetwork {
    const KIND: &'static str = "cashback.sync";
    const QUEUE: Queue = Queue::Cashback;
    const TIMEOUT: std::time::Duration = std::time::Duration::from_hours(1);
}

/// Find the click of a transaction that had none when it was first seen. What stays without one ends in the dead letters,
/// where a person sees it; replaying the letter looks again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MatchTransaction {
    /// The transaction.
    pub transaction_id: TransactionId,
}

impl Job for MatchTransaction {
    const KIND: &'static str = "cashback.match";
    const QUEUE: Queue = Queue::Cashback;
}
