//! Every route of the console and of the API, with who may use it beside it. What is not in this table is not served, and
//! the description of the API is made from it.

use actix_web::HttpRequest;
use actix_web::dev::ResourceDef;
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::access::{self, Rule};
use crate::api::ApiError;
use crate::error::PageError;
use crate::role::Role::{self, Finance, Operator, Viewer};
use crate::{api, assets, dead, login, queues, workers};

/// Everybody who is logged in.
const LOOK: Rule = Rule::People(&[Viewer, Operator, Finance]);
/// Who steers queues, webhooks, jobs and matching.
const STEER: Rule = Rule::People(&[Operator]);
/// Who may see what is masked, saying why.
const REVEAL: Rule = Rule::People(&[Operator, Finance]);

/// A route.
pub(crate) struct Route {
    pub(crate) verb: Verb,
    pub(crate) path: &'static str,
    pub(crate) rule: Rule,
    /// One line for people.
    pub(crate) about: &'static str,
    handler: fn() -> actix_web::Route,
    pub(crate) forms: Forms,
}

/// The forms of what the API takes and gives.
#[derive(Clone, Copy, Default)]
pub(crate) struct Forms {
    /// The query.
    pub(crate) query: Option<Form>,
    /// The body.
    pub(crate) body: Option<Form>,
    /// The answer.
    pub(crate) answer: Option<Form>,
}

/// Makes the schema of a type.
pub(crate) type Form = fn(&mut SchemaGenerator) -> Schema;

fn form<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The methods that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Delete,
}

impl Verb {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

impl Route {
    const fn new(
        verb: Verb,
        path: &'static str,
        rule: Rule,
        about: &'static str,
        handler: fn() -> actix_web::Route,
    ) -> Self {
        let forms = Forms { query: None, body: None, answer: None };
        Self { verb, path, rule, about, handler, forms }
    }

    /// Says what the query holds.
    const fn asks<T: JsonSchema>(mut self) -> Self {
        self.forms.query = Some(form::<T>);
        self
    }

    /// Says what the body holds.
    const fn takes<T: JsonSchema>(mut self) -> Self {
        self.forms.body = Some(form::<T>);
        self
    }

    /// Says what the answer holds.
    const fn gives<T: JsonSchema>(mut self) -> Self {
        self.forms.answer = Some(form::<T>);
        self
    }
}

macro_rules! get {
    ($path:literal, $rule:expr, $about:literal, $handler:path) => {
        Route::new(Verb::Get, $path, $rule, $about, || web::get().to($handler))
    };
}

macro_rules! post {
    ($path:literal, $rule:expr, $about:literal, $handler:path) => {
        Route::new(Verb::Post, $path, $rule, $about, || web::post().to($handler))
    };
}

macro_rules! delete {
    ($path:literal, $rule:expr, $about:literal, $handler:path) => {
        Route::new(Verb::Delete, $path, $rule, $about, || web::delete().to($handler))
    };
}

const fn scope(scope: &'static str) -> Rule {
    Rule::Program(scope)
}

/// For people.
static PAGES: &[Route] = &[
    get!("/", Rule::Anyone, "To the console", login::home),
    get!("/admin", Rule::Anyone, "To the console", login::home),
    get!("/admin/login", Rule::Anyone, "Log in", login::page),
    post!("/admin/login", Rule::Anyone, "Log in", login::enter),
    post!("/admin/logout", LOOK, "Log out", login::leave),
    get!("/admin/assets/{name}", Rule::Anyone, "Style and script", assets::serve),
    get!("/admin/workers", LOOK, "Workers, queues, what is wrong", workers::page),
    get!("/admin/queues", LOOK, "Queues", queues::list),
    get!("/admin/queues/{queue}", LOOK, "A queue: what waits, what is put off", queues::page),
    post!("/admin/queues/{queue}/pause", STEER, "Pause a queue", queues::pause),
    post!("/admin/queues/{queue}/resume", STEER, "Resume a queue", queues::resume),
    get!("/admin/queues/{queue}/dead", LOOK, "Dead letters of a queue", dead::list),
    get!("/admin/queues/{queue}/dead/export", REVEAL, "Dead letters as CSV, masked", dead::export),
    post!("/admin/queues/{queue}/replays", STEER, "Replay many dead letters in the background", dead::start_replays),
    post!("/admin/queues/{queue}/replays/{id}/abort", STEER, "Abort a replay of many", dead::abort_replays),
    get!("/admin/queues/{queue}/dead/{id}", LOOK, "A dead letter, masked", dead::page),
    post!("/admin/queues/{queue}/dead/{id}/reveal", REVEAL, "A dead letter with its personal data", dead::reveal),
    post!("/admin/queues/{queue}/dead/{id}/replay", STEER, "Replay a dead letter", dead::replay),
    post!("/admin/queues/{queue}/dead/{id}/delete", STEER, "Delete a dead letter", dead::delete),
];

/// For programs.
static API: &[Route] = &[
    get!("/api/v1/openapi.json", Rule::Anyone, "This description", api::openapi::serve),
    get!("/api/v1/health/workers", scope("queues:read"), "Every worker, and services without one", api::queues::health)
        .gives::<workers::Health>(),
    get!("/api/v1/queue/stats", scope("queues:read"), "How every queue stands", api::queues::stats)
        .gives::<api::queues::Stats>(),
    get!("/api/v1/queue/{queue}", scope("queues:read"), "How a queue stands", api::queues::stat)
        .gives::<workers::QueueView>(),
    post!(
        "/api/v1/queue/{queue}",
        scope("queues:write"),
        "Push a job; its payload is checked first",
        api::queues::enqueue
    )
    .takes::<api::queues::NewJob>()
    .gives::<api::queues::Pushed>(),
    get!("/api/v1/queue/{queue}/peek", scope("queues:read"), "The first jobs that wait, masked", api::queues::peek)
        .asks::<api::queues::Limit>()
        .gives::<api::queues::Peek>(),
    post!("/api/v1/queue/{queue}/pause", scope("queues:write"), "Stop claiming", api::queues::pause)
        .takes::<api::Reason>(),
    post!("/api/v1/queue/{queue}/resume", scope("queues:write"), "Claim again", api::queues::resume)
        .takes::<api::Reason>(),
    get!("/api/v1/queue/{queue}/dead", scope("queues:read"), "Dead letters, the newest first, masked", api::dead::list)
        .asks::<api::dead::Search>()
        .gives::<api::Listing<dead::Letter>>(),
    get!(
        "/api/v1/queue/{queue}/dead/count",
        scope("queues:read"),
        "How many dead letters a search means",
        api::dead::count
    )
    .asks::<api::dead::Search>()
    .gives::<api::dead::Counted>(),
    get!("/api/v1/queue/{queue}/dead/{id}", scope("queues:read"), "A dead letter, masked", api::dead::show)
        .gives::<dead::Letter>(),
    post!(
        "/api/v1/queue/{queue}/dead/{id}/replay",
        scope("queues:write"),
        "Put it back on its queue",
        api::dead::replay
    )
    .takes::<api::Reason>(),
    delete!("/api/v1/queue/{queue}/dead/{id}", scope("queues:write"), "Delete it", api::dead::delete)
        .asks::<api::Reason>(),
    get!(
        "/api/v1/queue/{queue}/replays",
        scope("queues:read"),
        "Replays of many and how they stand",
        api::dead::replays
    )
    .gives::<api::Listing<dead::Run>>(),
    post!("/api/v1/queue/{queue}/replays", scope("queues:write"), "Replay all that a search means", api::dead::start)
        .takes::<api::dead::NewReplay>()
        .gives::<dead::Run>(),
    post!(
        "/api/v1/queue/{queue}/replays/{id}/abort",
        scope("queues:write"),
        "Abort a replay of many",
        api::dead::abort
    )
    .takes::<api::Reason>(),
];

/// The whole table.
pub(crate) fn all() -> impl Iterator<Item = &'static Route> {
    PAGES.iter().chain(API)
}

