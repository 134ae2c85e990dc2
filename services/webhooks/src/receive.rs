//! One request: known? allowed? small enough? genuine? readable? Then stored, and only then answered.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Bytes, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use chassis::http::HotRoute;
use chassis::problem::Problem;
use chassis::remote::{self, Networks};
use chrono::{DateTime, Utc};
use domain::clock::Clock;
use domain::ids::WebhookId;
use serde::Serializer;
use store::webhooks::{Arrived, Verdict};
use telemetry::metrics::{Counter, KeyValue};
use telemetry::propagation::Carried;

use crate::intake::{Intake, NotStored};
use crate::source::{Rejection, Request, WebhookSource, sha256};
use crate::sources::Sources;

/// Where webhooks come to.
const PREFIX: &str = "/webhooks/";
/// Nearly all that is asked for.
pub(crate) const HOT: &[HotRoute] = &[
    HotRoute { prefix: PREFIX, segments: 1, route: "/webhooks/{source}" },
    HotRoute { prefix: PREFIX, segments: 2, route: "/webhooks/{source}/{token}" },
];
/// The largest body that is taken.
const BODY_LIMIT: usize = 1 << 20;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);
/// What is kept of a body that is not believed.
const REJECTED_BODY: usize = 2_048;
/// Headers that are kept. None of them holds a secret.
static KEPT_HEADERS: [HeaderName; 8] = [
    HeaderName::from_static("content-type"),
    HeaderName::from_static("content-length"),
    HeaderName::from_static("user-agent"),
    HeaderName::from_static("x-razorpay-event-id"),
    HeaderName::from_static("x-twilio-email-event-webhook-timestamp"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("request-id"),
];
/// How much of each.
const KEPT_OF_HEADER: usize = 300;

/// What handlers need.
pub(crate) struct Reception {
    sources: Sources,
    intake: Intake,
    trusted: Networks,
    clock: Arc<dyn Clock>,
    noted: NoteLimit,
    received: Counter<u64>,
}

impl Reception {
    pub(crate) fn new(sources: Sources, intake: Intake, trusted: Networks, clock: Arc<dyn Clock>) -> Self {
        let received = telemetry::metrics::meter()
            .u64_counter("webhooks_received")
            .with_description("Webhooks by source and verdict")
            .build();
        Self { sources, intake, trusted, clock, noted: NoteLimit::default(), received }
    }

    fn count(&self, source: &'static str, verdict: &'static str) {
        self.received.add(1, &[KeyValue::new("source", source), KeyValue::new("verdict", verdict)]);
    }
}

/// The routes.
pub(crate) fn routes(config: &mut ServiceConfig, reception: web::Data<Reception>) {
    // What nothing else takes: told apart by a plain prefix, where a pattern would be matched by a regular expression. All methods
    // come here, so that a wrong one is answered with those that are right.
    config.app_data(reception).default_service(web::route().to(receive));
}

/// The source and the token that a path names.
fn named(path: &str) -> Option<(&str, Option<&str>)> {
    let rest = path.strip_prefix(PREFIX)?;
    let (source, token) = rest.split_once('/').map_or((rest, None), |(source, token)| (source, Some(token)));
    token.is_none_or(|token| !token.is_empty() && !token.contains('/')).then_some((source, token))
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown-source", "There is no such source of webhooks")
}

async fn receive(request: HttpRequest, payload: Payload, reception: web::Data<Reception>) -> HttpResponse {
    let path = request.match_info().as_str();
    let Some((source, token)) =
        named(path).and_then(|(slug, token)| reception.sources.get(slug).map(|source| (source, token)))
    else {
        return unknown().response();
    };
    if token.is_some() && !source.has_path_token() {
        return unknown().response();
    }
    let methods = source.methods();
    if !methods.contains(request.method()) {
        let mut response =
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "The source does not use this method").response();
        let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        if let Ok(allowed) = allowed.parse() {
            response.headers_mut().insert(ALLOW, allowed);
        }
        return response;
    }
    let body = match read(&request, payload, source).await {
        Ok(body) => body,
        Err(problem) => return problem.response(),
    };
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let remote = remote::address(peer, request.headers(), &reception.trusted);
    let incoming = Request {
        method: request.method(),
        headers: request.headers(),
        token,
        query: request.query_string(),
        body: &body,
        remote,
        received_at: reception.clock.now(),
    };
    take(&reception, source, &incoming).await
}

