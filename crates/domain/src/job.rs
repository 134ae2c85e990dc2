//! What a job is, to everybody who pushes or runs one. How it travels is the queue crate's business.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A queue: the list `queue:<name>` in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Queue {
    /// Clicks on their way to Postgres.
    Clicks,
    /// Mail.
    Email,
    /// Text messages.
    Sms,
    /// Hints and syncs of affiliate transactions.
    Cashback,
    /// Razorpay events and payouts to start.
    Payments,
    /// Delivery reports of mails and text messages.
    Receipts,
    /// News for shoppers who look at the shop's page right now.
    Events,
}

impl Queue {
    /// Every queue.
    pub const ALL: [Self; 7] =
        [Self::Clicks, Self::Email, Self::Sms, Self::Cashback, Self::Payments, Self::Receipts, Self::Events];

    /// The name in keys, tables and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clicks => "clicks",
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Cashback => "cashback",
            Self::Payments => "payments",
            Self::Receipts => "receipts",
            Self::Events => "events",
        }
    }
}

/// A word that names no queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a queue (one of clicks, email, sms, cashback, payments, receipts, events)")]
pub struct UnknownQueue(pub String);

impl FromStr for Queue {
    type Err = UnknownQueue;

    fn from_str(text: &str) -> Result<Self, UnknownQueue> {
        Self::ALL
            .into_iter()
            .find(|queue| queue.name() == text)
            .ok_or_else(|| UnknownQueue(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often and how far apart a failed job is tried. Waits are drawn evenly from zero to
/// `min(cap, base × 2^(attempt − 1))` (full jitter).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub max_attempts: u32,
    /// The longest wait after the first failure.
    pub base: Duration,
    /// The longest wait ever.
    pub cap: Duration,
}

impl RetryPolicy {
    /// Three attempts, one second, ten minutes.
    pub const DEFAULT: Self = Self { max_attempts: 3, base: Duration::from_secs(1), cap: Duration::from_mins(10) };
}

/// A payload that can be put on a queue. The serde form is public API: other producers write it too.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The dotted name in the envelope, such as `email.send`.
    const KIND: &'static str;
    /// The queue it goes to.
    const QUEUE: Queue;
    /// How it is retried.
    const RETRY: RetryPolicy = RetryPolicy::DEFAULT;
    /// The longest that one run may take.
    const TIMEOUT: Duration = Duration::from_secs(30);
    /// The version of the payload's form.
    const VERSION: u32 = 1;

    /// Jobs with the same key within the producer's window are enqueued once.
    fn dedupe_key(&self) -> Option<String> {
        None
    }
}
