//! Working off stored webhooks again. The service that decodes webhooks does it, so whoever asks needs to know nothing of
//! their content: it asks, then reads the report.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{ReplayId, WebhookId};
use domain::jobs::webhook::ReplayWebhook;

use crate::outbox::{self, Lane};
use crate::statements::{execute, query, query_opt};
use crate::{StoreError, sql};

/// Asks for a webhook to be worked off again, or, with `dry_run`, to be told what that would do. Each call is a replay of its
/// own, so a second one is not taken for the first. Call it in a transaction: the request and its job belong together.
pub async fn replay(
    client: &impl GenericClient,
    webhook: WebhookId,
    requested_by: &str,
    dry_run: bool,
) -> Result<ReplayId, StoreError> {
    let id = ReplayId::generate();
    execute(client, sql!("webhooks/insert_replay.sql"), &[&id, &webhook, &requested_by, &dry_run]).await?;
    outbox::push(client, &ReplayWebhook { replay_id: id }, Lane::Normal).await?;
    Ok(id)
}

/// Accepted webhooks of a source that came from `since` up to `until`, the oldest first; with `only_without_effect` those
/// that did nothing so far.
pub async fn replayable(
    client: &impl GenericClient,
    source: &str,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    only_without_effect: bool,
    limit: i64,
) -> Result<Vec<WebhookId>, StoreError> {
    let rows = query(client, sql!("webhooks/replayable.sql"), &[&source, &since, &until, &only_without_effect, &limit])
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// How a replay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// The report tells the effect.
    Applied,
    /// The report tells what the effect would be; nothing was changed.
    Previewed,
    /// Another service works it off.
    HandedOn,
}

impl ReplayOutcome {
    /// The word in the table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Previewed => "previewed",
            Self::HandedOn => "handed_on",
        }
    }
}

/// A replay as it stands.
#[derive(Debug, serde::Serialize)]
pub struct Replay {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Who asked.
    pub requested_by: String,
    /// Whether it is only a preview.
    pub dry_run: bool,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it ended; not yet when absent (or it is a dead letter).
    pub finished_at: Option<DateTime<Utc>>,
    /// `applied`, `previewed` or `handed_on`.
    pub outcome: Option<String>,
    /// What it did, or would do.
    pub report: Option<String>,
}

/// The replay with this id.
pub async fn find_replay(client: &impl GenericClient, id: ReplayId) -> Result<Option<Replay>, StoreError> {
    let row = query_opt(client, sql!("webhooks/find_replay.sql"), &[&id]).await?;
    row.map(|row| {
        Ok(Replay {
            webhook_id: row.try_get(0)?,
            requested_by: row.try_get(1)?,
            dry_run: row.try_get(2)?,
            requested_at: row.try_get(3)?,
            finished_at: row.try_get(4)?,
            outcome: row.try_get(5)?,
            report: row.try_get(6)?,
        })
    })
    .transpose()
}

/// Ends a replay with its report. Says whether it was still open.
pub async fn finish_replay(
    client: &impl GenericClient,
    id: ReplayId,
    outcome: ReplayOutcome,
    report: &str,
) -> Result<bool, StoreError> {
    Ok(execute(client, sql!("webhooks/finish_replay.sql"), &[&id, &outcome.word(), &report]).await? == 1)
}
