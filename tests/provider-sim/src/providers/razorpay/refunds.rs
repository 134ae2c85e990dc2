//! Refunds of payments.

use super::entities::{Payment, Refund};
use super::payments::{many, one};
use super::{bad, events, notes, refusal, unknown_id};
use crate::deliveries::Draft;
use crate::sim::{Shared, World, arc};
use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Default, Deserialize)]
#[serde(default)]
struct NewRefund {
    amount: Option<i64>,
    speed: Option<String>,
    notes: Option<Value>,
    receipt: Option<String>,
}

impl NewRefund {
    /// Without a body it is all that is left.
    fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        if body.is_empty() { Ok(Self::default()) } else { serde_json::from_slice(body) }
    }

    /// A refund that has just begun.
    fn begin(self, id: String, amount: i64, payment: &Payment, now: i64) -> Refund {
        Refund {
            id,
            entity: "refund",
            amount,
            currency: payment.currency.clone(),
            payment_id: payment.id.clone(),
            notes: notes(self.notes.as_ref()),
            receipt: self.receipt,
            acquirer_data: json!({"arn": null}),
            batch_id: None,
            status: "pending".to_owned(),
            speed_requested: self.speed.unwrap_or_else(|| "normal".to_owned()),
            speed_processed: "normal".to_owned(),
            created_at: now,
        }
    }
}

pub(super) async fn create(sim: Shared, request: HttpRequest, id: Path<String>, body: Bytes) -> HttpResponse {
    let asked = match NewRefund::read(&body) {
        Ok(asked) => asked,
        Err(error) => return bad(&error.to_string()),
    };
    let mut world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers()) {
        return refusal;
    }
    let (refund_id, arn, now) = (world.ids.razorpay("rfnd"), world.ids.digits(14), world.now().timestamp());
    let Some(payment) = world.razorpay.payments.iter_mut().find(|p| p.id == *id) else {
        return unknown_id();
    };
    let amount = match give_back(payment, asked.amount) {
        Ok(amount) => amount,
        Err(why) => return bad(why),
    };
    let payment = payment.clone();
    let refund = asked.begin(refund_id, amount, &payment, now);
    let answer = refund.clone();
    let told = carry_out(&mut world, refund, &payment, &arn);
    drop(world);
    arc(&sim).deliver(told);
    HttpResponse::Ok().json(answer)
}

/// Takes an amount, or all that is left, off a payment; says how much, or why not.
fn give_back(payment: &mut Payment, asked: Option<i64>) -> Result<i64, &'static str> {
    if !payment.captured {
        return Err("The payment status should be captured for action to be taken");
    }
    let left = payment.amount - payment.amount_refunded;
    let amount = asked.unwrap_or(left);
    if left <= 0 {
        return Err("The payment has been fully refunded already");
    }
    if !(1..=left).contains(&amount) {
        return Err("The total refund amount is greater than the refund payment amount");
    }
    payment.amount_refunded += amount;
    let full = payment.amount_refunded == payment.amount;
    payment.refund_status = Some(if full { "full" } else { "partial" }.to_owned());
    if full {
        "refunded".clone_into(&mut payment.status);
    }
    Ok(amount)
}

/// Carries a refund out at once; gives the webhooks of its beginning and of its end.
fn carry_out(world: &mut World, mut refund: Refund, payment: &Payment, arn: &str) -> Vec<Draft> {
    let created = [("refund", json!(refund)), ("payment", json!(payment))];
    "processed".clone_into(&mut refund.status);
    refund.acquirer_data = json!({"arn": arn});
    let processed = [("refund", json!(refund)), ("payment", json!(payment))];
    world.razorpay.refunds.push(refund);
    let steps = [("refund.created", created), ("refund.processed", processed)];
    steps.iter().filter_map(|(event, entities)| events::draft(world, event, entities)).collect()
}

pub(super) async fn fetch(sim: Shared, request: HttpRequest, id: Path<String>) -> HttpResponse {
    one(&sim, &request, |world| world.razorpay.refunds.iter().find(|r| r.id == *id).cloned())
}

pub(super) async fn list(sim: Shared, request: HttpRequest) -> HttpResponse {
    many(&sim, &request, |world| world.razorpay.refunds.clone())
}
