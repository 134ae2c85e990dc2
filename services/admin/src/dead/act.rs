//! What is done with dead letters, for people and programs.

use actix_web::{HttpResponse, web};
use chrono::DateTime;
use domain::job::Queue;
use kv::KvError;
use queue::admin::{self, DeadFilter, DeadLetter, ReplayRun};
use serde::Deserialize;
use store::StoreError;
use store::audit::{self, DeadLetterEnd};

use super::{Search, keep};
use crate::access::Who;
use crate::deed::Act;
use crate::error::PageError;
use crate::mask;
use crate::queues::named;
use crate::state::{Actor, Deed, State};
use crate::view;

/// Writes down the end of a letter, and who and why, then does it; `false` when it was not there any more.
async fn end<E>(
    state: &State,
    actor: &Actor,
    letter: &DeadLetter,
    queue: Queue,
    (action, word): (&str, &str),
    reason: &str,
    effect: impl Future<Output = Result<bool, KvError>>,
) -> Result<bool, E>
where
    E: From<KvError> + From<StoreError>,
{
    let mut client = state.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    let target = format!("dead:{queue}:{}", letter.id);
    let before = serde_json::json!({ "kind": letter.kind, "reason": letter.reason, "attempt": letter.attempt });
    let after = serde_json::json!({ "state": word });
    let deed = Deed { action, target: &target, reason, before: Some(before), after: Some(after) };
    actor.note(&transaction, &deed).await?;
    let end = DeadLetterEnd {
        queue: queue.name(),
        job_id: &letter.id,
        kind: &letter.kind,
        action: word,
        died_at: DateTime::from_timestamp_millis(letter.died_at).unwrap_or_default(),
        why: &letter.reason,
        error: &mask::text(&letter.error),
        actor: &actor.name(),
    };
    audit::insert_dead_letter_end(&transaction, &end).await?;
    let done = effect.await?;
    if done {
        transaction.commit().await.map_err(StoreError::from)?;
    }
    Ok(done)
}

/// Puts a letter back on its queue; `false` when there is none.
pub(crate) async fn replay_one<E>(state: &State, actor: &Actor, queue: Queue, id: &str, reason: &str) -> Result<bool, E>
where
    E: From<KvError> + From<StoreError>,
{
    let Some(letter) = admin::dead_letter(&state.kv, queue, id).await? else { return Ok(false) };
    let by = actor.name();
    let effect = admin::replay(&state.kv, queue, id, &by);
    end(state, actor, &letter, queue, ("dead.replay", "replayed"), reason, effect).await
}

/// Deletes a letter; `false` when there is none.
pub(crate) async fn delete_one<E>(state: &State, actor: &Actor, queue: Queue, id: &str, reason: &str) -> Result<bool, E>
where
    E: From<KvError> + From<StoreError>,
{
    let Some(letter) = admin::dead_letter(&state.kv, queue, id).await? else { return Ok(false) };
    let effect = admin::delete(&state.kv, queue, id);
    end(state, actor, &letter, queue, ("dead.delete", "deleted"), reason, effect).await
}

/// The most jobs a second of a replay of many.
const FASTEST: u32 = 5_000;

/// Starts a replay of many in the background.
pub(crate) async fn start<E>(
    state: &State,
    actor: &Actor,
    queue: Queue,
    filter: DeadFilter,
    per_second: u32,
    reason: &str,
) -> Result<ReplayRun, E>
where
    E: From<KvError> + From<StoreError>,
{
    let (by, per_second) = (actor.name(), per_second.clamp(1, FASTEST));
    let target = format!("queue:{queue}");
    let noted = DeadFilter { text: filter.text.as_deref().map(mask::text), ..filter.clone() };
    let after = serde_json::json!({ "filter": noted, "per_second": per_second });
    let deed = Deed { action: "dead.replay_many", target: &target, reason, before: None, after: Some(after) };
    let effect = async { admin::start_replay(&state.kv, queue, filter, per_second, &by).await.map_err(E::from) };
    let run = state.noted(actor, &deed, effect).await?;
    keep::drive(state, run.clone());
    Ok(run)
}

/// Stops a replay of many.
pub(crate) async fn stop<E>(state: &State, actor: &Actor, queue: Queue, id: &str, reason: &str) -> Result<(), E>
where
    E: From<KvError> + From<StoreError>,
{
    let target = format!("replay:{queue}:{id}");
    let deed = Deed { action: "dead.abort", target: &target, reason, ..Deed::default() };
    let effect = async { admin::abort_replay(&state.kv, queue, id).await.map_err(E::from) };
    state.noted(actor, &deed, effect).await
}

/// Where a letter of a path is, and back to its list.
fn place(path: &(String, String)) -> Result<(Queue, &str), PageError> {
    Ok((named(&path.0)?, &path.1))
}

/// To the list, which says what was done; a letter that was not there is told.
fn done(was_there: bool, queue: Queue, word: &str) -> Result<HttpResponse, PageError> {
    if was_there {
        Ok(view::go(format!("/admin/queues/{queue}/dead?done={word}")))
    } else {
        Err(PageError::NotFound("dead letter"))
    }
}

/// Replays one, from the console.
pub(crate) async fn replay(act: Act, path: web::Path<(String, String)>) -> Result<HttpResponse, PageError> {
    let (queue, id) = place(&path)?;
    done(replay_one::<PageError>(&act.state, &act.actor(), queue, id, &act.reason).await?, queue, "replayed")
}

/// Deletes one, from the console.
pub(crate) async fn delete(act: Act, path: web::Path<(String, String)>) -> Result<HttpResponse, PageError> {
    let (queue, id) = place(&path)?;
    done(delete_one::<PageError>(&act.state, &act.actor(), queue, id, &act.reason).await?, queue, "deleted")
}

/// Aborts a replay of many, from the console.
pub(crate) async fn abort_replays(act: Act, path: web::Path<(String, String)>) -> Result<HttpResponse, PageError> {
    let (queue, id) = place(&path)?;
    stop::<PageError>(&act.state, &act.actor(), queue, id, &act.reason).await?;
    done(true, queue, "aborted")
}

/// What is to be replayed, from a form.
#[derive(Deserialize)]
pub(crate) struct Many {
    #[serde(default)]
    kind: String,
    // The letters' reason; the operator's own is `reason`, as in every form.
    #[serde(default)]
    died_of: String,
    #[serde(default)]
    text: String,
    per_second: u32,
    #[serde(default)]
    reason: String,
}

/// Replays many, from the console.
pub(crate) async fn start_replays(
    state: web::Data<State>,
    who: Who,
    name: web::Path<String>,
    form: web::Form<Many>,
) -> Result<HttpResponse, PageError> {
    let queue = named(&name)?;
    let Many { kind, died_of, text, per_second, reason } = form.into_inner();
    let filter = Search { kind, reason: died_of, text, ..Search::default() }.filter();
    let reason = crate::api::reason(&reason).map_err(PageError::Input)?;
    start::<PageError>(&state, &who.into(), queue, filter, per_second, reason).await?;
    Ok(view::go(format!("/admin/queues/{queue}/dead?done=bulk")))
}
