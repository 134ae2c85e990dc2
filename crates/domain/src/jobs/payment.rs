//! `payment.event` and `payout.start`: Razorpay's news, and money to send out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{WebhookId, WithdrawalId};
use crate::job::{Job, Queue};

/// A verified Razorpay or `RazorpayX` event waits in `webhook_logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessPaymentEvent {
    /// The stored webhook.
    pub webhook_id: WebhookId,
}

impl Job for ProcessPaymentEvent {
    const KIND: &'static str = "payment.event";
    const QUEUE: Queue = Queue::Payments;
}

/// A withdrawal was requested: create the payout at `RazorpayX`, with the withdrawal's id as idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StartPayout {
    /// The withdrawal.
    pub withdrawal_id: WithdrawalId,
}

impl Job for StartPayout {
    const KIND: &'static str = "payout.start";
    const QUEUE: Queue = Queue::Payments;
}
