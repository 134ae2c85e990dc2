//! Messages to people: who was told what, once, and what became of it.

mod report;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{NotificationId, UserId};
use domain::jobs::{EventKey, Language};

pub use report::{DeliveryEvent, Report, apply_events, apply_to_addresses};

use crate::statements::{execute, query, query_one, query_opt};
use crate::suppressions::AddressHash;
use crate::{StoreError, sql};

/// How a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Mail.
    Email,
    /// Text message.
    Sms,
}

impl Channel {
    /// The word in tables and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }
}

/// What kind of message it is. Suppressions and unsubscribing go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Somebody waits for it: codes and links.
    Security,
    /// What happened to a shopper's money or order. The law wants it sent.
    Money,
    /// What a shopper may do without.
    Reminder,
    /// For our own people.
    Operations,
}

impl Category {
    /// The word in tables, metrics and the provider's categories.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Security => "security",
            Self::Money => "money",
            Self::Reminder => "reminder",
            Self::Operations => "operations",
        }
    }
}

/// A message about to be sent.
#[derive(Debug, Clone)]
pub struct Message {
    /// The business event.
    pub event_key: EventKey,
    /// How it travels.
    pub channel: Channel,
    /// Its template.
    pub template: &'static str,
    /// Its language.
    pub lang: Language,
    /// Its kind.
    pub category: Category,
    /// The shopper, when it is one.
    pub user_id: Option<UserId>,
    /// The masked address.
    pub recipient: String,
    /// The hashed address.
    pub address: AddressHash,
    /// Who will be asked to send it.
    pub provider: &'static str,
    /// When it was asked for.
    pub queued_at: DateTime<Utc>,
    /// Whether one that was asked for later makes this one pointless.
    pub newest_wins: bool,
    /// The most messages to this address on this channel in an hour; 0 is no limit.
    pub per_hour: i32,
    /// The most in a day; 0 is no limit.
    pub per_day: i32,
    /// What it belongs to.
    pub correlation_id: Option<String>,
}

/// Whether this call may send.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// It may: nobody has, or it is sure that nobody succeeded.
    Send {
        /// The message's own id, which travels with it.
        id: NotificationId,
        /// Which try this is, from 1.
        attempt: i32,
    },
    /// It must not be sent: suppressed, throttled, superseded.
    Withheld {
        /// The state.
        status: String,
        /// Why.
        reason: String,
    },
    /// It was asked for and no answer is known; a report may still tell.
    InDoubt {
        /// The message.
        id: NotificationId,
        /// How long ago it was asked for.
        seconds: f64,
    },
    /// It has its outcome.
    Settled(String),
}

