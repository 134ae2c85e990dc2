//! `email.send`: a mail to one person. Values only; the notifier renders.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EventKey, Language};
use crate::contact::EmailAddress;
use crate::ids::{OrderId, UserId};
use crate::job::{Job, Queue};
use crate::money::Paise;
use crate::redacted::Redacted;

/// A mail to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SendEmail {
    /// The business event; at most one mail per event and template is sent.
    pub event_key: EventKey,
    /// Where to.
    pub to: EmailAddress,
    /// The person's name for the greeting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The shopper, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The language.
    #[serde(default)]
    pub lang: Language,
    /// Which mail, with its values.
    pub message: EmailMessage,
}

/// Every mail we send, with the values it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "template", rename_all = "snake_case")]
pub enum EmailMessage {
    /// Welcome, with the link that verifies the address.
    Welcome {
        /// The link; it carries a token.
        verify_url: Redacted<url::Url>,
    },
    /// A one-time password.
    Otp {
        /// The code.
        code: Redacted<String>,
        /// How long it holds.
        valid_minutes: u32,
    },
    /// A link to set a new password.
    PasswordReset {
        /// The link; it carries a token.
        reset_url: Redacted<url::Url>,
        /// How long it holds.
        valid_minutes: u32,
    },
    /// An order is paid; the notifier reads its lines and decrypts its voucher codes itself.
    OrderConfirmation {
        /// The order.
        order_id: OrderId,
    },
    /// A purchase was tracked: cashback is pending.
    CashbackTracked {
        /// Where the shopper bought.
        merchant: String,
        /// The expected cashback.
        amount: Paise,
        /// The merchant's order number, when the network tells it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_ref: Option<String>,
    },
    /// Cashback is in the wallet.
    CashbackCredited {
        /// Where the shopper bought.
        merchant: String,
        /// The cashback.
        amount: Paise,
        /// The wallet afterwards.
        balance: Paise,
    },
    /// The merchant declined the purchase, before or after it was credited.
    CashbackDeclined {
        /// Where the shopper bought.
        merchant: String,
        /// The cashback that is gone.
        amount: Paise,
        /// Whether it had been in the wallet and was taken back.
        was_credited: bool,
    },
    /// Money is on its way to the shopper's account.
    WithdrawalProcessed {
        /// How much.
        amount: Paise,
        /// The bank's reference, when known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        utr: Option<String>,
    },
    /// A withdrawal failed or came back; the money is in the wallet again.
    WithdrawalFailed {
        /// How much.
        amount: Paise,
        /// Why, in words for the shopper.
        reason: String,
    },
    /// Cashback has been pending for long.
    PendingReminder {
        /// How much in all.
        amount: Paise,
        /// From how many purchases.
        purchases: u32,
    },
    /// Something an admin must look at.
    AdminAlert {
        /// One line.
        title: String,
        /// What happened and what to do; no personal data.
        detail: String,
    },
}

impl EmailMessage {
    /// The template's name, as in the payload and in `notifications`.
    #[must_use]
    pub const fn template(&self) -> &'static str {
        match self {
            Self::Welcome { .. } => "welcome",
            Self::Otp { .. } => "otp",
            Self::PasswordReset { .. } => "password_reset",
            Self::OrderConfirmation { .. } => "order_confirmation",
            Self::CashbackTracked { .. } => "cashback_tracked",
            Self::CashbackCredited { .. } => "cashback_credited",
            Self::CashbackDeclined { .. } => "cashback_declined",
            Self::WithdrawalProcessed { .. } => "withdrawal_processed",
            Self::WithdrawalFailed { .. } => "withdrawal_failed",
            Self::PendingReminder { .. } => "pending_reminder",
            Self::AdminAlert { .. } => "admin_alert",
        }
    }
}

impl Job for SendEmail {
    const KIND: &'static str = "email.send";
    const QUEUE: Queue = Queue::Email;
}
