//! Webhooks, messages, recurring jobs, pulls, deeds and timelines, for programs.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use domain::ids::{ClickId, CronRunId, ReplayId, SyncRunId, TransactionId, WebhookId};
use domain::money::Paise;
use domain::network::Network;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::cashback::SettleError;
use store::{cron_runs, sync, transactions};

use super::{ApiError, Listing, Reason, body, id};
use crate::access::Caller;
use crate::cron::{Order, carry_out};
use crate::records::{Deeds, Messages, deeds, deliveries as messages};
use crate::state::State;
use crate::timeline::{Moment, moments};
use crate::webhooks::{Search, ask_replay, lines};
use crate::{mask, sync as networks};

type Answer = Result<HttpResponse, ApiError>;

/// Webhooks.
pub(crate) async fn webhooks(state: web::Data<State>, query: web::Query<Search>) -> Answer {
    Ok(HttpResponse::Ok().json(lines(&state, &query, ApiError::Invalid).await?))
}

/// A webhook with its body.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Webhook {
    id: WebhookId,
    source: String,
    event: String,
    event_id: String,
    verdict: String,
    reason: String,
    received_at: DateTime<Utc>,
    processed_at: Option<DateTime<Utc>>,
    effect: Option<String>,
    /// The body, masked.
    body: String,
}

/// One webhook.
pub(crate) async fn webhook(state: web::Data<State>, path: web::Path<String>) -> Answer {
    let client = state.pool.get().await?;
    let found = store::console::webhook(&client, id(&path)?).await?.ok_or(ApiError::NotFound("webhook"))?;
    Ok(HttpResponse::Ok().json(Webhook {
        id: found.id,
        body: mask::body(&found.body),
        source: found.source,
        event: found.event,
        event_id: found.event_id,
        verdict: found.verdict,
        reason: mask::text(&found.reason),
        received_at: found.received_at,
        processed_at: found.processed_at,
        effect: found.effect.as_deref().map(mask::text),
    }))
}

/// A replay to be asked for.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct NewReplay {
    /// Whether it is only to tell what it would do.
    #[serde(default)]
    dry_run: bool,
    /// Why.
    reason: String,
}

/// A replay.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Replay {
    id: ReplayId,
    /// applied, previewed or handed on (`handed_on`); absent while it is on its way.
    outcome: Option<String>,
    /// What came of it, in words.
    report: Option<String>,
}

/// Asks for a replay.
pub(crate) async fn replay(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    bytes: web::Bytes,
) -> Answer {
    let new: NewReplay = body(&bytes)?;
    let reason = super::reason(&new.reason).map_err(ApiError::Invalid)?;
    let refuse =
        |why: Option<&'static str>| why.map_or(ApiError::NotFound("webhook"), |why| ApiError::Conflict(why.to_owned()));
    let replay = ask_replay(&state, &caller.into(), id(&path)?, new.dry_run, reason, refuse).await?;
    Ok(HttpResponse::Accepted().json(Replay { id: replay, outcome: None, report: None }))
}

/// How a replay stands.
pub(crate) async fn replay_state(state: web::Data<State>, path: web::Path<String>) -> Answer {
    let replay: ReplayId = id(&path)?;
    let client = state.pool.get().await?;
    let found = store::webhooks::find_replay(&client, replay).await?.ok_or(ApiError::NotFound("replay"))?;
    Ok(HttpResponse::Ok().json(Replay { id: replay, outcome: found.outcome, report: found.report }))
}

/// Messages.
pub(crate) async fn deliveries(state: web::Data<State>, query: web::Query<Messages>) -> Answer {
    Ok(HttpResponse::Ok().json(messages(&state, &query, ApiError::Invalid).await?))
}

/// Deeds.
pub(crate) async fn audit(state: web::Data<State>, query: web::Query<Deeds>) -> Answer {
    Ok(HttpResponse::Ok().json(deeds(&state, &query, ApiError::Invalid).await?))
}

/// What is looked for.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Text {
    /// A click's, order's, transaction's, withdrawal's, message's or webhook's id, a mail address or a number.
    q: String,
}

/// A timeline.
pub(crate) async fn timeline(state: web::Data<State>, query: web::Query<Text>) -> Answer {
    let items: Vec<Moment> = moments(&state, &query.q).await?;
    Ok(HttpResponse::Ok().json(Listing { items, next: None }))
}

/// A run of a recurring job.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CronRun {
    id: CronRunId,
    job: String,
    scheduled_for: DateTime<Utc>,
    cause: String,
    status: String,
    dry_run: bool,
    attempt: i32,
    report: serde_json::Value,
    error: Option<String>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

/// Which runs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Runs {
    /// Of this job.
    job: Option<String>,
    /// With a nominal time before this one.
    before: Option<DateTime<Utc>>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// How many, 1 to 200.
    limit: Option<u16>,
}

/// Runs of recurring jobs.
pub(crate) async fn cron(state: web::Data<State>, query: web::Query<Runs>) -> Answer {
    let after = query.cursor.as_deref().map(id).transpose()?;
    let limit = query.limit.unwrap_or(50).clamp(1, 200);
    let client = state.pool.get().await?;
    let runs = cron_runs::list(&client, query.job.as_deref(), query.before, after, i64::from(limit) + 1).await?;
    let items: Vec<CronRun> = runs
        .into_iter()
        .map(|run| CronRun {
            id: run.id,
            job: run.job,
            scheduled_for: run.scheduled_for,
            cause: run.cause,
            status: run.status,
            dry_run: run.dry_run,
            attempt: run.attempt,
            report: run.report,
            error: run.error.as_deref().map(mask::text),
            started_at: run.started_at,
            finished_at: run.finished_at,
        })
        .collect();
    Ok(HttpResponse::Ok().json(Listing::cut(items, usize::from(limit), |run| run.id.to_string())))
}