async fn read(request: &HttpRequest, payload: Payload, source: &dyn WebhookSource) -> Result<Bytes, Problem> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let encoded = header(CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity"));
    let media_type = header(CONTENT_TYPE).map(|text| text.split(';').next().unwrap_or_default().trim());
    let is_other =
        media_type.is_some_and(|given| !source.media_types().iter().any(|known| known.eq_ignore_ascii_case(given)));
    if request.method() == Method::POST && (encoded || is_other) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "The source does not send this media type",
        ));
    }
    match tokio::time::timeout(BODY_TIME, payload.to_bytes_limited(BODY_LIMIT)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_broken))) => Err(Problem::new(StatusCode::BAD_REQUEST, "body", "The body could not be read")),
        Ok(Err(_too_big)) => {
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is larger than 1 MiB"))
        }
        Err(_elapsed) => {
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", "The body did not arrive in time"))
        }
    }
}

async fn take(reception: &Reception, source: &dyn WebhookSource, incoming: &Request<'_>) -> HttpResponse {
    let verified = match source.verify(incoming) {
        Ok(verified) => verified,
        Err(rejection) => return reject(reception, source, incoming, rejection),
    };
    let id = WebhookId::generate();
    let mut arrived = Arrived {
        id,
        source: source.slug(),
        event_id: source.event_id(&verified),
        event: String::new(),
        body: source.kept(&verified),
        body_sha256: verified.sha256(),
        body_key: source.body_key(&verified),
        headers: kept_headers(incoming.headers),
        remote_address: incoming.remote.to_string(),
        given: None,
        promise: None,
        carried: Carried::current(),
        received_at: incoming.received_at,
    };
    match source.decode(&verified, id) {
        Ok(decoded) => {
            arrived.event = decoded.event;
            match decoded.effect.as_ref().map(crate::source::Effect::promise).transpose() {
                Ok(promise) => arrived.promise = promise,
                Err(error) => {
                    tracing::error!(error.chain = telemetry::chain(&error), "a job could not be written");
                    return unavailable();
                }
            }
        }
        Err(malformed) => {
            let reason = malformed.to_string().chars().take(300).collect();
            tracing::warn!(webhook.source = source.slug(), webhook.id = %id, reason, "verified, but not what the contract says");
            arrived.given = Some((Verdict::Malformed, reason));
        }
    }
    answer(reception, source.slug(), id, reception.intake.record(arrived).await)
}

fn answer(
    reception: &Reception,
    source: &'static str,
    id: WebhookId,
    stored: Result<Verdict, NotStored>,
) -> HttpResponse {
    let verdict = match stored {
        Ok(verdict) => verdict,
        Err(error) => {
            reception.count(source, "unavailable");
            tracing::warn!(
                webhook.source = source,
                error.chain = telemetry::chain(&error),
                "the sender is told to come again"
            );
            return unavailable();
        }
    };
    reception.count(source, verdict.word());
    match verdict {
        Verdict::Malformed => {
            Problem::new(StatusCode::BAD_REQUEST, "malformed", "The content is not what the contract says").response()
        }
        Verdict::Conflict => {
            tracing::error!(webhook.source = source, webhook.id = %id, "ALARM: a known event id came with another body");
            accepted(verdict)
        }
        Verdict::Accepted | Verdict::Duplicate | Verdict::Rejected => accepted(verdict),
    }
}

fn accepted(verdict: Verdict) -> HttpResponse {
    let body: &'static str = match verdict {
        Verdict::Accepted => r#"{"verdict":"accepted"}"#,
        Verdict::Duplicate => r#"{"verdict":"duplicate"}"#,
        Verdict::Conflict => r#"{"verdict":"conflict"}"#,
        Verdict::Malformed => r#"{"verdict":"malformed"}"#,
        Verdict::Rejected => r#"{"verdict":"rejected"}"#,
    };
    HttpResponse::Ok().insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json"))).body(body)
}

