//! Payments that are played and payouts that are moved.

use super::{Answer, read};
use crate::providers::razorpay::{payments, payouts};
use crate::sim::{Shared, arc};
use actix_web::HttpResponse;
use actix_web::web::{self, Bytes, Path, ServiceConfig};
use serde::Deserialize;
use serde_json::json;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/payments", web::post().to(play))
        .route("/payments", web::get().to(payments))
        .route("/payouts", web::get().to(payouts))
        .route("/payouts/{id}/{status}", web::post().to(advance));
}

async fn play(sim: Shared, body: Bytes) -> Answer {
    let asked: payments::Play = read(&body)?;
    let (payment, order, told) = payments::play(&mut sim.world(), asked)?;
    let deliveries = arc(&sim).deliver(told);
    Ok(HttpResponse::Created().json(json!({
        "payment_id": payment.id, "order_id": order.id, "payment": payment, "order": order, "deliveries": deliveries,
    })))
}

async fn payments(sim: Shared) -> Answer {
    let world = sim.world();
    let state = &world.razorpay;
    Ok(HttpResponse::Ok().json(json!({"payments": state.payments, "orders": state.orders, "refunds": state.refunds})))
}

async fn payouts(sim: Shared) -> Answer {
    let world = sim.world();
    Ok(HttpResponse::Ok().json(json!({"payouts": world.razorpay.payouts})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    /// `status_details.reason`, such as `bank_account_closed`.
    #[serde(default)]
    reason: Option<String>,
}

async fn advance(sim: Shared, path: Path<(String, String)>, body: Bytes) -> Answer {
    let (id, status) = path.into_inner();
    let asked: Move = read(&body)?;
    let (payout, told) = payouts::advance(&mut sim.world(), &id, &status, asked.reason.as_deref())?;
    let deliveries = arc(&sim).deliver(told);
    Ok(HttpResponse::Ok().json(json!({"payout": payout, "deliveries": deliveries})))
}
