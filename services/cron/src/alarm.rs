//! Tells admins of a trouble once when it begins and once when it ends.

use std::collections::HashSet;
use std::fmt::Write as _;

use domain::ids::AlertId;
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
        tell(client, settings, title, detail).await?;
    }
    Ok(new)
}

/// Notes the end of a trouble and tells. Says whether there was one.
pub(crate) async fn settle(client: &impl GenericClient, settings: &Settings, key: &str) -> anyhow::Result<bool> {
    let Some((_, title)) = alerts::close(client, key).await? else { return Ok(false) };
    tracing::info!(alert = key, title, "a trouble ended");
    tell(client, settings, &format!("Over: {title}"), "It ended by itself or was mended.").await?;
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

async fn tell(client: &impl GenericClient, settings: &Settings, title: &str, detail: &str) -> anyhow::Result<()> {
    let key = format!("alert:{}", AlertId::generate());
    alerts::tell(client, &settings.alert_emails, &key, title, detail).await?;
    Ok(())
}

/// Troubles of one kind that began or ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) began: usize,
    pub(crate) ended: usize,
}

/// Whether the troubles of one kind that are noted are all there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// What is not among them is over.
    All,
    /// There may be more: of what is not among them nothing is known.
    Some,
}

/// How many of many are told one by one in a mail. The console shows all.
const TOLD: usize = 20;

/// Notes troubles of one kind, each under `<kind>:<subject>` with its text, and, if all were seen, ends those that are not
/// among them. However many began or ended, it is one mail for each of the two.
pub(crate) async fn set_all(
    client: &impl GenericClient,
    settings: &Settings,
    (kind, title): (&str, &str),
    troubles: &[(String, String)],
    seen: Seen,
) -> anyhow::Result<Turn> {
    let (mut began, mut last) = (Vec::new(), HashSet::new());
    for (subject, text) in troubles {
        let key = format!("{kind}:{subject}");
        if alerts::open(client, &key, title, text).await? {
            began.push(text.as_str());
        }
        last.insert(key);
    }
    let open = match seen {
        Seen::All => alerts::open_keys(client, &format!("{kind}:")).await?,
        Seen::Some => Vec::new(),
    };
    let mut ended = 0;
    for key in open {
        if !last.contains(&key) && alerts::close(client, &key).await?.is_some() {
            ended += 1;
        }
    }
    if !began.is_empty() {
        tracing::error!(alert = kind, title, count = began.len(), "troubles begin");
        tell(client, settings, title, &in_lines(&began)).await?;
    }
    if ended > 0 {
        tracing::info!(alert = kind, title, count = ended, "troubles ended");
        let text = format!("{ended} of them ended by themselves or were mended; {} are left.", troubles.len());
        tell(client, settings, &format!("Over: {title}"), &text).await?;
    }
    Ok(Turn { began: began.len(), ended })
}

fn in_lines(texts: &[&str]) -> String {
    let mut text = texts.iter().take(TOLD).copied().collect::<Vec<_>>().join("\n");
    if texts.len() > TOLD {
        let _ = write!(text, "\n… and {} more, which the console shows.", texts.len() - TOLD);
    }
    text
}
