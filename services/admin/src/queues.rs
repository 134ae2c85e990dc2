//! Queues: how they stand, what waits in them, pause and resume.

use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Utc};
use domain::job::Queue;
use queue::{Envelope, admin};

use crate::access::Who;
use crate::deed::Act;
use crate::error::PageError;
use crate::mask;
use crate::state::{Actor, Deed, State};
use crate::view::{self, Done, Page};
use crate::workers::{QueueView, queue_view, queue_views};

/// The queue of a path.
pub(crate) fn named(name: &str) -> Result<Queue, PageError> {
    name.parse().map_err(|_unknown: domain::job::UnknownQueue| PageError::NotFound("queue"))
}

#[derive(Template)]
#[template(path = "queues.html")]
struct QueuesPage {
    page: Page,
    queues: Vec<QueueView>,
}

/// Every queue.
pub(crate) async fn list(state: web::Data<State>, who: Who) -> Result<HttpResponse, PageError> {
    let queues = queue_views(&state).await?;
    view::html(&QueuesPage { page: Page::new(who, "queues"), queues })
}

/// A job that waits, as it may be seen.
pub(crate) struct Waiting {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) at: Option<DateTime<Utc>>,
    pub(crate) body: String,
}

impl Waiting {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let body = mask::body(bytes);
        match Envelope::parse(bytes) {
            Ok(job) => Self { id: job.id.to_string(), kind: job.kind.into_owned(), at: job.enqueued_at, body },
            Err(_) => Self { id: String::new(), kind: "unreadable".to_owned(), at: None, body },
        }
    }
}

#[derive(Template)]
#[template(path = "queue.html")]
struct QueuePage {
    page: Page,
    queue: QueueView,
    waiting: Vec<Waiting>,
    delayed: Vec<Waiting>,
    expired: Vec<String>,
}

/// One queue.
pub(crate) async fn page(
    state: web::Data<State>,
    who: Who,
    name: web::Path<String>,
    query: web::Query<Done>,
) -> Result<HttpResponse, PageError> {
    let queue = named(&name)?;
    let kv = &state.kv;
    let (view, waiting, delayed, expired) = tokio::try_join!(
        queue_view(&state, queue),
        admin::peek(kv, queue, 20),
        admin::delayed(kv, queue, 0, 20),
        admin::expired(kv, queue, 20),
    )?;
    let delayed = delayed
        .into_iter()
        .map(|(due, bytes)| Waiting { at: DateTime::from_timestamp_millis(due), ..Waiting::of(&bytes) });
    view::html(&QueuePage {
        page: Page::new(who, "queues").noting(query.done.as_deref()),
        queue: view,
        waiting: waiting.iter().map(|bytes| Waiting::of(bytes)).collect(),
        delayed: delayed.collect(),
        expired: expired.iter().map(|note| mask::text(note)).collect(),
    })
}

/// Stops claiming.
pub(crate) async fn pause(act: Act, name: web::Path<String>) -> Result<HttpResponse, PageError> {
    let queue = named(&name)?;
    pause_queue::<PageError>(&act.state, &act.actor(), queue, &act.reason).await?;
    Ok(view::go(format!("/admin/queues/{queue}?done=paused")))
}

/// Claims again.
pub(crate) async fn resume(act: Act, name: web::Path<String>) -> Result<HttpResponse, PageError> {
    let queue = named(&name)?;
    resume_queue::<PageError>(&act.state, &act.actor(), queue, &act.reason).await?;
    Ok(view::go(format!("/admin/queues/{queue}?done=resumed")))
}

/// Pauses a queue, for people and programs.
pub(crate) async fn pause_queue<E>(state: &State, actor: &Actor, queue: Queue, reason: &str) -> Result<(), E>
where
    E: From<kv::KvError> + From<store::StoreError>,
{
    let paused = admin::stats(&state.kv, queue).await?.paused;
    let target = format!("queue:{queue}");
    let deed = Deed {
        action: "queue.pause",
        target: &target,
        reason,
        before: Some(serde_json::json!({ "paused": paused })),
        after: Some(serde_json::json!({ "paused": true })),
    };
    let effect = async { admin::pause(&state.kv, queue, reason).await.map_err(E::from) };
    state.noted(actor, &deed, effect).await
}

/// Resumes a queue, for people and programs.
pub(crate) async fn resume_queue<E>(state: &State, actor: &Actor, queue: Queue, reason: &str) -> Result<(), E>
where
    E: From<kv::KvError> + From<store::StoreError>,
{
    let stats = admin::stats(&state.kv, queue).await?;
    let target = format!("queue:{queue}");
    let deed = Deed {
        action: "queue.resume",
        target: &target,
        reason,
        before: Some(serde_json::json!({ "paused": stats.paused, "why": stats.pause_reason })),
        after: Some(serde_json::json!({ "paused": false })),
    };
    let effect = async { admin::resume(&state.kv, queue).await.map_err(E::from) };
    state.noted(actor, &deed, effect).await
}
