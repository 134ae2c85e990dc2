//! Webhooks: what came, what it was taken for, what it did; again with a preview.

mod command;

use std::str::FromStr;

use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Utc};
use domain::ids::{InvalidId, ReplayId, WebhookId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::webhooks::{Filter, Verdict};
use store::{StoreError, console, webhooks};

use crate::access::Who;
use crate::deed::Act;
use crate::error::PageError;
use crate::replays::{self, Run};
use crate::state::{Actor, Deed, State};
use crate::view::{self, Done, Page};
use crate::wall_time::WallTime;
use crate::{api, mask};

pub(crate) use self::command::Command;

/// A line of the list.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Line {
    /// The webhook.
    pub(crate) id: WebhookId,
    /// Where from.
    pub(crate) source: String,
    /// What the sender calls it.
    pub(crate) event: String,
    /// The sender's id.
    pub(crate) event_id: String,
    /// accepted, duplicate, conflict, malformed, rejected.
    pub(crate) verdict: String,
    /// Why.
    pub(crate) reason: String,
    /// When it came.
    pub(crate) received_at: DateTime<Utc>,
    /// When it was worked off.
    pub(crate) processed_at: Option<DateTime<Utc>>,
    /// What it did.
    pub(crate) effect: Option<String>,
}

/// Which webhooks.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Search {
    /// Of this source.
    pub(crate) source: String,
    /// With this verdict.
    pub(crate) verdict: String,
    /// `worked_off` (they had an effect) or `without_effect`.
    pub(crate) state: String,
    /// That came at this time or later; without a zone it is India's.
    pub(crate) since: WallTime,
    /// That came before this time.
    pub(crate) until: WallTime,
    /// Where to go on.
    pub(crate) cursor: String,
    /// How many, 1 to 200.
    pub(crate) limit: Option<u16>,
}

impl Search {
    /// The same search as an address; where to go on is not part of it.
    fn address(&self) -> String {
        let (since, until) = (self.since.field(), self.until.field());
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("source", &self.source),
            ("verdict", &self.verdict),
            ("state", &self.state),
            ("since", &since),
            ("until", &until),
        ] {
            if !value.is_empty() {
                pairs.append_pair(name, value);
            }
        }
        pairs.finish()
    }

    /// Which webhooks are meant, and one more than `limit` of them.
    fn filter(&self, limit: u16) -> Result<Filter<'static>, String> {
        Ok(Filter {
            before: place(&self.cursor, WebhookId::generate)?,
            source: known(&self.source, |word| SOURCES.into_iter().find(|source| *source == word))?,
            verdict: known(&self.verdict, |word| Verdict::ALL.into_iter().find(|verdict| verdict.word() == word))?,
            since: self.since.0,
            until: self.until.0,
            worked_off: known(&self.state, replays::worked_off)?,
            limit: i64::from(limit) + 1,
        })
    }
}

/// The value of a word that may be left out; a word that is not known must not mean everything.
pub(crate) fn known<T>(text: &str, find: impl Fn(&str) -> Option<T>) -> Result<Option<T>, String> {
    match text.trim() {
        "" => Ok(None),
        word => find(word).map(Some).ok_or_else(|| format!("{word:?} is not known here")),
    }
}

/// Where a list goes on: from the newest, unless it is said. What is no place must not mean the newest.
pub(crate) fn place<Id: FromStr<Err = InvalidId>>(cursor: &str, newest: impl FnOnce() -> Id) -> Result<Id, String> {
    match cursor {
        "" => Ok(newest()),
        place => place.parse().map_err(|error: InvalidId| error.to_string()),
    }
}

/// Senders.
pub(crate) const SOURCES: [&str; 7] =
    ["razorpay", "razorpayx", "admitad", "vcommission", "cuelinks", "sendgrid", "msg91"];

/// A page of webhooks, the newest first.
pub(crate) async fn lines<E: From<StoreError>>(
    state: &State,
    search: &Search,
    invalid: impl Fn(String) -> E,
) -> Result<api::Listing<Line>, E> {
    let limit = search.limit.unwrap_or(50).clamp(1, 200);
    let filter = search.filter(limit).map_err(invalid)?;
    let client = state.pool.get().await?;
    let found = webhooks::list(&client, &filter).await?;
    let lines = found.into_iter().map(|line| Line {
        id: line.id,
        source: line.source,
        event: line.event,
        event_id: line.event_id,
        verdict: line.verdict,
        reason: mask::text(&line.reason),
        received_at: line.received_at,
        processed_at: line.processed_at,
        effect: line.effect.as_deref().map(mask::text),
    });
    Ok(api::Listing::cut(lines.collect(), usize::from(limit), |line| line.id.to_string()))
}

