//! What admins are told: a mail, once per event, and a count.

use domain::contact::EmailAddress;
use domain::network::Network;
use store::{GenericClient, StoreError, alerts};
use telemetry::metrics::{Counter, KeyValue};

use crate::settings::Settings;

/// Tells the admins.
pub(crate) struct Alarm {
    to: Vec<EmailAddress>,
    count: Counter<u64>,
    pub(crate) unmatched_percent: u64,
    pub(crate) approval_drop_percent: u64,
}

impl Alarm {
    pub(crate) fn new(settings: &Settings) -> Self {
        let count = telemetry::metrics::meter()
            .u64_counter("cashback_alerts")
            .with_description("Events of cashback-sync that a person must look at")
            .build();
        Self {
            to: settings.alert_emails.clone(),
            count,
            unmatched_percent: settings.unmatched_alert_percent,
            approval_drop_percent: settings.approval_drop_percent,
        }
    }

    /// Tells of an event; `key` names it, so that it is told once. The text holds no personal data.
    pub(crate) async fn raise(
        &self,
        client: &impl GenericClient,
        kind: &'static str,
        network: Network,
        key: &str,
        title: &str,
        detail: &str,
    ) -> Result<(), StoreError> {
        let key: String = format!("alert:{kind}:{network}:{key}")
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || ":._-".contains(c) { c } else { '_' })
            .take(190)
            .collect();
        let is_news = alerts::tell(client, &self.to, &key, title, detail).await?;
        if is_news || self.to.is_empty() {
            tracing::warn!(alert.kind = kind, alert.key = key, network = %network, alert.detail = detail, "{title}");
            self.count.add(1, &[KeyValue::new("kind", kind), KeyValue::new("network", network.slug())]);
        }
        Ok(())
    }

    /// Sends what the admins are to keep, once per `key`.
    pub(crate) async fn keep(
        &self,
        client: &impl GenericClient,
        key: &str,
        title: &str,
        detail: &str,
    ) -> Result<(), StoreError> {
        alerts::tell(client, &self.to, key, title, detail).await.map(|_news| ())
    }
}
