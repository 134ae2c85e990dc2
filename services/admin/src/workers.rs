//! The first page: who works, what waits, what is wrong.

use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Utc};
use domain::clock::{Clock as _, SystemClock};
use domain::job::Queue;
use queue::admin::{self, Heartbeat, QueueStats};
use schemars::JsonSchema;
use serde::Serialize;
use store::{alerts, upkeep};

use crate::access::Who;
use crate::chart::{self, Chart, Span};
use crate::error::PageError;
use crate::state::State;
use crate::view::{self, Page};

/// How a queue stands.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct QueueView {
    /// The queue.
    pub(crate) queue: Queue,
    /// Jobs on the ordinary list.
    pub(crate) waiting: u64,
    /// Jobs in the fast lane.
    pub(crate) urgent: u64,
    /// Jobs in hand.
    pub(crate) in_flight: u64,
    /// Jobs that wait for their time.
    pub(crate) delayed: u64,
    /// Jobs that were in hand when a worker died, waiting to run alone.
    pub(crate) suspects: u64,
    /// Dead letters.
    pub(crate) dead: u64,
    /// Why it is paused, if it is.
    pub(crate) paused: Option<String>,
    /// Since when most of the fleet fails, if it does.
    pub(crate) outage_since: Option<DateTime<Utc>>,
    /// Since when the job at the head waits, in seconds, if its producer wrote a time.
    pub(crate) oldest_age_s: Option<i64>,
    /// Jobs pushed in the last whole minute.
    pub(crate) enqueued_per_minute: u64,
    /// Jobs done in the last whole minute.
    pub(crate) done_per_minute: u64,
    /// 99 of 100 jobs of the last whole minute started within this time of their push, in milliseconds.
    pub(crate) wait_p99_ms: Option<u64>,
    /// Jobs that are not where they should be; always 0.
    pub(crate) unaccounted: i64,
    /// Jobs done since the beginning.
    pub(crate) done: u64,
}

/// How `queue` stands.
pub(crate) async fn queue_view(state: &State, queue: Queue) -> Result<QueueView, kv::KvError> {
    let (stats, minutes) = tokio::try_join!(admin::stats(&state.kv, queue), admin::minutes(&state.kv, queue, 2))?;
    let QueueStats { waiting, urgent, in_flight, delayed, suspects, dead, pause_reason, .. } = stats;
    let last = minutes.first();
    Ok(QueueView {
        queue,
        waiting,
        urgent,
        in_flight,
        delayed,
        suspects,
        dead,
        paused: pause_reason,
        outage_since: stats.outage_since.and_then(DateTime::from_timestamp_millis),
        oldest_age_s: stats.oldest_age_s,
        enqueued_per_minute: last.map_or(0, |minute| minute.enqueued),
        done_per_minute: last.map_or(0, |minute| minute.done),
        wait_p99_ms: last.and_then(|minute| minute.wait_p99_us).map(|us| us / 1_000),
        unaccounted: stats.unaccounted,
        done: stats.counts.get("done").copied().unwrap_or(0),
    })
}

/// How every queue stands.
pub(crate) async fn queue_views(state: &State) -> Result<Vec<QueueView>, kv::KvError> {
    futures_util::future::try_join_all(Queue::ALL.map(|queue| queue_view(state, queue))).await
}

/// A worker that lives.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct WorkerView {
    /// Its id, fresh at every start.
    pub(crate) id: String,
    /// The service it runs in.
    pub(crate) service: String,
    /// The machine.
    pub(crate) host: String,
    /// The process.
    pub(crate) pid: u32,
    /// The version of the service.
    pub(crate) version: String,
    /// The queues it serves.
    pub(crate) queues: Vec<Queue>,
    /// Jobs in hand.
    pub(crate) in_flight: u64,
    /// Jobs ended in the last minute.
    pub(crate) jobs_per_minute: u64,
    /// `working`, `idle`, or `late` when its sign of life is older than three seconds.
    pub(crate) state: &'static str,
    /// When it started.
    pub(crate) started_at: DateTime<Utc>,
    /// Its last sign of life.
    pub(crate) beat_at: DateTime<Utc>,
}

