//! `shopper.event`: what a shopper may see happen while the shop's page is open. Who is away is told by mail.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::email::EmailMessage;
use crate::ids::{OrderId, UserId};
use crate::job::{Job, Queue};
use crate::money::Paise;

/// News for one shopper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotifyShopper {
    /// Whose news it is.
    pub user_id: UserId,
    /// The news.
    pub event: ShopperEvent,
}

/// Everything that is told live. The shop's page reads it in this form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ShopperEvent {
    /// An order stands otherwise.
    OrderUpdated {
        /// The order.
        order_id: OrderId,
        /// How it stands: `paid`, `fulfilled`, `held`, `refunded`.
        status: String,
    },
    /// A purchase was tracked: cashback is pending.
    CashbackTracked {
        /// Where the shopper bought.
        merchant: String,
        /// The expected cashback.
        amount: Paise,
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
    /// The merchant declined the purchase.
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
    },
    /// A withdrawal failed or came back; the money is in the wallet again.
    WithdrawalFailed {
        /// How much.
        amount: Paise,
    },
}

impl ShopperEvent {
    /// What a mail tells that somebody in front of the page should see as well.
    #[must_use]
    pub fn of(mail: &EmailMessage) -> Option<Self> {
        Some(match mail {
            EmailMessage::CashbackTracked { merchant, amount, .. } => {
                Self::CashbackTracked { merchant: merchant.clone(), amount: *amount }
            }
            EmailMessage::CashbackCredited { merchant, amount, balance } => {
                Self::CashbackCredited { merchant: merchant.clone(), amount: *amount, balance: *balance }
            }
            EmailMessage::CashbackDeclined { merchant, amount, was_credited } => {
                Self::CashbackDeclined { merchant: merchant.clone(), amount: *amount, was_credited: *was_credited }
            }
            EmailMessage::WithdrawalProcessed { amount, .. } => Self::WithdrawalProcessed { amount: *amount },
            EmailMessage::WithdrawalFailed { amount, .. } => Self::WithdrawalFailed { amount: *amount },
            _ => return None,
        })
    }
}

impl Job for NotifyShopper {
    const KIND: &'static str = "shopper.event";
    const QUEUE: Queue = Queue::Events;
}
