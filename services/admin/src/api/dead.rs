//! Dead letters, for programs.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use queue::admin::{self, DeadFilter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApiError, Listing, Reason, body, queue};
use crate::access::Caller;
use crate::dead::{Letter, Run, cursor, delete_one, place, replay_one, stop};
use crate::state::State;

type Answer = Result<HttpResponse, ApiError>;

/// Which letters. Conditions that are given must all hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Search {
    /// Of this kind.
    kind: Option<String>,
    /// With this reason.
    reason: Option<String>,
    /// With this text, in any case, in the id, the body, the error, the correlation or the trace.
    text: Option<String>,
    /// That died at this time or later.
    from: Option<DateTime<Utc>>,
    /// That died at this time or earlier.
    to: Option<DateTime<Utc>>,
    /// Where to go on: `next` of the page before.
    cursor: Option<String>,
    /// How many, 1 to 500.
    limit: Option<u16>,
}

impl Search {
    fn filter(&self) -> DeadFilter {
        DeadFilter {
            kind: self.kind.clone(),
            reason: self.reason.clone(),
            text: self.text.clone(),
            from: self.from,
            to: self.to,
        }
    }
}

/// Some letters.
pub(crate) async fn list(state: web::Data<State>, name: web::Path<String>, query: web::Query<Search>) -> Answer {
    let queue = queue(&name)?;
    let from = match &query.cursor {
        Some(text) => Some(cursor(text).ok_or_else(|| ApiError::Invalid("that is no cursor of ours".to_owned()))?),
        None => None,
    };
    let limit = query.limit.unwrap_or(50).clamp(1, 500);
    let page = admin::search(&state.kv, queue, &query.filter(), from.as_ref(), limit).await?;
    let items = page.letters.iter().map(|letter| Letter::masked(queue, letter)).collect();
    Ok(HttpResponse::Ok().json(Listing { items, next: page.next.as_ref().map(place) }))
}

/// A number of letters.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Counted {
    /// How many.
    count: u64,
}

/// How many letters a search means.
pub(crate) async fn count(state: web::Data<State>, name: web::Path<String>, query: web::Query<Search>) -> Answer {
    let count = admin::count(&state.kv, queue(&name)?, &query.filter()).await?;
    Ok(HttpResponse::Ok().json(Counted { count }))
}

/// One letter.
pub(crate) async fn show(state: web::Data<State>, path: web::Path<(String, String)>) -> Answer {
    let queue = queue(&path.0)?;
    let letter = admin::dead_letter(&state.kv, queue, &path.1).await?.ok_or(ApiError::NotFound("dead letter"))?;
    Ok(HttpResponse::Ok().json(Letter::masked(queue, &letter)))
}

fn done(found: bool) -> Answer {
    if found { Ok(HttpResponse::NoContent().finish()) } else { Err(ApiError::NotFound("dead letter")) }
}

/// Puts one back.
pub(crate) async fn replay(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<(String, String)>,
    bytes: web::Bytes,
) -> Answer {
    let why: Reason = body(&bytes)?;
    done(replay_one::<ApiError>(&state, &caller.into(), queue(&path.0)?, &path.1, why.checked()?).await?)
}

/// Deletes one.
pub(crate) async fn delete(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<(String, String)>,
    why: web::Query<Reason>,
) -> Answer {
    done(delete_one::<ApiError>(&state, &caller.into(), queue(&path.0)?, &path.1, why.checked()?).await?)
}

/// Replays of many.
pub(crate) async fn replays(state: web::Data<State>, name: web::Path<String>) -> Answer {
    let runs = admin::replay_runs(&state.kv, queue(&name)?).await?;
    Ok(HttpResponse::Ok().json(Listing { items: runs.into_iter().map(Run::from).collect(), next: None }))
}

/// A replay of many to be started.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct NewReplay {
    /// Which letters; all by default.
    #[serde(default)]
    filter: Search,
    /// Jobs a second, 1 to 5,000.
    #[serde(default = "usual_rate")]
    per_second: u32,
    /// Why.
    reason: String,
}

fn usual_rate() -> u32 {
    100
}

/// Starts one.
pub(crate) async fn start(
    state: web::Data<State>,
    caller: Caller,
    name: web::Path<String>,
    bytes: web::Bytes,
) -> Answer {
    let new: NewReplay = body(&bytes)?;
    let reason = super::reason(&new.reason).map_err(ApiError::Invalid)?;
    let (queue, filter) = (queue(&name)?, new.filter.filter());
    let run = crate::dead::start::<ApiError>(&state, &caller.into(), queue, filter, new.per_second, reason).await?;
    Ok(HttpResponse::Accepted().json(Run::from(run)))
}

/// Stops one.
pub(crate) async fn abort(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<(String, String)>,
    bytes: web::Bytes,
) -> Answer {
    let why: Reason = body(&bytes)?;
    stop::<ApiError>(&state, &caller.into(), queue(&path.0)?, &path.1, why.checked()?).await?;
    Ok(HttpResponse::Accepted().finish())
}
