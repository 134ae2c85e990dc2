//! The control API under `/_sim`: what tests, the demo and people tell the simulator.

mod books;
mod messages;
mod money;
mod webhooks;

use crate::faults::Fault;
use crate::pages;
use crate::provider::Provider;
use crate::providers::razorpay::payments::UnknownEvent;
use crate::providers::razorpay::payouts::MoveError;
use crate::providers::sendgrid::signing::{Pair, SigningError};
use crate::settings::{Settings, SettingsError};
use crate::sim::Shared;
use crate::transactions::BookError;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Query, ServiceConfig};
use actix_web::{HttpResponse, ResponseError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Why the control API refused a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error("the body is not what this call takes")]
    Body(#[source] serde_json::Error),
    #[error("the settings were not changed")]
    Settings(#[from] SettingsError),
    #[error("the books were not changed")]
    Book(#[from] BookError),
    #[error("the payment was not played")]
    Event(#[from] UnknownEvent),
    #[error("the payout was not moved")]
    Move(#[from] MoveError),
    #[error("there are no keys")]
    Keys(#[from] SigningError),
    #[error("{0}")]
    Refused(String),
    #[error("there is no {0}")]
    NotFound(String),
}

impl ResponseError for ControlError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotFound(_) | Self::Book(BookError::NotFound { .. }) | Self::Move(MoveError::NotFound(_)) => {
                StatusCode::NOT_FOUND
            }
            Self::Book(BookError::Duplicate { .. }) | Self::Move(MoveError::Forbidden { .. }) => StatusCode::CONFLICT,
            Self::Keys(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        HttpResponse::build(self.status_code()).json(json!({"error": text}))
    }
}

/// What a call gives back.
type Answer = Result<HttpResponse, ControlError>;

/// Reads a JSON body; an empty one counts as `{}`.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, ControlError> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(ControlError::Body)
}

/// The routes under `/_sim`.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/healthz", web::get().to(healthz))
        .route("/config", web::get().to(show_settings))
        .route("/config", web::post().to(change_settings))
        .route("/reset", web::post().to(reset))
        .route("/keys", web::get().to(keys))
        .route("/stats", web::get().to(stats))
        .route("/requests", web::get().to(requests))
        .route("/faults", web::get().to(list_faults))
        .route("/faults", web::post().to(add_fault))
        .route("/faults", web::delete().to(remove_faults))
        .configure(books::routes)
        .configure(money::routes)
        .configure(messages::routes)
        .configure(webhooks::routes)
        .configure(pages::routes)
        .default_service(web::to(|| async {
            Answer::Err(ControlError::NotFound("such call; see README.md".to_owned()))
        }));
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

async fn show_settings(sim: Shared) -> HttpResponse {
    let settings = sim.world().settings.clone();
    HttpResponse::Ok().json(settings)
}

async fn change_settings(sim: Shared, body: Bytes) -> Answer {
    let changes: Value = read(&body)?;
    let mut world = sim.world();
    world.settings = world.settings.with(changes)?;
    Ok(HttpResponse::Ok().json(&world.settings))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    /// Also puts the settings back to those of the start.
    #[serde(default)]
    settings: bool,
}

async fn reset(sim: Shared, body: Bytes) -> Answer {
    let asked: Reset = read(&body)?;
    let settings = if asked.settings {
        let given = serde_json::from_str(&sim.options.config).map_err(ControlError::Body)?;
        Some(Settings::default().with(given)?)
    } else {
        None
    };
    sim.reset(settings);
    Ok(HttpResponse::Ok().json(json!({"reset": true})))
}

async fn keys(sim: Shared) -> Answer {
    let generation = sim.world().settings.sendgrid_key_generation;
    let current = Pair::derive(sim.options.seed, generation)?.public_key()?;
    let mut all = Vec::new();
    for generation in 0..=generation.min(20) {
        all.push(Pair::derive(sim.options.seed, generation)?.public_key()?);
    }
    Ok(HttpResponse::Ok().json(json!({"sendgrid": {"public_key": current, "generation": generation, "all": all}})))
}

async fn stats(sim: Shared) -> Answer {
    let world = sim.world();
    Ok(HttpResponse::Ok().json(json!({
        "now": world.now(),
        "requests": world.journal.counts(),
        "messages": world.inbox.received(),
        "transactions": {
            "admitad": world.admitad_book.rows().len(),
            "vcommission": world.vcommission_book.rows().len(),
            "cuelinks": world.cuelinks_book.rows().len(),
        },
        "payouts": world.razorpay.payouts.len(),
        "payments": world.razorpay.payments.len(),
        "webhooks": {
            "delivered": world.deliveries.delivered, "failed": world.deliveries.failed,
            "pending": world.deliveries.pending(),
        },
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFilter {
    provider: Option<Provider>,
    path: Option<String>,
    after: Option<u64>,
}

async fn requests(sim: Shared, filter: Query<RequestFilter>) -> Answer {
    let entries = sim.world().journal.of(filter.provider, filter.path.as_deref(), filter.after.unwrap_or(0));
    let shown: Vec<_> = entries.into_iter().map(crate::journal::Entry::shown).collect();
    Ok(HttpResponse::Ok().json(json!({"count": shown.len(), "requests": shown})))
}

async fn list_faults(sim: Shared) -> Answer {
    let faults = sim.world().faults.list();
    Ok(HttpResponse::Ok().json(json!({"faults": faults})))
}

async fn add_fault(sim: Shared, body: Bytes) -> Answer {
    let fault: Fault = read(&body)?;
    if fault.times == Some(0) {
        return Err(ControlError::Refused("\"times\" must be at least 1".to_owned()));
    }
    if fault.status.is_some_and(|s| StatusCode::from_u16(s).is_err() || s < 200) {
        return Err(ControlError::Refused("\"status\" is not an HTTP status".to_owned()));
    }
    if fault.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
        return Err(ControlError::Refused("\"probability\" must be between 0 and 1".to_owned()));
    }
    let id = sim.world().faults.add(fault);
    Ok(HttpResponse::Created().json(json!({"id": id})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultFilter {
    provider: Option<Provider>,
    id: Option<u64>,
}

async fn remove_faults(sim: Shared, filter: Query<FaultFilter>) -> Answer {
    let removed = sim.world().faults.remove(filter.provider, filter.id);
    Ok(HttpResponse::Ok().json(json!({"removed": removed})))
}
