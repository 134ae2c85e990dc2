//! Replays of many webhooks, for programs.

use actix_web::{HttpResponse, web};
use domain::ids::ReplayRunId;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ApiError, Listing, Reason, body, id};
use crate::access::Caller;
use crate::replays::{self, Run, Wanted, begin, prepare_for, stop};
use crate::state::State;

type Answer = Result<HttpResponse, ApiError>;

async fn found(state: &State, id: ReplayRunId) -> Result<Run, ApiError> {
    let client = state.pool.get().await?;
    replays::run(&client, id).await?.ok_or(ApiError::NotFound("replay"))
}

/// Previews.
pub(crate) async fn prepare(state: web::Data<State>, caller: Caller, bytes: web::Bytes) -> Answer {
    let wanted: Wanted = body(&bytes)?;
    let run = prepare_for(&state, &caller.into(), &wanted, ApiError::Invalid).await?;
    Ok(HttpResponse::Accepted().json(found(&state, run).await?))
}

/// The newest.
pub(crate) async fn list(state: web::Data<State>) -> Answer {
    Ok(HttpResponse::Ok().json(Listing { items: replays::runs(&state, 100).await?, next: None }))
}

/// One.
pub(crate) async fn show(state: web::Data<State>, path: web::Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(found(&state, id(&path)?).await?))
}

/// Where to go on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct After {
    /// `next` of the page before.
    cursor: Option<String>,
}

/// What came of its webhooks.
pub(crate) async fn report(state: web::Data<State>, path: web::Path<String>, query: web::Query<After>) -> Answer {
    let after = query.cursor.as_deref().map(id).transpose()?;
    let client = state.pool.get().await?;
    let run = replays::run(&client, id(&path)?).await?.ok_or(ApiError::NotFound("replay"))?;
    Ok(HttpResponse::Ok().json(replays::replays(&client, &run, after, false).await?))
}

/// Starts one.
pub(crate) async fn start(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    bytes: web::Bytes,
) -> Answer {
    let (why, run): (Reason, _) = (body(&bytes)?, id(&path)?);
    let reason = why.checked()?;
    found(&state, run).await?;
    if !begin(&state, &caller.into(), run, reason).await? {
        return Err(ApiError::Conflict("it was started before".to_owned()));
    }
    Ok(HttpResponse::Accepted().json(found(&state, run).await?))
}

/// Stops one.
pub(crate) async fn abort(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    bytes: web::Bytes,
) -> Answer {
    let (why, run): (Reason, _) = (body(&bytes)?, id(&path)?);
    let reason = why.checked()?;
    found(&state, run).await?;
    if !stop(&state, &caller.into(), run, reason).await? {
        return Err(ApiError::Conflict("it does not run".to_owned()));
    }
    Ok(HttpResponse::Accepted().json(found(&state, run).await?))
}
