//! Messages to people: who was told what, once, and what became of it.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{NotificationId, UserId};
use domain::jobs::{EventKey, Language};
use sha2::{Digest, Sha256};

use crate::statements::{execute, query_one, query_opt};
use crate::{StoreError, sql};

/// A message about to be sent.
#[derive(Debug)]
pub struct Message<'a> {
    /// The business event.
    pub event_key: &'a EventKey,
    /// `email` or `sms`.
    pub channel: &'static str,
    /// Its template.
    pub template: &'static str,
    /// Its language.
    pub lang: Language,
    /// The shopper, when it is one.
    pub user_id: Option<UserId>,
    /// The masked address.
    pub recipient: &'a str,
    /// Who will be asked to send it.
    pub provider: &'static str,
}

/// Whether this call may send.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// It may: nobody has, or it is sure that nobody succeeded.
    Send(NotificationId),
    /// It was asked for and no answer came; a report may still tell.
    InDoubt,
    /// It has its outcome.
    Settled(String),
}

/// Claims a message. One whose sender got no answer may be claimed again after `doubt_seconds` without a report.
pub async fn claim(
    client: &impl GenericClient,
    message: &Message<'_>,
    doubt_seconds: f64,
) -> Result<Claim, StoreError> {
    let id = NotificationId::generate();
    let claimed = query_opt(
        client,
        sql!("notifications/claim.sql"),
        &[
            &id,
            &message.event_key.as_str(),
            &message.channel,
            &message.template,
            &message.lang.code(),
            &message.user_id,
            &message.recipient,
            &message.provider,
            &doubt_seconds,
        ],
    )
    .await?;
    if let Some(row) = claimed {
        return Ok(Claim::Send(row.try_get(0)?));
    }
    let params: [&(dyn postgres_types::ToSql + Sync); 3] =
        [&message.event_key.as_str(), &message.channel, &message.template];
    let status: String = query_one(client, sql!("notifications/state.sql"), &params).await?.try_get(1)?;
    Ok(if status == "sending" || status == "unknown" { Claim::InDoubt } else { Claim::Settled(status) })
}

/// What the provider answered.
#[derive(Debug)]
pub enum Settlement<'a> {
    /// It took the message, under this id.
    Sent(Option<&'a str>),
    /// It surely did not take it; it will be sent again.
    Retry(&'a str),
    /// It did not answer.
    Unknown,
    /// It refused for good.
    Failed(&'a str),
    /// The person is not to be written to.
    Suppressed(&'a str),
}

/// Writes down what the provider answered, unless a report has told more.
pub async fn settle(
    client: &impl GenericClient,
    id: NotificationId,
    settlement: &Settlement<'_>,
) -> Result<(), StoreError> {
    let (status, provider_id, reason) = match settlement {
        Settlement::Sent(provider_id) => ("sent", *provider_id, ""),
        Settlement::Retry(reason) => ("retry", None, *reason),
        Settlement::Unknown => ("unknown", None, "no answer"),
        Settlement::Failed(reason) => ("failed", None, *reason),
        Settlement::Suppressed(reason) => ("suppressed", None, *reason),
    };
    execute(client, sql!("notifications/settle.sql"), &[&id, &status, &provider_id, &reason]).await?;
    Ok(())
}

/// A report of a provider on one message.
#[derive(Debug)]
pub struct DeliveryEvent<'a> {
    /// The message: our id, which travelled with it.
    pub notification_id: NotificationId,
    /// The provider's id of the report.
    pub provider_event: &'a str,
    /// The state it tells of: sent, delivered, opened, bounced, dropped or failed.
    pub status: &'static str,
    /// Why.
    pub reason: &'a str,
    /// When.
    pub occurred_at: DateTime<Utc>,
}

/// Applies a report, in any order and any number of times: a later state is never undone by an earlier one. Says whether it was new.
pub async fn apply_event(client: &impl GenericClient, event: &DeliveryEvent<'_>) -> Result<bool, StoreError> {
    let new = execute(
        client,
        sql!("notifications/insert_event.sql"),
        &[&event.notification_id, &event.provider_event, &event.status, &event.reason, &event.occurred_at],
    )
    .await?;
    if new == 1 {
        execute(client, sql!("notifications/apply_event.sql"), &[&event.notification_id, &event.status, &event.reason])
            .await?;
    }
    Ok(new == 1)
}

/// Never write to this address on this channel again.
pub async fn suppress(
    client: &impl GenericClient,
    channel: &str,
    address: &str,
    reason: &str,
) -> Result<(), StoreError> {
    execute(client, sql!("notifications/suppress.sql"), &[&channel, &address_hash(address), &reason]).await?;
    Ok(())
}

/// Why this address is not to be written to, if so.
pub async fn suppression(
    client: &impl GenericClient,
    channel: &str,
    address: &str,
) -> Result<Option<String>, StoreError> {
    let row = query_opt(client, sql!("notifications/is_suppressed.sql"), &[&channel, &address_hash(address)]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

fn address_hash(address: &str) -> Vec<u8> {
    Sha256::digest(address.to_lowercase().as_bytes()).to_vec()
}
