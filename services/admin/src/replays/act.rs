//! What is done with replays of many, for people and programs.

use actix_web::{HttpResponse, web};
use domain::clock::{Clock as _, SystemClock};
use domain::ids::ReplayRunId;
use schemars::JsonSchema;
use serde::Deserialize;
use store::StoreError;
use store::webhooks::{self, Choice, Verdict};

use super::worked_off;
use crate::access::Who;
use crate::deed::Act;
use crate::error::PageError;
use crate::state::{Actor, Deed, State};
use crate::view;
use crate::wall_time::WallTime;
use crate::webhooks::{SOURCES, known};

/// The most webhooks a second.
const FASTEST: i32 = 1_000;

/// Which webhooks are to be replayed, and how fast. Conditions that are given must all hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "NewWebhookReplayRun")]
pub(crate) struct Wanted {
    /// Of this source.
    #[serde(default)]
    source: String,
    /// With this verdict; only accepted ones and conflicts are ever replayed.
    #[serde(default)]
    verdict: String,
    /// `worked_off` (they had an effect) or `without_effect`.
    #[serde(default)]
    state: String,
    /// That came at this time or later; without a zone it is India's.
    since: WallTime,
    /// That came before this time; now by default.
    #[serde(default)]
    until: WallTime,
    /// Webhooks a second, 1 to 1,000.
    #[serde(default = "usual_rate")]
    per_second: i32,
    /// Why.
    #[schemars(length(min = 3, max = 500))]
    reason: String,
}

fn usual_rate() -> i32 {
    100
}

impl Wanted {
    /// Which webhooks, until now at the latest: what comes later is not in the preview.
    fn choice(&self) -> Result<Choice, String> {
        let now = SystemClock.now();
        let since = self.since.0.ok_or("say since when")?;
        let until = self.until.0.map_or(now, |until| until.min(now));
        if since >= until {
            return Err("there is no time between these two".to_owned());
        }
        let source = known(&self.source, |word| SOURCES.into_iter().find(|source| *source == word))?;
        let verdict = known(&self.verdict, |word| Verdict::ALL.into_iter().find(|verdict| verdict.word() == word))?;
        let worked_off = known(&self.state, worked_off)?;
        Ok(Choice { source: source.map(str::to_owned), verdict, worked_off, since, until })
    }
}

/// Counts what is wanted and asks what replaying some of it would do. Nothing is replayed before [`begin`].
pub(crate) async fn prepare_for<E: From<StoreError>>(
    state: &State,
    actor: &Actor,
    wanted: &Wanted,
    invalid: impl Fn(String) -> E,
) -> Result<ReplayRunId, E> {
    let reason = crate::api::reason(&wanted.reason).map_err(&invalid)?;
    let choice = wanted.choice().map_err(&invalid)?;
    if !(1..=FASTEST).contains(&wanted.per_second) {
        return Err(invalid(format!("from 1 to {FASTEST} webhooks a second are possible")));
    }
    let mut client = state.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    let run = webhooks::prepare_run(&transaction, &choice, wanted.per_second, &actor.name()).await?;
    let target = format!("webhook-replay:{run}");
    let after = serde_json::json!({
        "source": choice.source, "verdict": choice.verdict.map(Verdict::word), "worked_off": choice.worked_off,
        "since": choice.since, "until": choice.until, "per_second": wanted.per_second,
    });
    let deed = Deed { action: "webhook.preview_many", target: &target, reason, before: None, after: Some(after) };
    actor.note(&transaction, &deed).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(run)
}

/// Moves a run to another state in one commit with the note of it; `false` when it does not stand so that it can.
async fn turn(state: &State, actor: &Actor, id: ReplayRunId, to: Turn, reason: &str) -> Result<bool, StoreError> {
    let mut client = state.pool.get().await?;
    let transaction = client.transaction().await?;
    let (action, done) = match to {
        Turn::Begin => ("webhook.replay_many", webhooks::start_run(&transaction, id, &actor.name()).await?),
        Turn::Stop => ("webhook.abort", webhooks::abort_run(&transaction, id).await?),
    };
    if done {
        let target = format!("webhook-replay:{id}");
        actor.note(&transaction, &Deed { action, target: &target, reason, ..Deed::default() }).await?;
        transaction.commit().await?;
    }
    Ok(done)
}

#[derive(Clone, Copy)]
enum Turn {
    Begin,
    Stop,
}

/// Starts a run that was previewed; `false` when it was started before, or there is none.
pub(crate) async fn begin(state: &State, actor: &Actor, id: ReplayRunId, reason: &str) -> Result<bool, StoreError> {
    turn(state, actor, id, Turn::Begin, reason).await
}

/// Stops a run; `false` when it does not run.
pub(crate) async fn stop(state: &State, actor: &Actor, id: ReplayRunId, reason: &str) -> Result<bool, StoreError> {
    turn(state, actor, id, Turn::Stop, reason).await
}

/// Previews, from the console.
pub(crate) async fn prepare(
    state: web::Data<State>,
    who: Who,
    form: web::Form<Wanted>,
) -> Result<HttpResponse, PageError> {
    let run = prepare_for(&state, &who.into(), &form, PageError::Input).await?;
    Ok(view::go(format!("/admin/webhook-replays/{run}?done=previewed")))
}

/// Starts, from the console.
pub(crate) async fn start(act: Act, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    let run = view::id(&id, "replay")?;
    if begin(&act.state, &act.actor(), run, &act.reason).await? {
        return Ok(view::go(format!("/admin/webhook-replays/{run}?done=begun")));
    }
    Err(PageError::Conflict("it was started before, or was never previewed".to_owned()))
}

/// Stops, from the console.
pub(crate) async fn abort(act: Act, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    let run = view::id(&id, "replay")?;
    if stop(&act.state, &act.actor(), run, &act.reason).await? {
        return Ok(view::go(format!("/admin/webhook-replays/{run}?done=stopped")));
    }
    Err(PageError::Conflict("it does not run".to_owned()))
}
