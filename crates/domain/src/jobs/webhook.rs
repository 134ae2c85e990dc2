//! `webhook.replay`: an operator wants a stored webhook worked off again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::ReplayId;
use crate::job::{Job, Queue};

/// A replay waits in `webhook_replays`: which webhook, and whether it is only to be previewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayWebhook {
    /// The replay, new each time.
    pub replay_id: ReplayId,
}

impl Job for ReplayWebhook {
    const KIND: &'static str = "webhook.replay";
    const QUEUE: Queue = Queue::Payments;
}