/// Claims messages, in one statement; gives a claim each, in order. No two of them may be the same message (event key,
/// channel and template).
pub async fn claim(client: &impl GenericClient, messages: &[Message]) -> Result<Vec<Claim>, StoreError> {
    fn column<'a, T>(messages: &'a [Message], pick: impl Fn(&'a Message) -> T) -> Vec<T> {
        messages.iter().map(pick).collect()
    }
    let rows = query(
        client,
        sql!("notifications/claim.sql"),
        &[
            &column(messages, |_| NotificationId::generate()),
            &column(messages, |message| message.event_key.as_str()),
            &column(messages, |message| message.channel.name()),
            &column(messages, |message| message.template),
            &column(messages, |message| message.lang.code()),
            &column(messages, |message| message.category.name()),
            &column(messages, |message| message.user_id),
            &column(messages, |message| message.recipient.as_str()),
            &column(messages, |message| message.address.as_bytes()),
            &column(messages, |message| message.provider),
            &column(messages, |message| message.queued_at),
            &column(messages, |message| message.newest_wins),
            &column(messages, |message| message.per_hour),
            &column(messages, |message| message.per_day),
            &column(messages, |message| message.correlation_id.as_deref()),
        ],
    )
    .await?;
    let mut claims: Vec<Option<Claim>> = vec![None; messages.len()];
    for row in rows {
        let (key, channel, template): (&str, &str, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let same = |message: &Message| {
            message.event_key.as_str() == key && message.channel.name() == channel && message.template == template
        };
        let place = messages.iter().position(same).and_then(|place| claims.get_mut(place));
        let status: String = row.try_get(4)?;
        if let Some(place) = place {
            *place = Some(if status == "sending" {
                Claim::Send { id: row.try_get(3)?, attempt: row.try_get(6)? }
            } else {
                Claim::Withheld { status, reason: row.try_get(5)? }
            });
        }
    }
    let mut whole = Vec::with_capacity(messages.len());
    for (message, claim) in messages.iter().zip(claims) {
        whole.push(match claim {
            Some(claim) => claim,
            None => state(client, message).await?,
        });
    }
    Ok(whole)
}

/// What is known of a message that could not be claimed.
async fn state(client: &impl GenericClient, message: &Message) -> Result<Claim, StoreError> {
    let key: [&(dyn postgres_types::ToSql + Sync); 3] =
        [&message.event_key.as_str(), &message.channel.name(), &message.template];
    let row = query_one(client, sql!("notifications/state.sql"), &key).await?;
    let status: String = row.try_get(1)?;
    Ok(if status == "sending" || status == "unknown" {
        Claim::InDoubt { id: row.try_get(0)?, seconds: row.try_get(3)? }
    } else {
        Claim::Settled(status)
    })
}

/// Claims a message in doubt after all: `seconds` went by without a report of it, while reports of later messages of the
/// same provider came in. Gives the number of this try, or nothing.
pub async fn take_over(
    client: &impl GenericClient,
    id: NotificationId,
    seconds: f64,
) -> Result<Option<i32>, StoreError> {
    let row = query_opt(client, sql!("notifications/take_over.sql"), &[&id, &seconds]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Lets a message that was refused for good be sent again, on an operator's word; says whether it was. What a provider has, or may
/// have, stays as it is.
pub async fn reopen(client: &impl GenericClient, message: &Message) -> Result<bool, StoreError> {
    let key: [&(dyn postgres_types::ToSql + Sync); 3] =
        [&message.event_key.as_str(), &message.channel.name(), &message.template];
    Ok(execute(client, sql!("notifications/reopen.sql"), &key).await? == 1)
}

/// What became of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The provider took the message, under this id.
    Sent(Option<String>),
    /// It surely did not take it; it will be sent again.
    Retry(String),
    /// It did not answer.
    Unknown(String),
    /// It refused for good.
    Failed(String),
    /// It was not asked: the message is worth nothing any more.
    Expired,
}

/// An answer to be written down.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The message.
    pub id: NotificationId,
    /// Who was asked.
    pub provider: &'static str,
    /// What came of it.
    pub settlement: Settlement,
    /// Parts that an SMS is billed as.
    pub parts: Option<i16>,
    /// Whether the provider may have the message although it did not say so.
    pub may_be_taken: bool,
}

impl Answer {
    /// A certain one that is not about an SMS.
    #[must_use]
    pub const fn of(id: NotificationId, provider: &'static str, settlement: Settlement) -> Self {
        Self { id, provider, settlement, parts: None, may_be_taken: false }
    }
}

impl Settlement {
    const fn status(&self) -> (&'static str, i16) {
        match self {
            Self::Sent(_) => ("sent", 2),
            Self::Retry(_) => ("retry", 0),
            Self::Unknown(_) => ("unknown", 0),
            Self::Failed(_) => ("failed", 4),
            Self::Expired => ("expired", 1),
        }
    }

    /// Why, in words; empty for what was sent.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Sent(_) => "",
            Self::Expired => "older than it is worth",
            Self::Retry(reason) | Self::Unknown(reason) | Self::Failed(reason) => reason,
        }
    }

    fn provider_message_id(&self) -> Option<&str> {
        if let Self::Sent(id) = self { id.as_deref() } else { None }
    }
}

/// Writes answers down, in one statement, unless a report has told more.
pub async fn settle(client: &impl GenericClient, answers: &[Answer]) -> Result<(), StoreError> {
    let settlements = || answers.iter().map(|answer| &answer.settlement);
    execute(
        client,
        sql!("notifications/settle.sql"),
        &[
            &answers.iter().map(|answer| answer.id).collect::<Vec<_>>(),
            &settlements().map(|settlement| settlement.status().0).collect::<Vec<_>>(),
            &settlements().map(|settlement| settlement.status().1).collect::<Vec<_>>(),
            &answers.iter().map(|answer| answer.provider).collect::<Vec<_>>(),
            &settlements().map(Settlement::provider_message_id).collect::<Vec<_>>(),
            &settlements().map(Settlement::reason).collect::<Vec<_>>(),
            &answers.iter().map(|answer| answer.parts).collect::<Vec<_>>(),
            &answers.iter().map(|answer| answer.may_be_taken).collect::<Vec<_>>(),
        ],
    )
    .await?;
    Ok(())
}

/// Deletes messages older than `days`, at most `limit` of them; returns how many. Their event keys are free again then.
pub async fn delete_old(client: &impl GenericClient, days: i32, limit: i64) -> Result<u64, StoreError> {
    execute(client, sql!("notifications/delete_old.sql"), &[&days, &limit]).await
}