impl WorkerView {
    fn of(worker: Heartbeat, now: DateTime<Utc>) -> Self {
        let state = if (now - worker.beat_at).num_seconds() > 3 {
            "late"
        } else if worker.in_flight > 0 {
            "working"
        } else {
            "idle"
        };
        Self {
            id: worker.id.to_string(),
            service: worker.service,
            host: worker.host,
            pid: worker.pid,
            version: worker.version,
            queues: worker.queues,
            in_flight: worker.in_flight,
            jobs_per_minute: worker.jobs_per_minute,
            state,
            started_at: worker.started_at,
            beat_at: worker.beat_at,
        }
    }

    fn queue_names(&self) -> String {
        self.queues.iter().map(|queue| queue.name()).collect::<Vec<_>>().join(", ")
    }
}

/// A service that has had workers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ServiceView {
    /// The service.
    pub(crate) service: String,
    /// Its workers that live.
    pub(crate) workers: usize,
    /// Whether none lives although some did.
    pub(crate) gone: bool,
    /// The last sign of life that was noted.
    pub(crate) last_beat: DateTime<Utc>,
}

/// Every worker and service.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Health {
    /// Workers that live.
    pub(crate) workers: Vec<WorkerView>,
    /// Services that have, or had, workers.
    pub(crate) services: Vec<ServiceView>,
}

/// Every worker and service. Services that are gone are known to Postgres; when it is away, those that live are shown.
pub(crate) async fn health(state: &State) -> Result<Health, kv::KvError> {
    let now = SystemClock.now();
    let workers: Vec<WorkerView> =
        admin::workers(&state.kv).await?.into_iter().map(|worker| WorkerView::of(worker, now)).collect();
    let known = async {
        let client = state.pool.get().await?;
        upkeep::services(&client).await
    };
    let mut services = std::collections::BTreeMap::new();
    for (service, _, last_beat) in known.await.unwrap_or_default() {
        services.insert(service, last_beat);
    }
    for worker in &workers {
        let beat = services.entry(worker.service.clone()).or_insert(worker.beat_at);
        *beat = worker.beat_at.max(*beat);
    }
    let services = services
        .into_iter()
        .map(|(service, last_beat)| {
            let alive = workers.iter().filter(|worker| worker.service == service).count();
            ServiceView { service, workers: alive, gone: alive == 0, last_beat }
        })
        .collect();
    Ok(Health { workers, services })
}

/// All that the page shows and that changes by the second.
#[derive(Template)]
#[template(path = "workers_now.html")]
pub(crate) struct Now {
    at: DateTime<Utc>,
    queues: Vec<QueueView>,
    health: Health,
    alerts: Vec<alerts::Line>,
}

impl Now {
    /// Reads it.
    pub(crate) async fn read(state: &State) -> Result<Self, PageError> {
        let (queues, health) = tokio::try_join!(queue_views(state), health(state))?;
        let troubles = async {
            let client = state.pool.get().await?;
            alerts::list(&client, 20).await
        };
        let alerts = troubles.await?.into_iter().filter(|alert| alert.closed_at.is_none()).collect();
        Ok(Self { at: SystemClock.now(), queues, health, alerts })
    }

    fn dead(&self) -> u64 {
        self.queues.iter().map(|queue| queue.dead).sum()
    }

    fn per_minute(&self) -> u64 {
        self.health.workers.iter().map(|worker| worker.jobs_per_minute).sum()
    }

    fn gone(&self) -> impl Iterator<Item = &ServiceView> {
        self.health.services.iter().filter(|service| service.gone)
    }
}

#[derive(Template)]
#[template(path = "workers.html")]
struct WorkersPage {
    page: Page,
    now: Now,
    day: bool,
    charts: [Chart; 2],
}

/// How far the charts look back: `24h`, or an hour.
#[derive(serde::Deserialize)]
pub(crate) struct Looking {
    #[serde(default)]
    span: String,
}

/// The page.
pub(crate) async fn page(
    state: web::Data<State>,
    who: Who,
    query: web::Query<Looking>,
) -> Result<HttpResponse, PageError> {
    let span = Span::of(&query.span);
    let now = Now::read(&state).await?;
    let charts = chart::charts(&state, span).await?;
    view::html(&WorkersPage { page: Page::new(who, "workers"), now, day: span == Span::Day, charts })
}