/// How a run is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Trigger {
    /// Whether nothing is to be written.
    #[serde(default)]
    dry_run: bool,
    /// Why.
    reason: String,
}

async fn order(state: &State, caller: Caller, job: &str, order: Order, reason: &str) -> Answer {
    let reason = super::reason(reason).map_err(ApiError::Invalid)?;
    if carry_out(state, &caller.into(), job, order, reason).await? {
        Ok(HttpResponse::Accepted().finish())
    } else {
        Err(ApiError::NotFound("job that this can be done to"))
    }
}

/// Runs a job now.
pub(crate) async fn trigger(
    state: web::Data<State>,
    caller: Caller,
    job: web::Path<String>,
    bytes: web::Bytes,
) -> Answer {
    let new: Trigger = body(&bytes)?;
    order(&state, caller, &job, if new.dry_run { Order::Try } else { Order::Run }, &new.reason).await
}

/// How a job is paused.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct CronPause {
    /// Until when; until it is resumed by default.
    #[serde(default)]
    until: Option<DateTime<Utc>>,
    /// Why.
    reason: String,
}

/// Pauses a job.
pub(crate) async fn pause_job(
    state: web::Data<State>,
    caller: Caller,
    job: web::Path<String>,
    bytes: web::Bytes,
) -> Answer {
    let new: CronPause = body(&bytes)?;
    order(&state, caller, &job, Order::Pause(new.until), &new.reason).await
}

/// Resumes a job.
pub(crate) async fn resume_job(
    state: web::Data<State>,
    caller: Caller,
    job: web::Path<String>,
    bytes: web::Bytes,
) -> Answer {
    let why: Reason = body(&bytes)?;
    order(&state, caller, &job, Order::Resume, &why.reason).await
}

/// A pull of a network.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SyncRun {
    id: SyncRunId,
    network: Network,
    status: String,
    requested_by: String,
    pages: i32,
    rows_read: i64,
    rows_new: i64,
    rows_changed: i64,
    rows_matched: i64,
    rows_unmatched: i64,
    rows_quarantined: i64,
    commission_paise: Paise,
    error: Option<String>,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

/// Pulls, the newest first.
pub(crate) async fn sync_runs(state: web::Data<State>) -> Answer {
    let client = state.pool.get().await?;
    let items = sync::list(&client, None, 100).await?.into_iter().map(|run| SyncRun {
        id: run.id,
        network: run.network,
        status: run.status,
        requested_by: run.requested_by,
        pages: run.pages,
        rows_read: run.rows_read,
        rows_new: run.rows_new,
        rows_changed: run.rows_changed,
        rows_matched: run.rows_matched,
        rows_unmatched: run.rows_unmatched,
        rows_quarantined: run.rows_quarantined,
        commission_paise: run.commission,
        error: run.error.as_deref().map(mask::text),
        started_at: run.started_at,
        finished_at: run.finished_at,
    });
    Ok(HttpResponse::Ok().json(Listing { items: items.collect(), next: None }))
}

/// Asks for a pull.
pub(crate) async fn pull(
    state: web::Data<State>,
    caller: Caller,
    network: web::Path<String>,
    bytes: web::Bytes,
) -> Answer {
    let why: Reason = body(&bytes)?;
    let network = network.parse().map_err(|_unknown| ApiError::NotFound("network"))?;
    networks::ask_pull(&state, &caller.into(), network, why.checked()?).await?;
    Ok(HttpResponse::Accepted().finish())
}

/// A transaction without a click.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Unmatched {
    id: TransactionId,
    network: Network,
    external_id: String,
    merchant: Option<String>,
    sale_paise: Option<Paise>,
    commission_paise: Paise,
    status: String,
    reason: String,
    occurred_at: DateTime<Utc>,
}

/// Where to go on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Place {
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Transactions without a click.
pub(crate) async fn unmatched(state: web::Data<State>, query: web::Query<Place>) -> Answer {
    let after = query.cursor.as_deref().map(id).transpose()?;
    let client = state.pool.get().await?;
    let items = transactions::unmatched(&client, after, 101).await?.into_iter().map(|one| Unmatched {
        id: one.id,
        network: one.network,
        external_id: one.external_id,
        merchant: one.merchant,
        sale_paise: one.sale,
        commission_paise: one.commission,
        status: one.status,
        reason: one.reason,
        occurred_at: one.occurred_at,
    });
    Ok(HttpResponse::Ok().json(Listing::cut(items.collect(), 100, |one| one.id.to_string())))
}

/// The click that a transaction is given to.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Assignment {
    click_id: ClickId,
    /// Why.
    reason: String,
}

/// Gives a transaction to a click.
pub(crate) async fn assign(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    bytes: web::Bytes,
) -> Answer {
    let new: Assignment = body(&bytes)?;
    let reason = super::reason(&new.reason).map_err(ApiError::Invalid)?;
    match networks::assign_to(&state, &caller.into(), id(&path)?, new.click_id, reason).await {
        Ok(()) => Ok(HttpResponse::NoContent().finish()),
        Err(SettleError::NoMatch(why)) => Err(ApiError::Conflict(why.to_owned())),
        Err(SettleError::Store(error)) => Err(error.into()),
        Err(other) => Err(ApiError::Failed(other.into())),
    }
}
