//! The job of the proofs: it does as it is told, once when it is run for the first time, and otherwise after that.

use domain::job::{Job, Queue, RetryPolicy};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a run of an errand does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Act {
    /// It succeeds after this many milliseconds.
    Succeed(u64),
    /// It fails for good after this many milliseconds.
    Fail(u64),
    /// It takes its process with it.
    Die,
}

/// A job of the proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Errand {
    /// Which one; its effect's key.
    pub(crate) number: u64,
    /// What its first run does.
    pub(crate) first: Act,
    /// What every further run does.
    pub(crate) again: Act,
}

impl Job for Errand {
    const KIND: &'static str = "proof.errand";
    const QUEUE: Queue = Queue::Payments;
    const RETRY: RetryPolicy =
        RetryPolicy { max_attempts: 5, base: Duration::from_millis(50), cap: Duration::from_millis(200) };
}

/// The same, handled many at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parcel {
    /// Which one; its effect's key.
    pub(crate) number: u64,
}

impl Job for Parcel {
    const KIND: &'static str = "proof.parcel";
    const QUEUE: Queue = Queue::Clicks;
}
