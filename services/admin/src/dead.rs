//! Dead letters: seen masked, revealed with a reason, replayed, deleted.

mod act;
mod keep;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use domain::job::Queue;
use queue::admin::{self, Cursor, DeadFilter, DeadLetter, ReplayRun, ReplayState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::act::{abort_replays, delete, delete_one, replay, replay_one, start, start_replays, stop};
pub(crate) use self::keep::keep;
use crate::access::Who;
use crate::deed::Act;
use crate::error::PageError;
use crate::mask;
use crate::queues::named;
use crate::state::{Actor, Deed, State};
use crate::view::{self, Done, Page};

/// A dead letter as it may be seen.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Letter {
    /// The job.
    pub(crate) id: String,
    /// The queue.
    pub(crate) queue: Queue,
    /// The job's kind; empty when it could not be read.
    pub(crate) kind: String,
    /// A word for why: unreadable, unknown-kind, unknown-version, failed, attempts-used-up, crashed.
    pub(crate) reason: String,
    /// The chain of causes.
    pub(crate) error: String,
    /// How often it was tried.
    pub(crate) attempt: u32,
    /// When it died.
    pub(crate) died_at: DateTime<Utc>,
    /// When it was pushed.
    pub(crate) enqueued_at: Option<DateTime<Utc>>,
    /// What went wrong before.
    pub(crate) failures: Vec<Event>,
    /// When and by whom it was replayed.
    pub(crate) replays: Vec<Event>,
    /// The trace that caused it.
    pub(crate) traceparent: Option<String>,
    /// What it belongs to.
    pub(crate) correlation_id: Option<String>,
    /// The job, masked.
    pub(crate) body: String,
}

/// Something in the life of a job.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Event {
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// What or who.
    pub(crate) what: String,
}

impl Letter {
    /// As everybody may see it.
    pub(crate) fn masked(queue: Queue, letter: &DeadLetter) -> Self {
        Self::with_body(queue, letter, mask::body(&letter.bytes()))
    }

    fn with_body(queue: Queue, letter: &DeadLetter, body: String) -> Self {
        Self {
            id: letter.id.clone(),
            queue,
            kind: letter.kind.clone(),
            reason: letter.reason.clone(),
            error: mask::text(&letter.error),
            attempt: letter.attempt,
            died_at: DateTime::from_timestamp_millis(letter.died_at).unwrap_or_default(),
            enqueued_at: letter.enqueued_at,
            failures: letter
                .failures
                .iter()
                .map(|failure| Event { at: failure.at, what: mask::text(&failure.error) })
                .collect(),
            replays: letter.replays.iter().map(|replay| Event { at: replay.at, what: replay.by.clone() }).collect(),
            traceparent: letter.traceparent.clone(),
            correlation_id: letter.correlation_id.clone(),
            body,
        }
    }

    /// The id of the trace, for the tracing system's search.
    fn trace(&self) -> Option<&str> {
        self.traceparent.as_deref()?.split('-').nth(1)
    }
}

/// A replay of many, and how it stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Run {
    /// Its id.
    pub(crate) id: String,
    /// The queue.
    pub(crate) queue: Queue,
    /// Which letters.
    pub(crate) filter: serde_json::Value,
    /// Jobs a second.
    pub(crate) per_second: u32,
    /// Who started it.
    pub(crate) by: String,
    /// running, done or aborted.
    pub(crate) state: &'static str,
    /// Jobs replayed so far.
    pub(crate) replayed: u64,
    /// When it began.
    pub(crate) started_at: DateTime<Utc>,
    /// When it last moved.
    pub(crate) updated_at: DateTime<Utc>,
}

impl From<ReplayRun> for Run {
    fn from(run: ReplayRun) -> Self {
        let mut filter = serde_json::to_value(&run.filter).unwrap_or_default();
        // What was searched for may be a person's address.
        if let Some(text) = filter.get_mut("text") {
            *text = mask::text(text.as_str().unwrap_or_default()).into();
        }
        Self {
            id: run.id,
            queue: run.queue,
            filter,
            per_second: run.per_second,
            by: run.by,
            state: match run.state {
                ReplayState::Running => "running",
                ReplayState::Done => "done",
                ReplayState::Aborted => "aborted",
            },
            replayed: run.replayed,
            started_at: run.started_at,
            updated_at: run.updated_at,
        }
    }
}

impl Run {
    fn meant(&self) -> String {
        let Some(filter) = self.filter.as_object() else { return "all".to_owned() };
        let parts: Vec<_> = filter
            .iter()
            .filter(|(name, _)| *name != "to")
            .map(|(name, value)| format!("{name} {}", value.as_str().unwrap_or_default()))
            .collect();
        if parts.is_empty() { "all".to_owned() } else { parts.join(", ") }
    }
}

/// A place in a list of dead letters, as it stands in an address.
pub(crate) fn place(cursor: &Cursor) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).unwrap_or_default())
}

/// The place that [`place`] wrote.
pub(crate) fn cursor(text: &str) -> Option<Cursor> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// What is looked for.
#[derive(Debug, Default, Clone, Deserialize)]
pub(crate) struct Search {
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) cursor: String,
    #[serde(default)]
    pub(crate) count: String,
    pub(crate) done: Option<String>,
}

impl Search {
    pub(crate) fn filter(&self) -> DeadFilter {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        DeadFilter {
            kind: given(&self.kind),
            reason: given(&self.reason),
            text: given(&self.text),
            from: None,
            to: None,
        }
    }