fn unavailable() -> HttpResponse {
    let title = "The webhook could not be stored; send it again";
    let mut response = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "try-again", title).response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

fn reject(
    reception: &Reception,
    source: &dyn WebhookSource,
    incoming: &Request<'_>,
    rejection: Rejection,
) -> HttpResponse {
    reception.count(source.slug(), Verdict::Rejected.word());
    if reception.noted.allows(incoming.remote, incoming.received_at) {
        tracing::warn!(webhook.source = source.slug(), reason = %rejection, "a webhook was rejected");
        let id = WebhookId::generate();
        let raw = incoming.raw();
        // What is not verified may hold anything, also a token that is nearly right: of a query nothing is kept.
        let body = if incoming.method == Method::GET { &[] } else { raw.get(..REJECTED_BODY).unwrap_or(raw) };
        reception.intake.note(Arrived {
            id,
            source: source.slug(),
            event_id: format!("rejected:{id}"),
            event: String::new(),
            body: body.to_vec(),
            body_sha256: sha256(raw),
            body_key: sha256(raw),
            headers: kept_headers(incoming.headers),
            remote_address: incoming.remote.to_string(),
            given: Some((Verdict::Rejected, rejection.to_string())),
            promise: None,
            carried: Carried::current(),
            received_at: incoming.received_at,
        });
    }
    Problem::new(StatusCode::UNAUTHORIZED, "not-verified", "The request could not be verified").response()
}

fn kept_headers(headers: &HeaderMap) -> String {
    let kept = KEPT_HEADERS.iter().filter_map(|name| {
        let text = headers.get(name)?.to_str().ok()?;
        // Visible ASCII, so any place is one between characters.
        Some((name.as_str(), text.get(..KEPT_OF_HEADER).unwrap_or(text)))
    });
    let mut json = Vec::with_capacity(256);
    let _written_to_memory = serde_json::Serializer::new(&mut json).collect_map(kept);
    String::from_utf8(json).unwrap_or_default()
}

/// Rejected requests are evidence, but whoever sends many of them must not fill the disk: so many a minute are logged per
/// client, and so many in all. The rest is counted.
#[derive(Default)]
struct NoteLimit(Mutex<Minute>);

#[derive(Default)]
struct Minute {
    number: i64,
    noted: u32,
    by_client: HashMap<IpAddr, u32>,
}

/// Rejected requests that are logged a minute.
const NOTED: u32 = 200;
/// The same for one client.
const NOTED_OF_CLIENT: u32 = 10;

impl NoteLimit {
    fn allows(&self, client: IpAddr, now: DateTime<Utc>) -> bool {
        // Of IPv6 a customer has a whole /64.
        let client = match client {
            IpAddr::V4(_) => client,
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        };
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now.timestamp().div_euclid(60);
        if minute.number != number {
            *minute = Minute { number, ..Minute::default() };
        }
        if minute.noted >= NOTED {
            return false;
        }
        let of_client = minute.by_client.entry(client).or_default();
        if *of_client >= NOTED_OF_CLIENT {
            return false;
        }
        *of_client += 1;
        minute.noted += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_requests_are_noted_so_many_a_minute() {
        let limit = NoteLimit::default();
        let start: DateTime<Utc> = "2026-11-24T10:00:00Z".parse().unwrap();
        let client = |n: u8| IpAddr::from([192, 0, 2, n]);
        let noted = |n: u8, now| (0..50).filter(|_| limit.allows(client(n), now)).count();
        assert_eq!(noted(1, start), 10);
        assert_eq!((2..=255).map(|n| noted(n, start)).sum::<usize>(), 190);
        assert_eq!(noted(1, start + chrono::TimeDelta::minutes(1)), 10);
        let six = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        let later = start + chrono::TimeDelta::minutes(2);
        assert_eq!((0..50).filter(|host| limit.allows(six(*host), later)).count(), 10, "one /64 is one client");
    }
}
