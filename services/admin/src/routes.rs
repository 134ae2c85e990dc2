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
use crate::{
    assets, cron, dead, deliveries, live, login, offers, people, queues, records, replays, socket, suppressions, sync,
    timeline, wallets, webhooks, workers,
};

/// Everybody who is logged in.
const LOOK: Rule = Rule::People(&[Viewer, Operator, Finance]);
/// Who steers queues, webhooks, jobs and matching.
const STEER: Rule = Rule::People(&[Operator]);
/// Who decides about money.
const MONEY: Rule = Rule::People(&[Finance]);
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

// Below the macros, which it uses.
mod calls;

/// For people.
static PAGES: &[Route] = &[
    get!("/", Rule::Anyone, "To the console", login::home),
    get!("/admin", Rule::Anyone, "To the console", login::home),
    get!("/admin/login", Rule::Anyone, "Log in", login::page),
    post!("/admin/login", Rule::Anyone, "Log in", login::enter),
    post!("/admin/logout", LOOK, "Log out", login::leave),
    get!("/admin/assets/{name}", Rule::Anyone, "Style and script", assets::serve),
    get!("/admin/workers", LOOK, "Workers, queues, what is wrong", workers::page),
    get!("/admin/workers/now", LOOK, "What changes by the second", live::now),
    get!("/admin/live", LOOK, "The same as a stream", live::events),
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
    get!("/admin/webhooks", LOOK, "Webhooks", webhooks::list),
    get!("/admin/webhooks/{id}", LOOK, "A webhook, masked", webhooks::page),
    post!("/admin/webhooks/{id}/reveal", REVEAL, "A webhook with its personal data", webhooks::reveal),
    post!("/admin/webhooks/{id}/preview", STEER, "Tell what a replay would do", webhooks::preview),
    post!("/admin/webhooks/{id}/replay", STEER, "Work a webhook off again", webhooks::replay),
    post!("/admin/webhook-replays", STEER, "Tell what replaying many webhooks would do", replays::prepare),
    get!(
        "/admin/webhook-replays/{id}",
        LOOK,
        "A replay of many webhooks: what it would do, what it did",
        replays::page
    ),
    get!("/admin/webhook-replays/{id}/now", LOOK, "What changes of it while it goes on", replays::now),
    post!("/admin/webhook-replays/{id}/start", STEER, "Replay many webhooks in the background", replays::start),
    post!("/admin/webhook-replays/{id}/abort", STEER, "Abort a replay of many webhooks", replays::abort),
    get!("/admin/deliveries", LOOK, "Messages to people", records::deliveries_page),
    get!("/admin/deliveries/{id}", LOOK, "A message and how such a one looks", deliveries::page),
    get!("/admin/deliveries/{id}/preview", LOOK, "A mail with sample values, for a frame", deliveries::preview),
    get!("/admin/suppressions", LOOK, "What is held back from an address", suppressions::page),
    post!("/admin/suppressions", STEER, "Hold messages back from an address", suppressions::add),
    post!("/admin/suppressions/remove", STEER, "Let messages to an address through again", suppressions::remove),
    get!("/admin/cron", LOOK, "Recurring jobs and their runs", cron::page),
    post!("/admin/cron/{job}/run", STEER, "Run a job now", cron::run),
    post!("/admin/cron/{job}/pause", STEER, "Pause a job", cron::pause),
    post!("/admin/cron/{job}/resume", STEER, "Resume a job", cron::resume),
    get!("/admin/sync", LOOK, "Pulls, transactions without a click, rows put aside", sync::page),
    post!("/admin/sync/{network}/pull", STEER, "Pull a network now", sync::pull),
    get!("/admin/unmatched/{id}", LOOK, "A transaction and the clicks it may belong to", sync::unmatched),
    post!("/admin/unmatched/{id}/assign", STEER, "Give a transaction to a click", sync::assign),
    get!("/admin/wallets", LOOK, "Find a shopper", wallets::list),
    get!("/admin/wallets/{id}", LOOK, "A wallet and its statement, masked", wallets::page),
    post!("/admin/wallets/{id}/reveal", REVEAL, "A wallet with whose it is", wallets::reveal),
    post!("/admin/wallets/{id}/freeze", MONEY, "Block withdrawals", wallets::freeze),
    post!("/admin/wallets/{id}/unfreeze", MONEY, "Allow withdrawals", wallets::unfreeze),
    post!("/admin/wallets/{id}/adjust", MONEY, "Ask for an adjustment", wallets::ask),
    get!("/admin/adjustments", LOOK, "Adjustments, open and decided", wallets::adjustments_page),
    post!("/admin/adjustments/{id}/approve", MONEY, "Approve another's adjustment", wallets::approve),
    post!("/admin/adjustments/{id}/refuse", MONEY, "Refuse another's adjustment", wallets::refuse),
    post!("/admin/wallets/{id}/repair", MONEY, "Ask for the repair of a balance", wallets::ask_repair),
    get!("/admin/repairs", LOOK, "Repairs of balances, open and decided", wallets::repairs_page),
    post!("/admin/repairs/{id}/approve", MONEY, "Approve another's repair", wallets::approve_repair),
    post!("/admin/repairs/{id}/refuse", MONEY, "Refuse another's repair", wallets::refuse_repair),
    get!("/admin/withdrawals", LOOK, "Withdrawals", wallets::withdrawals_page),
    get!("/admin/offers", LOOK, "Offers and merchants", offers::list),
    get!("/admin/offers/{id}", LOOK, "An offer with a test of its link", offers::page),
    get!("/admin/timeline", LOOK, "All that belongs to an id, an address or a number", timeline::page),
    get!("/admin/audit", LOOK, "What was done by whom and why", records::audit_page),
    get!("/admin/people", LOOK, "People and tokens", people::page),
    post!("/admin/people/{id}/end", STEER, "End a person's sessions", people::end_sessions),
    post!("/admin/tokens/{id}/revoke", STEER, "Make a token void", people::revoke),
];

/// For shoppers.
static SHOP: &[Route] =
    &[get!("/ws", Rule::Shopper, "What happens to a shopper's orders and cashback, live", socket::open)];

/// The whole table.
pub(crate) fn all() -> impl Iterator<Item = &'static Route> {
    PAGES.iter().chain(calls::API).chain(SHOP)
}

/// Who may use the route with this pattern; `None` when there is no such route.
pub(crate) fn rule(method: &Method, pattern: &str) -> Option<Rule> {
    all().find(|route| route.path == pattern && route.verb.word() == method.as_str()).map(|route| route.rule)
}

/// The methods by which the path is served.
pub(crate) fn methods(path: &str) -> Vec<&'static str> {
    let served = all().filter(|route| ResourceDef::new(route.path).is_match(path));
    let mut methods: Vec<_> = served.map(|route| route.verb.word()).collect();
    methods.sort_unstable();
    methods.dedup();
    methods
}

/// A query or a form that cannot be read.
fn unreadable(error: &impl std::fmt::Display, request: &HttpRequest) -> actix_web::Error {
    let text = format!("what was sent cannot be read: {error}");
    if access::is_api(request.path()) { ApiError::Invalid(text).into() } else { PageError::Input(text).into() }
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
            Rule::Shopper => (vec!["shopper"], None),
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
            Rule::Anyone | Rule::People(_) | Rule::Shopper => None,
        })
        .collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}
