//! Many webhooks worked off again: first a preview, then, at a person's or a program's word, all of them in the background.

mod act;
mod keep;

use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Utc};
use domain::ids::{ReplayId, ReplayRunId, WebhookId};
use schemars::JsonSchema;
use serde::Serialize;
use store::webhooks::{self, ReplayRun};
use store::{GenericClient, StoreError};

pub(crate) use self::act::{Wanted, abort, begin, prepare, prepare_for, start, stop};
pub(crate) use self::keep::keep;
use crate::access::Who;
use crate::api::Listing;
use crate::error::PageError;
use crate::mask;
use crate::state::State;
use crate::view::{self, Done, Page};

/// Words for whether webhooks had an effect so far.
const STATES: [(&str, bool); 2] = [("worked_off", true), ("without_effect", false)];

/// Whether webhooks had an effect so far, by its word.
pub(crate) fn worked_off(word: &str) -> Option<bool> {
    STATES.into_iter().find(|(state, _)| *state == word).map(|(_, worked_off)| worked_off)
}

/// So many webhooks of a kind.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WebhookGroup")]
pub(crate) struct Group {
    /// Where from.
    pub(crate) source: String,
    /// What the sender calls the event.
    pub(crate) event: String,
    /// accepted, duplicate, conflict, malformed, rejected.
    pub(crate) verdict: String,
    /// How many.
    pub(crate) count: u64,
    /// Whether these are replayed; what was not verified, or repeats another, never is.
    pub(crate) is_replayed: bool,
}

/// A replay of many, and how it stands.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WebhookReplayRun")]
pub(crate) struct Run {
    /// Its id.
    pub(crate) id: ReplayRunId,
    /// Of this source; all when absent.
    pub(crate) source: Option<String>,
    /// With this verdict; all when absent.
    pub(crate) verdict: Option<&'static str>,
    /// `worked_off` or `without_effect`; all when absent.
    pub(crate) meant_state: Option<&'static str>,
    /// That came at this time or later.
    pub(crate) since: DateTime<Utc>,
    /// And before this time.
    pub(crate) until: DateTime<Utc>,
    /// What there was at the preview.
    pub(crate) groups: Vec<Group>,
    /// How many of them are replayed.
    pub(crate) count: u64,
    /// Webhooks a second.
    pub(crate) per_second: i32,
    /// previewed, running, asked (for all of them) or aborted.
    pub(crate) state: String,
    /// Who wanted the preview.
    pub(crate) previewed_by: String,
    /// When.
    pub(crate) previewed_at: DateTime<Utc>,
    /// Who started it, or else who wanted the preview.
    pub(crate) by: String,
    /// When it was started.
    pub(crate) started_at: Option<DateTime<Utc>>,
    /// How many were asked for so far.
    pub(crate) asked: i64,
    /// Of those: done.
    pub(crate) applied: u64,
    /// Of those: worked off by another service, which was asked.
    pub(crate) handed_on: u64,
    /// Of those: on their way, or dead letters of `payments`.
    pub(crate) open: u64,
    /// When it last moved.
    pub(crate) moved_at: DateTime<Utc>,
}

impl From<ReplayRun> for Run {
    fn from(run: ReplayRun) -> Self {
        let count = run.meant();
        let groups = run.groups.into_iter().map(|group| Group {
            is_replayed: group.counts(),
            source: group.source,
            event: mask::text(&group.event),
            verdict: group.verdict,
            count: group.count,
        });
        Self {
            id: run.id,
            source: run.choice.source,
            verdict: run.choice.verdict.map(webhooks::Verdict::word),
            meant_state: STATES
                .into_iter()
                .find(|(_, worked_off)| Some(*worked_off) == run.choice.worked_off)
                .map(|(word, _)| word),
            since: run.choice.since,
            until: run.choice.until,
            groups: groups.collect(),
            count,
            per_second: run.per_second,
            state: run.state,
            by: run.started_by.unwrap_or_else(|| run.previewed_by.clone()),
            previewed_by: run.previewed_by,
            previewed_at: run.previewed_at,
            started_at: run.started_at,
            asked: run.asked,
            applied: 0,
            handed_on: 0,
            open: 0,
            moved_at: run.moved_at,
        }
    }
}

