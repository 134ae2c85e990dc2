//! The pages for people: inbox, messages, clicks, webhooks, and the merchants' shops.

use crate::deliveries::Delivery;
use crate::inbox::{Filter, Message};
use crate::sim::Shared;
use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use actix_web::web::{self, Path, Query, ServiceConfig};
use askama::Template;
use chrono::{DateTime, Utc};
use std::sync::Arc;

/// Rows a page shows.
const SHOWN: usize = 200;

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/inbox", web::get().to(inbox))
        .route("/inbox/{id}", web::get().to(message))
        .route("/inbox/{id}/html", web::get().to(message_html))
        .route("/activity", web::get().to(activity));
}

/// Renders a page, or says why it cannot be.
pub(crate) fn render(page: &impl Template) -> HttpResponse {
    match page.render() {
        Ok(html) => HttpResponse::Ok().content_type("text/html; charset=utf-8").body(html),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

/// A merchant's landing page.
#[derive(Template)]
#[template(path = "shop.html")]
pub(crate) struct Shop {
    pub(crate) merchant: String,
    pub(crate) target: String,
    pub(crate) network: String,
    pub(crate) sub_id: String,
    pub(crate) click_id: String,
}

#[derive(Template)]
#[template(path = "inbox.html")]
struct InboxPage {
    rows: Vec<InboxRow>,
    received: u64,
    to: String,
    channel: String,
}

struct InboxRow {
    message: Arc<Message>,
    at: String,
    summary: String,
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage {
    message: Arc<Message>,
    at: String,
    args: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "activity.html")]
struct ActivityPage {
    clicks: Vec<ClickRow>,
    webhooks: Vec<WebhookRow>,
}

struct ClickRow {
    at: String,
    network: &'static str,
    campaign: String,
    sub_ids: String,
    target: String,
    landed: String,
}

struct WebhookRow {
    id: u64,
    at: String,
    source: &'static str,
    event: String,
    state: String,
    answers: String,
    resend_of: String,
}

/// Times on the pages are India's.
fn local(at: DateTime<Utc>) -> String {
    at.with_timezone(&crate::clock::ist()).format("%d %b %H:%M:%S").to_string()
}

pub(crate) async fn home() -> HttpResponse {
    HttpResponse::Found().insert_header((LOCATION, "/_sim/inbox")).finish()
}

async fn inbox(sim: Shared, filter: Query<Filter>) -> HttpResponse {
    let (messages, received) = {
        let world = sim.world();
        (world.inbox.matching(&filter), world.inbox.received())
    };
    let rows = messages
        .into_iter()
        .take(SHOWN)
        .map(|message| InboxRow { at: local(message.at), summary: summary(&message), message })
        .collect();
    render(&InboxPage {
        rows,
        received,
        to: filter.to.clone().unwrap_or_default(),
        channel: filter.channel.clone().unwrap_or_default(),
    })
}

fn summary(message: &Message) -> String {
    let text = message.subject.as_deref().or(message.text.as_deref()).or(message.template.as_deref());
    text.unwrap_or("(no subject)").chars().take(160).collect()
}

async fn message(sim: Shared, id: Path<u64>) -> HttpResponse {
    let Some(message) = sim.world().inbox.get(*id) else {
        return HttpResponse::NotFound().body("no such message, or too long ago");
    };
    let shown = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let args = message.args.iter().chain(&message.headers).map(|(n, v)| (n.clone(), shown(v))).collect();
    render(&MessagePage { at: local(message.at), args, message })
}

/// The HTML part by itself, for the frame: no scripts, nothing fetched from elsewhere but pictures.
async fn message_html(sim: Shared, id: Path<u64>) -> HttpResponse {
    let html = sim.world().inbox.get(*id).and_then(|m| m.html.clone());
    match html {
        Some(html) => HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .insert_header(("Content-Security-Policy", "sandbox allow-popups; script-src 'none'; frame-src 'none'"))
            .body(html),
        None => HttpResponse::NotFound().body("no HTML part"),
    }
}

async fn activity(sim: Shared) -> HttpResponse {
    let world = sim.world();
    let clicks = world.clicks.latest(SHOWN);
    let webhooks: Vec<Delivery> = world.deliveries.iter().rev().take(SHOWN).cloned().collect();
    drop(world);
    let clicks = clicks
        .into_iter()
        .map(|click| ClickRow {
            at: local(click.at),
            network: click.network.name(),
            campaign: click.campaign,
            sub_ids: click.sub_ids.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" "),
            target: click.target.unwrap_or_default(),
            landed: click.landed_at.map(local).unwrap_or_default(),
        })
        .collect();
    let webhooks = webhooks
        .into_iter()
        .map(|delivery| WebhookRow {
            id: delivery.id,
            at: local(delivery.created_at),
            source: delivery.draft.source.name(),
            answers: delivery
                .attempts
                .iter()
                .map(|a| a.status.map_or_else(|| a.error.clone().unwrap_or_default(), |s| s.to_string()))
                .collect::<Vec<_>>()
                .join(", "),
            event: delivery.draft.event,
            state: format!("{:?}", delivery.state).to_lowercase(),
            resend_of: delivery.resend_of.map(|id| format!("again of {id}")).unwrap_or_default(),
        })
        .collect();
    render(&ActivityPage { clicks, webhooks })
}
