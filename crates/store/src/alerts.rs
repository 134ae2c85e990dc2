//! What is wrong just now: one row from the beginning of a trouble to its end; and mails to those who must look.

use chrono::{DateTime, Utc};
use config::{List, Reader};
use deadpool_postgres::GenericClient;
use domain::contact::EmailAddress;
use domain::ids::AlertId;
use domain::jobs::email::{EmailMessage, SendEmail};
use domain::jobs::{EventKey, InvalidEventKey, Language};

use crate::outbox::{self, Lane};
use crate::statements::{query, query_one, query_opt};
use crate::{StoreError, sql};

/// Reads `ALERT_EMAILS`.
pub fn recipients(reader: &mut Reader<'_>) -> Vec<EmailAddress> {
    let about = "who is told by mail when a person must look at something, with commas; without it it is only logged";
    reader.optional_parsed::<List<EmailAddress>>("ALERT_EMAILS", about).map(|list| list.0).unwrap_or_default()
}

/// Promises a mail to each of `to`, once per `event_key`, in the caller's transaction. Says whether this call was the one
/// for any of them. The text must hold nothing personal.
pub async fn tell(
    client: &impl GenericClient,
    to: &[EmailAddress],
    event_key: &str,
    title: &str,
    detail: &str,
) -> Result<bool, StoreError> {
    let mut is_news = false;
    for (place, to) in to.iter().enumerate() {
        // One event is one message a channel, so each further reader has a key of its own.
        let key = if place == 0 { event_key.to_owned() } else { format!("{event_key}:{place}") };
        let event_key: EventKey =
            key.parse().map_err(|error: InvalidEventKey| StoreError::WrongRow(error.to_string()))?;
        let message = EmailMessage::AdminAlert { title: title.to_owned(), detail: detail.to_owned() };
        let mail = SendEmail { event_key, to: to.clone(), name: None, user_id: None, lang: Language::En, message };
        is_news |= outbox::push_once(client, &mail, Lane::Normal, &key).await?;
    }
    Ok(is_news)
}

/// Notes a trouble; says whether it is new. A trouble that lasts is noted again and again without effect.
pub async fn open(client: &impl GenericClient, key: &str, title: &str, detail: &str) -> Result<bool, StoreError> {
    let id = AlertId::generate();
    Ok(query_one(client, sql!("alerts/open.sql"), &[&id, &key, &title, &detail]).await?.try_get(0)?)
}

/// Notes the end of a trouble; gives its row and title when it was open.
pub async fn close(client: &impl GenericClient, key: &str) -> Result<Option<(AlertId, String)>, StoreError> {
    let row = query_opt(client, sql!("alerts/close.sql"), &[&key]).await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// Notes the end of a trouble that nobody noted for `seconds`; gives its row and title when it was open.
pub async fn close_when_quiet(
    client: &impl GenericClient,
    key: &str,
    seconds: f64,
) -> Result<Option<(AlertId, String)>, StoreError> {
    let row = query_opt(client, sql!("alerts/close_when_quiet.sql"), &[&key, &seconds]).await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// Keys of open troubles that begin with `prefix`.
pub async fn open_keys(client: &impl GenericClient, prefix: &str) -> Result<Vec<String>, StoreError> {
    let rows = query(client, sql!("alerts/open_keys.sql"), &[&prefix]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// A trouble.
#[derive(Debug)]
pub struct Line {
    /// Its key, such as `service-gone:notifier`.
    pub key: String,
    /// One line.
    pub title: String,
    /// What happened and what to do.
    pub detail: String,
    /// When it began.
    pub opened_at: DateTime<Utc>,
    /// When it ended.
    pub closed_at: Option<DateTime<Utc>>,
}

/// Open troubles, then ended ones, the newest first.
pub async fn list(client: &impl GenericClient, limit: i64) -> Result<Vec<Line>, StoreError> {
    let rows = query(client, sql!("alerts/list.sql"), &[&limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(Line {
                key: row.try_get(1)?,
                title: row.try_get(2)?,
                detail: row.try_get(3)?,
                opened_at: row.try_get(4)?,
                closed_at: row.try_get(5)?,
            })
        })
        .collect()
}
