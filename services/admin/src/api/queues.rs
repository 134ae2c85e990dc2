//! Queues and workers, for programs.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use domain::clock::{Clock as _, SystemClock};
use domain::ids::JobId;
use domain::job::{Job, Queue};
use domain::jobs::{self, Each};
use queue::{Envelope, admin};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ApiError, Reason, body, queue};
use crate::access::Caller;
use crate::queues::{Waiting, pause_queue, resume_queue};
use crate::state::{Actor, Deed, State};
use crate::workers::{self, QueueView, queue_view, queue_views};

type Answer = Result<HttpResponse, ApiError>;

/// Every worker, and services that have none.
pub(crate) async fn health(state: web::Data<State>) -> Answer {
    Ok(HttpResponse::Ok().json(workers::health(&state).await?))
}

/// How every queue stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Stats {
    queues: Vec<QueueView>,
    /// When it was so.
    at: DateTime<Utc>,
}

/// How every queue stands.
pub(crate) async fn stats(state: web::Data<State>) -> Answer {
    Ok(HttpResponse::Ok().json(Stats { queues: queue_views(&state).await?, at: SystemClock.now() }))
}

/// How one queue stands.
pub(crate) async fn stat(state: web::Data<State>, name: web::Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(queue_view(&state, queue(&name)?).await?))
}

/// A job to be pushed.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct NewJob {
    /// The dotted name, such as `email.send`.
    kind: String,
    /// The handler's input, of the form that `docs/contracts` has for the kind.
    #[schemars(with = "serde_json::Value")]
    payload: Box<RawValue>,
    /// Whether it goes to the fast lane.
    #[serde(default)]
    urgent: bool,
    /// The earliest time to run it.
    #[serde(default)]
    not_before: Option<DateTime<Utc>>,
    /// After this time it is dropped.
    #[serde(default)]
    not_after: Option<DateTime<Utc>>,
    /// What it belongs to, for people who search.
    #[serde(default)]
    correlation_id: Option<String>,
}

/// A pushed job.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Pushed {
    /// Its id.
    id: JobId,
}

/// A kind of job, as what is to be pushed is checked against it.
struct Kind {
    name: &'static str,
    queue: Queue,
    /// Whether a payload is one of it.
    check: fn(&str) -> Result<(), serde_json::Error>,
}

struct Kinds;

impl Each for Kinds {
    type Made = Kind;

    fn of<J: Job + JsonSchema>(&self) -> Kind {
        Kind { name: J::KIND, queue: J::QUEUE, check: |payload| serde_json::from_str::<J>(payload).map(drop) }
    }
}

/// Pushes a job.
pub(crate) async fn enqueue(
    state: web::Data<State>,
    caller: Caller,
    name: web::Path<String>,
    bytes: web::Bytes,
) -> Answer {
    let queue = queue(&name)?;
    let job: NewJob = body(&bytes)?;
    let kinds = jobs::all(&Kinds);
    let kind = kinds.iter().find(|kind| kind.name == job.kind).ok_or_else(|| {
        let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
        ApiError::Invalid(format!("{:?} is no kind of job; the kinds are {}", job.kind, names.join(", ")))
    })?;
    if kind.queue != queue {
        return Err(ApiError::Invalid(format!("{} belongs to the queue {}", job.kind, kind.queue)));
    }
    (kind.check)(job.payload.get())
        .map_err(|error| ApiError::Invalid(format!("the payload is not one of {}: {error}", job.kind)))?;
    let mut envelope = Envelope::new(JobId::generate(), &job.kind, &job.payload);
    envelope.enqueued_at = Some(SystemClock.now());
    envelope.not_before = job.not_before;
    envelope.not_after = job.not_after;
    let correlation_id = job.correlation_id.clone().or_else(telemetry::propagation::current_correlation);
    envelope.correlation_id = correlation_id.as_deref().map(Into::into);
    let traceparent = telemetry::propagation::current_traceparent();
    envelope.traceparent = traceparent.as_deref().map(Into::into);
    let target = format!("queue:{queue}");
    let after = serde_json::json!({ "job": envelope.id, "kind": job.kind, "urgent": job.urgent });
    let deed = Deed { action: "queue.enqueue", target: &target, after: Some(after), ..Deed::default() };
    let effect = async { Ok::<_, ApiError>(state.producer.enqueue_envelope(queue, job.urgent, &envelope).await?) };
    state.noted(&Actor::from(caller), &deed, effect).await?;
    Ok(HttpResponse::Accepted().json(Pushed { id: envelope.id }))
}

/// How many.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Limit {
    /// How many, 1 to 100.
    #[serde(default)]
    limit: Option<u16>,
}

impl Limit {
    fn get(&self) -> u16 {
        self.limit.unwrap_or(20).clamp(1, 100)
    }
}

/// Jobs that wait.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Peek {
    items: Vec<PeekedJob>,
}

/// A job that waits, masked.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PeekedJob {
    /// Its id; a new one each time when its producer wrote none.
    id: String,
    /// Its kind.
    kind: String,
    /// When it was pushed.
    enqueued_at: Option<DateTime<Utc>>,
    /// The job, masked.
    body: String,
}

/// The first jobs that wait.
pub(crate) async fn peek(state: web::Data<State>, name: web::Path<String>, query: web::Query<Limit>) -> Answer {
    let jobs = admin::peek(&state.kv, queue(&name)?, query.get()).await?;
    let items = jobs.iter().map(|bytes| {
        let Waiting { id, kind, at, body } = Waiting::of(bytes);
        PeekedJob { id, kind, enqueued_at: at, body }
    });
    Ok(HttpResponse::Ok().json(Peek { items: items.collect() }))
}

/// Stops claiming.
pub(crate) async fn pause(
    state: web::Data<State>,
    caller: Caller,
    name: web::Path<String>,
    bytes: web::Bytes,
) -> Answer {
    let why: Reason = body(&bytes)?;
    pause_queue::<ApiError>(&state, &caller.into(), queue(&name)?, why.checked()?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Claims again.
pub(crate) async fn resume(
    state: web::Data<State>,
    caller: Caller,
    name: web::Path<String>,
    bytes: web::Bytes,
) -> Answer {
    let why: Reason = body(&bytes)?;
    resume_queue::<ApiError>(&state, &caller.into(), queue(&name)?, why.checked()?).await?;
    Ok(HttpResponse::NoContent().finish())
}
