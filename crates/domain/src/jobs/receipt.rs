//! `receipt.event`: `SendGrid` or MSG91 told what became of messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::WebhookId;
use crate::job::{Job, Queue};

/// A batch of delivery events waits in `webhook_logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessReceipts {
    /// The stored webhook.
    pub webhook_id: WebhookId,
}

impl Job for ProcessReceipts {
    const KIND: &'static str = "receipt.event";
    const QUEUE: Queue = Queue::Receipts;
}