    fn address(&self) -> String {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("kind", &self.kind), ("reason", &self.reason), ("text", &self.text)] {
            if !value.is_empty() {
                pairs.append_pair(name, value);
            }
        }
        pairs.finish()
    }
}

/// Letters on a page.
const PAGE: u16 = 50;
/// Why letters die.
const REASONS: [&str; 6] = ["unreadable", "unknown-kind", "unknown-version", "failed", "attempts-used-up", "crashed"];

#[derive(Template)]
#[template(path = "dead.html")]
struct DeadPage {
    page: Page,
    queue: Queue,
    search: Search,
    counted: Option<u64>,
    letters: Vec<Letter>,
    next: Option<String>,
    runs: Vec<Run>,
}

impl DeadPage {
    fn next_address(&self) -> Option<String> {
        let next = self.next.as_ref()?;
        Some(format!("/admin/queues/{}/dead?{}&cursor={next}", self.queue, self.search.address()))
    }

    fn is_search(&self) -> bool {
        self.search.filter() != DeadFilter::default()
    }
}

/// The list.
pub(crate) async fn list(
    state: web::Data<State>,
    who: Who,
    name: web::Path<String>,
    query: web::Query<Search>,
) -> Result<HttpResponse, PageError> {
    let queue = named(&name)?;
    let search = query.into_inner();
    let filter = search.filter();
    let from = cursor(&search.cursor);
    let (stats, found, runs) = tokio::try_join!(
        admin::stats(&state.kv, queue),
        admin::search(&state.kv, queue, &filter, from.as_ref(), PAGE),
        admin::replay_runs(&state.kv, queue),
    )?;
    let counted = if filter == DeadFilter::default() {
        Some(stats.dead)
    } else if search.count.is_empty() {
        None
    } else {
        Some(admin::count(&state.kv, queue, &filter).await?)
    };
    view::html(&DeadPage {
        page: Page::new(who, "queues").noting(search.done.as_deref()),
        queue,
        search,
        counted,
        letters: found.letters.iter().map(|letter| Letter::masked(queue, letter)).collect(),
        next: found.next.as_ref().map(place),
        runs: runs.into_iter().map(Run::from).collect(),
    })
}

/// The list as CSV, masked, for a spreadsheet.
pub(crate) async fn export(
    state: web::Data<State>,
    who: Who,
    name: web::Path<String>,
    query: web::Query<Search>,
) -> Result<HttpResponse, PageError> {
    let queue = named(&name)?;
    let failed = |error: csv::Error| PageError::Failed(error.into());
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["id", "kind", "reason", "error", "attempts", "died_at", "enqueued_at"]).map_err(failed)?;
    let mut wrong = None;
    admin::export(&state.kv, queue, &query.filter(), |letter| {
        let letter = Letter::masked(queue, letter);
        let enqueued = letter.enqueued_at.map(|at| at.to_rfc3339()).unwrap_or_default();
        let row = [
            view::cell(&letter.id),
            view::cell(&letter.kind),
            view::cell(&letter.reason),
            view::cell(&letter.error),
            letter.attempt.to_string(),
            letter.died_at.to_rfc3339(),
            enqueued,
        ];
        wrong = wrong.take().or(table.write_record(row).err());
    })
    .await?;
    if let Some(error) = wrong {
        return Err(failed(error));
    }
    let bytes = table.into_inner().map_err(|error| PageError::Failed(anyhow::anyhow!("{error}")))?;
    let target = format!("queue:{queue}");
    let client = state.pool.get().await?;
    Actor::from(who).note(&client, &Deed { action: "dead.export", target: &target, ..Deed::default() }).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"dead-{queue}.csv\"")))
        .body(bytes))
}

#[derive(Template)]
#[template(path = "dead_letter.html")]
struct LetterPage {
    page: Page,
    letter: Letter,
    trace_link: Option<String>,
    revealed: bool,
}

impl LetterPage {
    fn new(state: &State, page: Page, letter: Letter, revealed: bool) -> Self {
        let trace_link =
            letter.trace().zip(state.trace_link.as_ref()).map(|(trace, link)| link.replace("{trace}", trace));
        Self { page, letter, trace_link, revealed }
    }
}

/// A letter of a queue, by path.
async fn found(state: &State, queue: Queue, id: &str) -> Result<DeadLetter, PageError> {
    admin::dead_letter(&state.kv, queue, id).await?.ok_or(PageError::NotFound("dead letter"))
}

/// One letter.
pub(crate) async fn page(
    state: web::Data<State>,
    who: Who,
    path: web::Path<(String, String)>,
    query: web::Query<Done>,
) -> Result<HttpResponse, PageError> {
    let queue = named(&path.0)?;
    let letter = Letter::masked(queue, &found(&state, queue, &path.1).await?);
    let page = Page::new(who, "queues").noting(query.done.as_deref());
    view::html(&LetterPage::new(&state, page, letter, false))
}

/// One letter with its personal data; codes and secrets stay masked.
pub(crate) async fn reveal(act: Act, path: web::Path<(String, String)>) -> Result<HttpResponse, PageError> {
    let queue = named(&path.0)?;
    let letter = found(&act.state, queue, &path.1).await?;
    let target = format!("dead:{queue}:{}", letter.id);
    let client = act.state.pool.get().await?;
    let deed = Deed { action: "dead.reveal", target: &target, reason: &act.reason, ..Deed::default() };
    act.actor().note(&client, &deed).await?;
    let letter = Letter::with_body(queue, &letter, mask::revealed(&letter.bytes()));
    view::html(&LetterPage::new(&act.state, Page::new(act.who, "queues"), letter, true))
}