#[derive(Template)]
#[template(path = "webhooks.html")]
struct WebhooksPage {
    page: Page,
    search: Search,
    list: api::Listing<Line>,
    runs: Vec<Run>,
}

/// The list.
pub(crate) async fn list(
    state: web::Data<State>,
    who: Who,
    query: web::Query<Search>,
) -> Result<HttpResponse, PageError> {
    let search = query.into_inner();
    let list = lines(&state, &search, PageError::Input).await?;
    let runs = replays::runs(&state, 10).await?;
    view::html(&WebhooksPage { page: Page::new(who, "webhooks"), search, list, runs })
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage {
    page: Page,
    webhook: console::Webhook,
    events: Vec<console::WebhookEvent>,
    body: String,
    revealed: bool,
}

impl WebhookPage {
    async fn read(state: &State, page: Page, id: WebhookId, revealed: bool) -> Result<Self, PageError> {
        let client = state.pool.get().await?;
        let webhook = console::webhook(&client, id).await?.ok_or(PageError::NotFound("webhook"))?;
        let events = console::webhook_events(&client, id).await?;
        let body = if revealed { mask::revealed(&webhook.body) } else { mask::body(&webhook.body) };
        Ok(Self { page, webhook, events, body, revealed })
    }

    fn can_be_replayed(&self) -> bool {
        Verdict::ALL.into_iter().any(|verdict| verdict.counts() && verdict.word() == self.webhook.verdict)
    }

    fn sha256(&self) -> String {
        hex::encode(&self.webhook.sha256)
    }
}

/// One webhook.
pub(crate) async fn page(
    state: web::Data<State>,
    who: Who,
    id: web::Path<String>,
    query: web::Query<Done>,
) -> Result<HttpResponse, PageError> {
    let page = Page::new(who, "webhooks").noting(query.done.as_deref());
    view::html(&WebhookPage::read(&state, page, view::id(&id, "webhook")?, false).await?)
}

/// One webhook with its personal data.
pub(crate) async fn reveal(act: Act, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    let id: WebhookId = view::id(&id, "webhook")?;
    let shown = WebhookPage::read(&act.state, Page::new(act.who.clone(), "webhooks"), id, true).await?;
    let target = format!("webhook:{id}");
    let client = act.state.pool.get().await?;
    let deed = Deed { action: "webhook.reveal", target: &target, reason: &act.reason, ..Deed::default() };
    act.actor().note(&client, &deed).await?;
    view::html(&shown)
}

/// Asks for a webhook to be worked off again, or to be told what that would do.
pub(crate) async fn ask_replay<E: From<StoreError>>(
    state: &State,
    actor: &Actor,
    id: WebhookId,
    dry_run: bool,
    reason: &str,
    refuse: impl Fn(Option<&'static str>) -> E,
) -> Result<ReplayId, E> {
    let mut client = state.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    let stored = webhooks::find(&transaction, id).await?.ok_or_else(|| refuse(None))?;
    if !stored.verdict.counts() {
        return Err(refuse(Some("only a webhook that was verified can be replayed")));
    }
    let replay = webhooks::replay(&transaction, id, &actor.name(), dry_run).await?;
    let target = format!("webhook:{id}");
    let action = if dry_run { "webhook.preview" } else { "webhook.replay" };
    let before = Some(serde_json::json!({ "processed": stored.processed }));
    let after = Some(serde_json::json!({ "replay": replay }));
    actor.note(&transaction, &Deed { action, target: &target, reason, before, after }).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(replay)
}

async fn again(act: Act, id: &str, dry_run: bool) -> Result<HttpResponse, PageError> {
    let id: WebhookId = view::id(id, "webhook")?;
    let refuse = |why: Option<&'static str>| {
        why.map_or(PageError::NotFound("webhook"), |why| PageError::Conflict(why.to_owned()))
    };
    ask_replay(&act.state, &act.actor(), id, dry_run, &act.reason, refuse).await?;
    Ok(view::go(format!("/admin/webhooks/{id}?done=requeued")))
}

/// Asks what a replay would do.
pub(crate) async fn preview(act: Act, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    again(act, &id, true).await
}

/// Asks for a replay.
pub(crate) async fn replay(act: Act, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    again(act, &id, false).await
}
