//! What holds for each template: its category, how long it is worth sending, and what is done when nobody knows whether it
//! was sent.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::jobs::email::EmailMessage;
use domain::jobs::sms::SmsMessage;
use store::notifications::Category;

/// The rules of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Its category.
    pub(crate) category: Category,
    /// How long after it was asked for it is still worth sending.
    pub(crate) worth: Option<Duration>,
    /// Whether one that was asked for later makes it pointless.
    pub(crate) newest_wins: bool,
    /// After a try without an answer: how long to wait for a report before it may be sent again, and only if reports of
    /// other messages do come in. `None`: never again.
    pub(crate) again_after: Option<Duration>,
    /// Whether the payload holds a code or a token, which must not lie among the dead letters.
    pub(crate) secret: bool,
}

/// `processed` events leave SendGrid about every 30 s; half an hour without one, while others come, is as good as a no.
const DOUBT: Duration = Duration::from_mins(30);

const SECURITY: Policy =
    Policy { category: Category::Security, worth: None, newest_wins: false, again_after: None, secret: true };
const MONEY: Policy =
    Policy { category: Category::Money, worth: None, newest_wins: false, again_after: None, secret: false };

fn code(valid_minutes: u32) -> Policy {
    Policy { worth: Some(Duration::from_secs(u64::from(valid_minutes) * 60)), newest_wins: true, ..SECURITY }
}

impl From<&EmailMessage> for Policy {
    fn from(message: &EmailMessage) -> Self {
        match message {
            // Without this mail nobody can use the account.
            EmailMessage::Welcome { .. } => Self { again_after: Some(DOUBT), ..SECURITY },
            EmailMessage::Otp { valid_minutes, .. } | EmailMessage::PasswordReset { valid_minutes, .. } => {
                code(*valid_minutes)
            }
            // It brings the codes that were paid for.
            EmailMessage::OrderConfirmation { .. } => Self { again_after: Some(DOUBT), ..MONEY },
            // The wallet tells the same; being told twice of one sum would worry.
            EmailMessage::CashbackTracked { .. }
            | EmailMessage::CashbackCredited { .. }
            | EmailMessage::CashbackDeclined { .. }
            | EmailMessage::WithdrawalProcessed { .. }
            | EmailMessage::WithdrawalFailed { .. } => MONEY,
            EmailMessage::PendingReminder { .. } => {
                Self { category: Category::Reminder, again_after: Some(DOUBT), ..MONEY }
            }
            EmailMessage::AdminAlert { .. } => {
                Self { category: Category::Operations, again_after: Some(DOUBT), ..MONEY }
            }
        }
    }
}

impl From<&SmsMessage> for Policy {
    fn from(message: &SmsMessage) -> Self {
        match message {
            SmsMessage::Otp { valid_minutes, .. } => code(*valid_minutes),
            // Reports of text messages wait for the handset, so their absence proves nothing: never again.
            SmsMessage::OrderConfirmation { .. }
            | SmsMessage::CashbackCredited { .. }
            | SmsMessage::WithdrawalProcessed { .. } => MONEY,
        }
    }
}

impl Policy {
    /// Whether it is worth nothing any more.
    pub(crate) fn is_stale(&self, queued_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let worth = self.worth.and_then(|worth| TimeDelta::from_std(worth).ok());
        worth.and_then(|worth| queued_at.checked_add_signed(worth)).is_some_and(|end| end <= now)
    }
}