impl Run {
    /// What is meant, in words.
    pub(crate) fn words(&self) -> String {
        let time = |at: DateTime<Utc>| at.with_timezone(&chrono_tz::Asia::Kolkata).format("%-d %b %Y %H:%M:%S");
        let mut words = format!("from {} to {}", time(self.since), time(self.until));
        let conditions = [self.source.as_deref(), self.verdict, self.meant_state];
        for condition in conditions.into_iter().flatten() {
            words.push_str(", ");
            words.push_str(&condition.replace('_', " "));
        }
        words
    }

    /// Whether more are asked for.
    pub(crate) fn is_moving(&self) -> bool {
        self.state == "running"
    }
}

/// The newest runs; how their replays ended is told by [`run`].
pub(crate) async fn runs(state: &State, limit: i64) -> Result<Vec<Run>, StoreError> {
    let client = state.pool.get().await?;
    Ok(webhooks::list_runs(&client, limit).await?.into_iter().map(Run::from).collect())
}

/// A run with how its replays ended.
pub(crate) async fn run(client: &impl GenericClient, id: ReplayRunId) -> Result<Option<Run>, StoreError> {
    let Some(found) = webhooks::find_run(client, id).await? else { return Ok(None) };
    let mut run = Run::from(found);
    for (outcome, count) in webhooks::run_outcomes(client, id).await? {
        match outcome.as_str() {
            "applied" => run.applied = count,
            "handed_on" => run.handed_on = count,
            _ => run.open = count,
        }
    }
    Ok(Some(run))
}

/// One webhook of a run.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WebhookOfRun")]
pub(crate) struct Replay {
    /// The replay.
    pub(crate) id: ReplayId,
    /// The webhook.
    pub(crate) webhook_id: WebhookId,
    /// Where it came from.
    pub(crate) source: String,
    /// What the sender calls the event.
    pub(crate) event: String,
    /// applied, previewed or handed on (`handed_on`); absent while it is on its way.
    pub(crate) outcome: Option<String>,
    /// What it did, or would do, in words.
    pub(crate) report: Option<String>,
    /// When it ended.
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

/// Replays on a page.
const PAGE: usize = 50;

/// What came of the webhooks of a run, the oldest first: of its preview while it waits to be started. When all were asked for and
/// some have not ended, a page begins with those if `open_first`.
pub(crate) async fn replays(
    client: &impl GenericClient,
    run: &Run,
    after: Option<WebhookId>,
    open_first: bool,
) -> Result<Listing<Replay>, StoreError> {
    let is_preview = run.state == "previewed";
    let only_open = open_first && !run.is_moving() && run.open > 0;
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX).saturating_add(1);
    let found = webhooks::replays_of_run(client, run.id, is_preview, after, only_open, limit).await?;
    let replays = found.into_iter().map(|one| Replay {
        id: one.id,
        webhook_id: one.webhook_id,
        source: one.source,
        event: mask::text(&one.event),
        outcome: one.outcome,
        report: one.report.as_deref().map(mask::text),
        finished_at: one.finished_at,
    });
    Ok(Listing::cut(replays.collect(), PAGE, |one| one.webhook_id.to_string()))
}

/// What changes while a run goes on.
#[derive(Template)]
#[template(path = "webhook_replays_now.html")]
struct Now<'a> {
    run: &'a Run,
    replays: Vec<Replay>,
}

impl<'a> Now<'a> {
    async fn read(client: &impl GenericClient, run: &'a Run) -> Result<Self, StoreError> {
        Ok(Self { run, replays: replays(client, run, None, true).await?.items })
    }
}

#[derive(Template)]
#[template(path = "webhook_replays.html")]
struct RunPage<'a> {
    page: Page,
    run: &'a Run,
    now: Now<'a>,
}

async fn found(client: &impl GenericClient, id: &str) -> Result<Run, PageError> {
    run(client, view::id(id, "replay")?).await?.ok_or(PageError::NotFound("replay"))
}

/// One run: what it would do, or what it did.
pub(crate) async fn page(
    state: web::Data<State>,
    who: Who,
    id: web::Path<String>,
    query: web::Query<Done>,
) -> Result<HttpResponse, PageError> {
    let client = state.pool.get().await?;
    let run = found(&client, &id).await?;
    let page = Page::new(who, "webhooks").noting(query.done.as_deref());
    view::html(&RunPage { page, run: &run, now: Now::read(&client, &run).await? })
}

/// What changes of it, for a page that is open.
pub(crate) async fn now(state: web::Data<State>, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    let client = state.pool.get().await?;
    let run = found(&client, &id).await?;
    view::html(&Now::read(&client, &run).await?)
}
