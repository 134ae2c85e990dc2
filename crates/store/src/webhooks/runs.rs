//! Working off many stored webhooks again: what is meant is counted and tried on a sample first, then asked for so many a second.
//! All of it stands in Postgres, so a run goes on wherever a process is left to move it.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{ReplayId, ReplayRunId, WebhookId};
use domain::jobs::webhook::ReplayWebhook;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use super::Verdict;
use crate::outbox::{self, Lane, Promise};
use crate::statements::{execute, query, query_filtered, query_opt};
use crate::{StoreError, Transaction, sql};

/// How many kinds of webhook are tried for a preview, the most frequent first: of each the oldest and the newest.
const TRIED: usize = 10;

/// Which webhooks are meant. Of these only those that were verified can be replayed.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Of this source.
    pub source: Option<String>,
    /// With this verdict.
    pub verdict: Option<Verdict>,
    /// That had an effect, or that had none so far.
    pub worked_off: Option<bool>,
    /// That came at this time or later.
    pub since: DateTime<Utc>,
    /// That came before this time.
    pub until: DateTime<Utc>,
}

/// So many webhooks of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Where from.
    pub source: String,
    /// What the sender calls the event.
    pub event: String,
    /// The verdict's word.
    pub verdict: String,
    /// How many.
    pub count: u64,
}

impl Group {
    /// Whether these can be replayed.
    #[must_use]
    pub fn counts(&self) -> bool {
        Verdict::parse(&self.verdict).is_ok_and(Verdict::counts)
    }
}

/// A replay of many, and how it stands.
#[derive(Debug)]
pub struct ReplayRun {
    /// Its id.
    pub id: ReplayRunId,
    /// Which webhooks.
    pub choice: Choice,
    /// How many there were at the preview, by kind, the most frequent first.
    pub groups: Vec<Group>,
    /// How many are asked for in a second.
    pub per_second: i32,
    /// Who wanted the preview.
    pub previewed_by: String,
    /// When.
    pub previewed_at: DateTime<Utc>,
    /// previewed, running, asked (for all of them) or aborted.
    pub state: String,
    /// Who started it.
    pub started_by: Option<String>,
    /// When.
    pub started_at: Option<DateTime<Utc>>,
    /// How many were asked for so far.
    pub asked: i64,
    /// When it last moved.
    pub moved_at: DateTime<Utc>,
}

impl ReplayRun {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.try_get(0)?,
            choice: choice(row)?,
            groups: row.try_get::<_, postgres_types::Json<_>>(6)?.0,
            per_second: row.try_get(7)?,
            previewed_by: row.try_get(8)?,
            previewed_at: row.try_get(9)?,
            state: row.try_get(10)?,
            started_by: row.try_get(11)?,
            started_at: row.try_get(12)?,
            asked: row.try_get(13)?,
            moved_at: row.try_get(14)?,
        })
    }

    /// How many can be replayed.
    #[must_use]
    pub fn meant(&self) -> u64 {
        self.groups.iter().filter(|group| group.counts()).map(|group| group.count).sum()
    }
}

/// The choice in the columns behind the id.
fn choice(row: &Row) -> Result<Choice, StoreError> {
    Ok(Choice {
        source: row.try_get(1)?,
        verdict: row.try_get::<_, Option<&str>>(2)?.map(Verdict::parse).transpose()?,
        worked_off: row.try_get(3)?,
        since: row.try_get(4)?,
        until: row.try_get(5)?,
    })
}

/// Counts what is meant, fixes it as a run that waits to be started, and asks what replaying a sample of it would do.
pub async fn prepare_run(
    transaction: &Transaction<'_>,
    choice: &Choice,
    per_second: i32,
    by: &str,
) -> Result<ReplayRunId, StoreError> {
    let Choice { source, worked_off, since, until, .. } = choice;
    let (id, verdict) = (ReplayRunId::generate(), choice.verdict.map(Verdict::word));
    let counted =
        query_filtered(transaction, sql!("webhooks/count_meant.sql"), &[since, until, source, &verdict, worked_off])
            .await?;
    let (mut groups, mut sample) = (Vec::with_capacity(counted.len()), Vec::new());
    for row in &counted {
        let count: i64 = row.try_get(3)?;
        let count = u64::try_from(count).map_err(|_negative| StoreError::WrongRow(format!("count {count}")))?;
        let group = Group { source: row.try_get(0)?, event: row.try_get(1)?, verdict: row.try_get(2)?, count };
        if group.counts() && sample.len() < TRIED {
            sample.push((row.try_get(4)?, row.try_get(5)?));
        }
        groups.push(group);
    }
    let mut sample: Vec<WebhookId> = sample.into_iter().flat_map(<[WebhookId; 2]>::from).collect();
    sample.sort_unstable();
    sample.dedup();
    let counts = postgres_types::Json(&groups);
    let params: crate::statements::Params<'_> =
        &[&id, source, &verdict, worked_off, since, until, &counts, &per_second, &by];
    execute(transaction, sql!("webhooks/insert_run.sql"), params).await?;
    ask(transaction, id, &sample, by, true).await?;
    Ok(id)
}

