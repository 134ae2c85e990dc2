//! Razorpay and RazorpayX: orders, payments, refunds, payouts, and signed webhooks about them.

pub(crate) mod entities;
pub(crate) mod events;
pub(crate) mod payments;
pub(crate) mod payouts;
mod refunds;

use crate::sim::World;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::web::{self, ServiceConfig};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use entities::{Order, Payment, Payout, Refund};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;

/// What Razorpay remembers, in the order it came.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) orders: Vec<Order>,
    pub(crate) payments: Vec<Payment>,
    pub(crate) refunds: Vec<Refund>,
    pub(crate) payouts: Vec<Payout>,
    /// The body and the answer of the first call under each idempotency key.
    idempotency: HashMap<String, (Value, String)>,
}

/// The routes under `/razorpay`.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/v1/payouts", web::post().to(payouts::create))
        .route("/v1/payouts", web::get().to(payouts::list))
        .route("/v1/payouts/{id}", web::get().to(payouts::fetch))
        .route("/v1/orders", web::post().to(payments::create_order))
        .route("/v1/orders", web::get().to(payments::list_orders))
        .route("/v1/orders/{id}", web::get().to(payments::fetch_order))
        .route("/v1/orders/{id}/payments", web::get().to(payments::of_order))
        .route("/v1/payments", web::get().to(payments::list))
        .route("/v1/payments/{id}", web::get().to(payments::fetch))
        .route("/v1/payments/{id}/capture", web::post().to(payments::capture))
        .route("/v1/payments/{id}/refund", web::post().to(refunds::create))
        .route("/v1/refunds", web::get().to(refunds::list))
        .route("/v1/refunds/{id}", web::get().to(refunds::fetch))
        .default_service(web::to(|| async {
            refuse(StatusCode::BAD_REQUEST, "The requested URL was not found on the server.", "NA")
        }));
}

/// An error body.
fn refuse(status: StatusCode, description: &str, reason: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({"error": {
        "code": "BAD_REQUEST_ERROR", "description": description, "source": "business", "step": "NA",
        "reason": reason, "metadata": {},
    }}))
}

fn bad(description: &str) -> HttpResponse {
    refuse(StatusCode::BAD_REQUEST, description, "input_validation_failed")
}

fn unknown_id() -> HttpResponse {
    refuse(StatusCode::BAD_REQUEST, "The id provided does not exist", "NA")
}

/// Refuses a call whose key pair is missing or not accepted.
fn refusal(world: &World, headers: &HeaderMap) -> Option<HttpResponse> {
    let pair = headers
        .get(AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Basic "))
        .and_then(|v| STANDARD.decode(v.trim()).ok())
        .and_then(|v| String::from_utf8(v).ok())
        .filter(|pair| pair.split_once(':').is_some_and(|(id, secret)| !id.is_empty() && !secret.is_empty()));
    let accepted = &world.settings.keys.razorpay;
    match pair {
        Some(pair) if accepted.is_empty() || accepted.contains(&pair) => None,
        _ => Some(refuse(StatusCode::UNAUTHORIZED, "Authentication failed", "NA")),
    }
}

/// A page of entities, newest first, as `collection`.
fn collection<T: Serialize>(items: &[T]) -> HttpResponse {
    HttpResponse::Ok().json(json!({"entity": "collection", "count": items.len(), "items": items}))
}

/// Notes are an object, but an empty array when there are none.
fn notes(given: Option<&Value>) -> Value {
    match given {
        Some(Value::Object(members)) if !members.is_empty() => Value::Object(members.clone()),
        _ => json!([]),
    }
}
