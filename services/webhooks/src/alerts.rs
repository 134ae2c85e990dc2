//! What people must look at, by mail through the outbox.

use config::Reader;
use domain::contact::EmailAddress;
use domain::jobs::EventKey;
use domain::jobs::email::{EmailMessage, SendEmail};
use store::outbox::{Lane, push_once};
use store::{GenericClient, StoreError};

/// Where alerts go.
#[derive(Debug, Clone)]
pub(crate) struct Alerts {
    to: Option<EmailAddress>,
}

impl Alerts {
    /// Reads `ALERT_EMAIL`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            to: reader.optional_parsed("ALERT_EMAIL", "where alerts for people go; without it they are only logged"),
        }
    }

    /// Promises an alert, once per `key`, in the caller's transaction. `detail` must hold nothing personal.
    pub(crate) async fn raise(
        &self,
        client: &impl GenericClient,
        key: &str,
        title: &str,
        detail: &str,
    ) -> Result<(), StoreError> {
        tracing::error!(
            alert.key = key,
            alert.title = title,
            alert.detail = detail,
            "ALARM: somebody must look at this"
        );
        let Some(to) = self.to.clone() else { return Ok(()) };
        let event_key: EventKey =
            format!("alert:{key}").parse().map_err(|error| StoreError::WrongRow(format!("an alert's key: {error}")))?;
        let dedupe = event_key.to_string();
        let message = EmailMessage::AdminAlert { title: title.to_owned(), detail: detail.to_owned() };
        let job = SendEmail { event_key, to, name: None, user_id: None, lang: domain::jobs::Language::En, message };
        push_once(client, &job, Lane::Normal, &dedupe).await?;
        Ok(())
    }
}