/// Asks for these webhooks to be worked off again, each under an id of its own.
async fn ask(
    transaction: &Transaction<'_>,
    run: ReplayRunId,
    webhooks: &[WebhookId],
    by: &str,
    dry_run: bool,
) -> Result<(), StoreError> {
    if webhooks.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = webhooks.iter().map(|_| ReplayId::generate()).collect();
    execute(transaction, sql!("webhooks/insert_replays.sql"), &[&ids, &webhooks, &by, &dry_run, &run]).await?;
    let promise = |id: &ReplayId| Promise::of(&ReplayWebhook { replay_id: *id }, Lane::Normal);
    let promises = ids.iter().map(promise).collect::<Result<Vec<_>, _>>()?;
    outbox::push_many(transaction, &promises).await
}

/// Starts a run that was previewed; `false` when there is none that waits for it.
pub async fn start_run(client: &impl GenericClient, id: ReplayRunId, by: &str) -> Result<bool, StoreError> {
    Ok(execute(client, sql!("webhooks/start_run.sql"), &[&id, &by]).await? == 1)
}

/// Stops a run: what was asked for is worked off, no more is asked for. `false` when it does not run.
pub async fn abort_run(client: &impl GenericClient, id: ReplayRunId) -> Result<bool, StoreError> {
    Ok(execute(client, sql!("webhooks/abort_run.sql"), &[&id]).await? == 1)
}

/// Moves a run whose turn it is by one second's webhooks. Gives the run and how many were asked for; nothing when no run's turn has
/// come. Each webhook is asked for once, wherever a process dies.
pub async fn advance_run(transaction: &Transaction<'_>) -> Result<Option<(ReplayRunId, usize)>, StoreError> {
    let Some(row) = query_opt(transaction, sql!("webhooks/claim_run.sql"), &[]).await? else { return Ok(None) };
    let id: ReplayRunId = row.try_get(0)?;
    let Choice { source, verdict, worked_off, since, until } = choice(&row)?;
    let (per_second, by, position): (i32, Option<String>, Option<WebhookId>) =
        (row.try_get(6)?, row.try_get(7)?, row.try_get(8)?);
    let (verdict, limit) = (verdict.map(Verdict::word), i64::from(per_second));
    let params: crate::statements::Params<'_> = &[&since, &until, &source, &verdict, &worked_off, &position, &limit];
    let rows = query_filtered(transaction, sql!("webhooks/next_meant.sql"), params).await?;
    let next = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<WebhookId>, _>>()?;
    ask(transaction, id, &next, by.as_deref().unwrap_or_default(), false).await?;
    let asked = i64::try_from(next.len()).unwrap_or(i64::MAX);
    let is_last = asked < limit;
    execute(transaction, sql!("webhooks/move_run.sql"), &[&id, &next.last(), &asked, &is_last]).await?;
    Ok(Some((id, next.len())))
}

/// The newest runs.
pub async fn list_runs(client: &impl GenericClient, limit: i64) -> Result<Vec<ReplayRun>, StoreError> {
    let all: Option<ReplayRunId> = None;
    query(client, sql!("webhooks/list_runs.sql"), &[&all, &limit]).await?.iter().map(ReplayRun::read).collect()
}

/// The run with this id.
pub async fn find_run(client: &impl GenericClient, id: ReplayRunId) -> Result<Option<ReplayRun>, StoreError> {
    let rows = query(client, sql!("webhooks/list_runs.sql"), &[&Some(id), &1_i64]).await?;
    rows.first().map(ReplayRun::read).transpose()
}

/// How many replays of a run ended how: the outcome's word, empty for those that have not ended.
pub async fn run_outcomes(client: &impl GenericClient, id: ReplayRunId) -> Result<Vec<(String, u64)>, StoreError> {
    let rows = query(client, sql!("webhooks/run_outcomes.sql"), &[&id]).await?;
    rows.iter()
        .map(|row| {
            let count: i64 = row.try_get(1)?;
            Ok((row.try_get(0)?, u64::try_from(count).unwrap_or_default()))
        })
        .collect()
}

/// One webhook of a run.
#[derive(Debug)]
pub struct RunReplay {
    /// The replay.
    pub id: ReplayId,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How.
    pub outcome: Option<String>,
    /// What it did, or would do.
    pub report: Option<String>,
    /// Where the webhook came from.
    pub source: String,
    /// What the sender calls the event.
    pub event: String,
}

/// The replays of a run behind a webhook, the oldest webhook first: its preview, or what was asked for; on demand only what has not
/// ended.
pub async fn replays_of_run(
    client: &impl GenericClient,
    run: ReplayRunId,
    dry_run: bool,
    after: Option<WebhookId>,
    only_open: bool,
    limit: i64,
) -> Result<Vec<RunReplay>, StoreError> {
    let rows =
        query_filtered(client, sql!("webhooks/replays_of_run.sql"), &[&run, &dry_run, &after, &only_open, &limit])
            .await?;
    rows.iter()
        .map(|row| {
            Ok(RunReplay {
                id: row.try_get(0)?,
                webhook_id: row.try_get(1)?,
                finished_at: row.try_get(2)?,
                outcome: row.try_get(3)?,
                report: row.try_get(4)?,
                source: row.try_get(5)?,
                event: row.try_get(6)?,
            })
        })
        .collect()
}
