//! What people must look at, by mail through the outbox.

use config::Reader;
use domain::contact::EmailAddress;
use store::{GenericClient, StoreError, alerts};

/// Where alerts go.
#[derive(Debug, Clone)]
pub(crate) struct Alerts {
    to: Vec<EmailAddress>,
}

impl Alerts {
    /// Reads `ALERT_EMAILS`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self { to: alerts::recipients(reader) }
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
        alerts::tell(client, &self.to, &format!("alert:{key}"), title, detail).await?;
        Ok(())
    }
}
