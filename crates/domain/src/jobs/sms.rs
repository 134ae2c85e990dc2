//! `sms.send`: a text message to one Indian number, by a template registered with the DLT.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EventKey, Language};
use crate::contact::Mobile;
use crate::ids::{OrderId, UserId};
use crate::job::{Job, Queue};
use crate::money::Paise;
use crate::redacted::Redacted;

/// A text message to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SendSms {
    /// The business event; at most one text message per event and template is sent.
    pub event_key: EventKey,
    /// Where to.
    pub to: Mobile,
    /// The shopper, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The language.
    #[serde(default)]
    pub lang: Language,
    /// Which text, with its values.
    pub message: SmsMessage,
}

/// Every text message we send, with the values it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "template", rename_all = "snake_case")]
pub enum SmsMessage {
    /// A one-time password.
    Otp {
        /// The code.
        code: Redacted<String>,
        /// How long it holds.
        valid_minutes: u32,
    },
    /// An order is paid; the codes come by mail.
    OrderConfirmation {
        /// The order.
        order_id: OrderId,
        /// What was paid.
        amount: Paise,
    },
    /// Cashback is in the wallet.
    CashbackCredited {
        /// Where the shopper bought.
        merchant: String,
        /// The cashback.
        amount: Paise,
    },
    /// Money is on its way to the shopper's account.
    WithdrawalProcessed {
        /// How much.
        amount: Paise,
    },
}

impl SmsMessage {
    /// The template's name, as in the payload and in `notifications`.
    #[must_use]
    pub const fn template(&self) -> &'static str {
        match self {
            Self::Otp { .. } => "otp",
            Self::OrderConfirmation { .. } => "order_confirmation",
            Self::CashbackCredited { .. } => "cashback_credited",
            Self::WithdrawalProcessed { .. } => "withdrawal_processed",
        }
    }
}

impl Job for SendSms {
    const KIND: &'static str = "sms.send";
    const QUEUE: Queue = Queue::Sms;
}
