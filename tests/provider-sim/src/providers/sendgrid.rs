//! SendGrid: mail send, and the signed Event Webhook.

pub(crate) mod events;
mod request;
pub(crate) mod signing;

use crate::inbox::{Channel, Message};
use crate::provider::Provider;
use crate::sim::{Shared, World, arc};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use request::{Address, Mail, Problem};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// What SendGrid remembers.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Addresses that bounced, complained or left: mail to them is dropped.
    pub(crate) suppressed: HashSet<String>,
    /// Events that wait for the next batch.
    pub(crate) events: Vec<Value>,
    /// A batch is about to leave.
    pub(crate) flushing: bool,
}

/// The routes under `/sendgrid`.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/v3/mail/send", web::post().to(send))
        .route("/v3/mail/batch", web::post().to(batch_id))
        .route("/v3/user/webhooks/event/settings/signed", web::get().to(public_key))
        .default_service(web::to(|| async { refuse(StatusCode::NOT_FOUND, "not found", None) }));
}

fn refuse(status: StatusCode, message: &str, field: Option<&str>) -> HttpResponse {
    HttpResponse::build(status).json(json!({"errors": [{"message": message, "field": field, "help": null}]}))
}

/// Refuses a call whose key is missing or not accepted.
fn refusal(world: &World, headers: &HeaderMap) -> Option<HttpResponse> {
    let key = headers
        .get(AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "))
        .map(str::trim)
        .filter(|key| !key.is_empty());
    let accepted = &world.settings.keys.sendgrid;
    match key {
        Some(key) if accepted.is_empty() || accepted.iter().any(|k| k == key) => None,
        _ => Some(refuse(
            StatusCode::UNAUTHORIZED,
            "The provided authorization grant is invalid, expired, or revoked",
            None,
        )),
    }
}

async fn batch_id(sim: Shared, request: HttpRequest) -> HttpResponse {
    let mut world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers()) {
        return refusal;
    }
    HttpResponse::Created().json(json!({"batch_id": world.ids.base62(22)}))
}

async fn public_key(sim: Shared, request: HttpRequest) -> HttpResponse {
    let generation = {
        let world = sim.world();
        if let Some(refusal) = refusal(&world, request.headers()) {
            return refusal;
        }
        world.settings.sendgrid_key_generation
    };
    match signing::Pair::derive(sim.options.seed, generation).and_then(|pair| pair.public_key()) {
        Ok(key) => HttpResponse::Ok().json(json!({"public_key": key})),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string(), None),
    }
}

async fn send(sim: Shared, request: HttpRequest, body: Bytes) -> HttpResponse {
    if let Some(refusal) = refusal(&sim.world(), request.headers()) {
        return refusal;
    }
    if !crate::gate::is_json(request.headers()) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type should be application/json.", None);
    }
    // Parsing happens outside of the lock: a mail is some 20 kB and there are thousands a second.
    let mail = match Mail::read(&body, sim.world().now()) {
        Ok(mail) => mail,
        Err(problems) => return bad_request(&problems),
    };
    let sandbox = mail.is_sandbox();
    let mut world = sim.world();
    let message_id = world.ids.base62(22);
    let events_wanted = !sandbox && !world.settings.sendgrid_event_url.is_empty();
    for (number, (personalization, to)) in mail.envelopes().enumerate() {
        let message = message(&world, &mail, personalization, to, &message_id, sandbox);
        if events_wanted {
            let happened = events::of_message(&mut world, &message, &format!("{message_id}.recvd-{number}"));
            world.sendgrid.events.extend(happened);
        }
        world.inbox.deliver(message);
    }
    drop(world);
    if events_wanted {
        events::flush_soon(&arc(&sim));
    }
    if sandbox {
        return HttpResponse::Ok().finish();
    }
    HttpResponse::Accepted().insert_header(("X-Message-Id", message_id)).finish()
}

fn bad_request(problems: &[Problem]) -> HttpResponse {
    let errors: Vec<Value> =
        problems.iter().map(|p| json!({"message": p.message, "field": p.field, "help": null})).collect();
    HttpResponse::BadRequest().json(json!({"errors": errors}))
}

/// The mail as one receiver has it.
fn message(
    world: &World,
    mail: &Mail,
    envelope: &request::Personalization,
    to: &Address,
    id: &str,
    sandbox: bool,
) -> Message {
    let mut args: Map<String, Value> = mail.custom_args.clone();
    args.extend(envelope.custom_args.clone());
    if let Some(data) = &envelope.dynamic_template_data {
        args.insert("dynamic_template_data".to_owned(), data.clone());
    }
    let mut headers = mail.headers.clone();
    headers.extend(envelope.headers.clone());
    Message {
        id: 0,
        at: world.now(),
        channel: Channel::Email,
        provider: Provider::Sendgrid,
        provider_id: id.to_owned(),
        to: to.email.clone(),
        to_name: to.name.clone(),
        from: mail.from.as_ref().map(Address::shown).unwrap_or_default(),
        subject: envelope.subject.clone().or_else(|| mail.subject.clone()),
        text: mail.content_of("text/plain"),
        html: mail.content_of("text/html"),
        template: mail.template_id.clone(),
        categories: mail.categories.clone(),
        args,
        headers,
        sandbox,
    }
}
