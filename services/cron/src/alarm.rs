//! Tells admins of a trouble once when it begins and once when it ends.

use domain::ids::AuditId;
use store::{GenericClient, alerts};

use crate::settings::Settings;

/// Notes a trouble and, when it is new, tells. Says whether it was new.
pub(crate) async fn raise(
    client: &impl GenericClient,
    settings: &Settings,
    key: &str,
    title: &str,
    detail: &str,
) -> anyhow::Result<bool> {
    let new = alerts::open(client, key, title, detail).await?;
    if new {
        tracing::error!(alert = key, title, "a trouble begins");
        tell(client, settings, AuditId::generate(), title, detail).await?;
    }
    Ok(new)
}

/// Notes the end of a trouble and tells. Says whether there was one.
pub(crate) async fn settle(client: &impl GenericClient, settings: &Settings, key: &str) -> anyhow::Result<bool> {
    let Some((_, title)) = alerts::close(client, key).await? else { return Ok(false) };
    tracing::info!(alert = key, title, "a trouble ended");
    tell(client, settings, AuditId::generate(), &format!("Over: {title}"), "It ended by itself or was mended.").await?;
    Ok(true)
}

/// Raises or settles.
pub(crate) async fn set(
    client: &impl GenericClient,
    settings: &Settings,
    key: &str,
    trouble: Option<(&str, &str)>,
) -> anyhow::Result<bool> {
    match trouble {
        Some((title, detail)) => raise(client, settings, key, title, detail).await,
        None => settle(client, settings, key).await,
    }
}

async fn tell(
    client: &impl GenericClient,
    settings: &Settings,
    id: AuditId,
    title: &str,
    detail: &str,
) -> anyhow::Result<()> {
    alerts::tell(client, &settings.alert_emails, &format!("alert:{id}"), title, detail).await?;
    Ok(())
}
