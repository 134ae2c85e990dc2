//! What messages look like with sample values: written by the notifier, shown by the console.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;

use crate::statements::{execute, query_opt};
use crate::{StoreError, sql};

/// How a message looks.
#[derive(Debug, Clone)]
pub struct Preview {
    /// email or sms.
    pub channel: &'static str,
    /// Which message.
    pub template: &'static str,
    /// en or hi.
    pub lang: &'static str,
    /// A mail's subject.
    pub subject: String,
    /// The text.
    pub body: String,
    /// A mail's HTML.
    pub html: String,
}

/// A preview as it was stored.
#[derive(Debug)]
pub struct Stored {
    /// A mail's subject.
    pub subject: String,
    /// The text.
    pub body: String,
    /// A mail's HTML.
    pub html: String,
    /// Since when it looks so.
    pub written_at: DateTime<Utc>,
}

/// Stores how a message looks now.
pub async fn upsert(client: &impl GenericClient, preview: &Preview) -> Result<(), StoreError> {
    let Preview { channel, template, lang, subject, body, html } = preview;
    execute(client, sql!("previews/upsert.sql"), &[channel, template, lang, subject, body, html]).await?;
    Ok(())
}

/// How a message looks; `None` when no notifier has told yet.
pub async fn find(
    client: &impl GenericClient,
    channel: &str,
    template: &str,
    lang: &str,
) -> Result<Option<Stored>, StoreError> {
    let row = query_opt(client, sql!("previews/find.sql"), &[&channel, &template, &lang]).await?;
    row.map(|row| {
        Ok(Stored {
            subject: row.try_get(0)?,
            body: row.try_get(1)?,
            html: row.try_get(2)?,
            written_at: row.try_get(3)?,
        })
    })
    .transpose()
}
