//! What providers report of messages, in any order and any number of times.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::NotificationId;
use tokio_postgres::Row;

use super::{Category, Channel};
use crate::statements::{Params, query_one};
use crate::suppressions::{self, AddressHash};
use crate::{StoreError, sql};

/// What a report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Report {
    /// The provider has it (`processed`).
    Accepted,
    /// The receiving host wants it later; the provider keeps trying.
    Deferred,
    /// An SMS did not arrive: operator or handset refused.
    Failed,
    /// The receiving host refused it this time (`bounce` of type `blocked`); the address is fine.
    Blocked,
    /// The provider did not try: its own list, or invalid.
    Dropped,
    /// It arrived.
    Delivered,
    /// A person opened it.
    Opened,
    /// The address does not exist: nothing is sent there again.
    Bounced,
    /// The person called it spam: only codes and what the law wants is sent there again.
    Complained,
    /// The person wants no reminders any more. It says nothing of the message itself.
    Unsubscribed,
    /// The number is blocked: nothing is sent there again.
    NumberBlocked,
}

impl Report {
    /// The state it puts the message into.
    #[must_use]
    pub const fn status(self) -> &'static str {
        match self {
            Self::Accepted => "sent",
            Self::Deferred => "deferred",
            Self::Failed | Self::NumberBlocked => "failed",
            Self::Blocked => "blocked",
            Self::Dropped => "dropped",
            Self::Delivered | Self::Unsubscribed => "delivered",
            Self::Opened => "opened",
            Self::Bounced => "bounced",
            Self::Complained => "complained",
        }
    }

    /// A state gives way to those with a higher rank only. A bounce can follow a delivery, an opening cannot be undone by one.
    const fn rank(self) -> i16 {
        match self {
            Self::Accepted => 2,
            Self::Deferred => 3,
            Self::Failed | Self::NumberBlocked | Self::Blocked | Self::Dropped => 4,
            Self::Delivered | Self::Unsubscribed => 5,
            Self::Opened => 6,
            Self::Bounced => 7,
            Self::Complained => 8,
        }
    }

    /// The categories that are not sent to this address any more, and why.
    const fn suppresses(self) -> (&'static [Option<Category>], &'static str) {
        match self {
            Self::Bounced => (&[None], "bounced"),
            Self::Complained => (&[Some(Category::Reminder), Some(Category::Operations)], "complained"),
            Self::Unsubscribed => (&[Some(Category::Reminder)], "unsubscribed"),
            Self::NumberBlocked => (&[None], "number blocked"),
            _ => (&[], ""),
        }
    }
}

/// A report of a provider on one message.
#[derive(Debug)]
pub struct DeliveryEvent<'a> {
    /// The message: our id, which travelled with it.
    pub notification_id: NotificationId,
    /// What makes the report itself unique, such as `sg_event_id`, or `<requestId>:<status>`.
    pub provider_event: &'a str,
    /// What it says.
    pub report: Report,
    /// Why. It must not repeat the address.
    pub reason: &'a str,
    /// When.
    pub occurred_at: DateTime<Utc>,
}

/// Applies reports, in one statement: a later state is never undone by an earlier one, whatever order they come in, and a bounce, a
/// complaint, an unsubscription or a blocked number enters the suppression list. Says how many were new; a report on a message
/// that is not ours is not.
pub async fn apply_events(client: &impl GenericClient, events: &[DeliveryEvent<'_>]) -> Result<u64, StoreError> {
    if events.is_empty() {
        return Ok(0);
    }
    let shunned = |event: &DeliveryEvent<'_>| -> (String, &'static str) {
        let (categories, why) = event.report.suppresses();
        let words: Vec<_> = categories.iter().map(|category| suppressions::word(*category)).collect();
        (words.join(" "), why)
    };
    let (categories, whys): (Vec<_>, Vec<_>) = events.iter().map(shunned).unzip();
    let row = query_one(
        client,
        sql!("notifications/apply_events.sql"),
        &[
            &events.iter().map(|event| event.notification_id).collect::<Vec<_>>(),
            &events.iter().map(|event| event.provider_event).collect::<Vec<_>>(),
            &events.iter().map(|event| event.report.status()).collect::<Vec<_>>(),
            &events.iter().map(|event| event.report.rank()).collect::<Vec<_>>(),
            &events.iter().map(|event| event.reason).collect::<Vec<_>>(),
            &events.iter().map(|event| event.occurred_at).collect::<Vec<_>>(),
            &categories,
            &whys,
        ],
    )
    .await?;
    counted(&row)
}

/// Enters addresses into the suppression list for reports on messages that are not ours: an address is as bad for us. Says of how many
/// anything was new.
pub async fn apply_to_addresses(
    client: &impl GenericClient,
    channel: Channel,
    reports: &[(AddressHash, Report)],
) -> Result<u64, StoreError> {
    let (mut addresses, mut categories, mut whys) = (Vec::new(), Vec::new(), Vec::new());
    for (address, report) in reports {
        let (shunned, why) = report.suppresses();
        for category in shunned {
            addresses.push(address.as_bytes());
            categories.push(suppressions::word(*category));
            whys.push(why);
        }
    }
    if addresses.is_empty() {
        return Ok(0);
    }
    let params: Params<'_> = &[&channel.name(), &addresses, &categories, &whys];
    counted(&query_one(client, sql!("suppressions/insert_many.sql"), params).await?)
}

fn counted(row: &Row) -> Result<u64, StoreError> {
    let count: i64 = row.try_get(0)?;
    u64::try_from(count).map_err(|_negative| StoreError::WrongRow(format!("count {count}")))
}