/// Who may use the route with this pattern; `None` when there is no such route.
pub(crate) fn rule(method: &Method, pattern: &str) -> Option<Rule> {
    all().find(|route| route.path == pattern && route.verb.word() == method.as_str()).map(|route| route.rule)
}

/// Whether the path is served, by whatever method.
pub(crate) fn knows(path: &str) -> bool {
    all().any(|route| ResourceDef::new(route.path).is_match(path))
}

/// A query or a form that cannot be read.
fn unreadable(error: &impl std::fmt::Display, request: &HttpRequest) -> actix_web::Error {
    let text = format!("what was sent cannot be read: {error}");
    if request.path().starts_with("/api/") { ApiError::Invalid(text).into() } else { PageError::Input(text).into() }
}

/// Serves the table.
pub(crate) fn configure(config: &mut ServiceConfig) {
    config
        .app_data(web::QueryConfig::default().error_handler(|error, request| unreadable(&error, request)))
        .app_data(web::FormConfig::default().error_handler(|error, request| unreadable(&error, request)))
        .app_data(web::PathConfig::default().error_handler(|error, request| unreadable(&error, request)));
    config.service(web::scope("").wrap(from_fn(access::check)).configure(|inner| {
        for route in all() {
            inner.route(route.path, (route.handler)());
        }
    }));
}

/// The table as lines of JSON, for tests and for people who check who may what.
pub(crate) fn listing() -> String {
    let line = |route: &Route| {
        let (roles, scope): (Vec<&str>, Option<&str>) = match route.rule {
            Rule::Anyone => (Vec::new(), None),
            Rule::People(roles) => (roles.iter().map(|role: &Role| role.word()).collect(), None),
            Rule::Program(scope) => (Vec::new(), Some(scope)),
        };
        serde_json::json!({
            "method": route.verb.word(),
            "path": route.path,
            "anyone": route.rule == Rule::Anyone,
            "roles": roles,
            "scope": scope,
            "about": route.about,
        })
        .to_string()
            + "\n"
    };
    all().map(line).collect()
}

/// Every scope a token can have.
pub(crate) fn scopes() -> Vec<&'static str> {
    let mut scopes: Vec<_> = all()
        .filter_map(|route| match route.rule {
            Rule::Program(scope) => Some(scope),
            Rule::Anyone | Rule::People(_) => None,
        })
        .collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}
