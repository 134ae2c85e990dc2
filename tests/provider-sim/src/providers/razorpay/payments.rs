//! Orders and payments.

use super::entities::{Order, Payment};
use super::{bad, collection, events, notes, refusal, unknown_id};
use crate::deliveries::Draft;
use crate::providers::query::Params;
use crate::sim::{Shared, World, arc};
use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize)]
struct NewOrder {
    amount: i64,
    currency: String,
    receipt: Option<String>,
    notes: Option<Value>,
}

pub(super) async fn create_order(sim: Shared, request: HttpRequest, body: Bytes) -> HttpResponse {
    let mut world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers()) {
        return refusal;
    }
    let asked: NewOrder = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => return bad(&error.to_string()),
    };
    if asked.amount < 100 {
        return bad("Order amount less than minimum amount allowed");
    }
    if asked.receipt.as_ref().is_some_and(|r| r.chars().count() > 40) {
        return bad("The receipt may not be greater than 40 characters.");
    }
    let id = world.ids.razorpay("order");
    let order = order(&world, id, asked.amount, asked.currency, asked.receipt, asked.notes.as_ref());
    world.razorpay.orders.push(order.clone());
    HttpResponse::Ok().json(order)
}

fn order(
    world: &World,
    id: String,
    amount: i64,
    currency: String,
    receipt: Option<String>,
    given: Option<&Value>,
) -> Order {
    Order {
        id,
        entity: "order",
        amount,
        amount_paid: 0,
        amount_due: amount,
        currency,
        receipt,
        offer_id: None,
        status: "created".to_owned(),
        attempts: 0,
        notes: notes(given),
        created_at: world.now().timestamp(),
    }
}

/// What `POST /_sim/payments` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Play {
    pub(crate) amount_paise: i64,
    #[serde(default)]
    pub(crate) currency: Option<String>,
    /// Another order's id, known or new.
    #[serde(default)]
    pub(crate) order_id: Option<String>,
    #[serde(default)]
    pub(crate) payment_id: Option<String>,
    #[serde(default)]
    pub(crate) order_receipt: Option<String>,
    #[serde(default)]
    pub(crate) notes: Option<Value>,
    #[serde(default)]
    pub(crate) method: Option<String>,
    #[serde(default)]
    pub(crate) email: Option<String>,
    #[serde(default)]
    pub(crate) contact: Option<String>,
    /// Only this event.
    #[serde(default)]
    pub(crate) event: Option<String>,
    /// Just these events, in this order.
    #[serde(default)]
    pub(crate) events: Option<Vec<String>>,
}

impl Play {
    fn currency(&self) -> String {
        self.currency.clone().unwrap_or_else(|| "INR".to_owned())
    }
}

/// The events of a payment that goes well.
const USUAL: &[&str] = &["payment.authorized", "payment.captured", "order.paid"];

/// Plays a payment, state and webhooks.
pub(crate) fn play(world: &mut World, mut play: Play) -> Result<(Payment, Order, Vec<Draft>), UnknownEvent> {
    let names = events_of(play.event.take(), play.events.take())?;
    let order_id = play.order_id.take().unwrap_or_else(|| world.ids.razorpay("order"));
    let payment_id = play.payment_id.take().unwrap_or_else(|| world.ids.razorpay("pay"));
    add_order(world, &order_id, &play);
    add_payment(world, &payment_id, &order_id, &play);
    let told: Vec<Draft> = names.iter().filter_map(|event| happen(world, event, &payment_id)).collect();
    let payment = world.razorpay.payments.iter().find(|p| p.id == payment_id).cloned();
    let order = world.razorpay.orders.iter().find(|o| o.id == order_id).cloned();
    payment.zip(order).map(|(payment, order)| (payment, order, told)).ok_or(UnknownEvent(payment_id))
}

/// The events that are asked for, or the usual ones.
fn events_of(one: Option<String>, several: Option<Vec<String>>) -> Result<Vec<String>, UnknownEvent> {
    let names = several.or_else(|| one.map(|event| vec![event]));
    let names = names.unwrap_or_else(|| USUAL.iter().map(|e| (*e).to_owned()).collect());
    let known = ["payment.failed", "payment.pending"];
    if let Some(unknown) = names.iter().find(|e| !USUAL.contains(&e.as_str()) && !known.contains(&e.as_str())) {
        return Err(UnknownEvent(unknown.clone()));
    }
    Ok(names)
}

/// Adds the order of this id, unless it is known.
fn add_order(world: &mut World, id: &str, play: &Play) {
    if world.razorpay.orders.iter().any(|o| o.id == id) {
        return;
    }
    let (currency, receipt) = (play.currency(), play.order_receipt.clone());
    let new = order(world, id.to_owned(), play.amount_paise, currency, receipt, play.notes.as_ref());
    world.razorpay.orders.push(new);
}

/// Adds the payment of this id, unless it is known.
fn add_payment(world: &mut World, id: &str, order_id: &str, play: &Play) {
    if world.razorpay.payments.iter().any(|p| p.id == id) {
        return;
    }
    let order_notes = world.razorpay.orders.iter().find(|o| o.id == order_id).map(|o| o.notes.clone());
    let or = |given: Option<&str>, usual: &str| given.unwrap_or(usual).to_owned();
    let payment = Payment {
        id: id.to_owned(),
        entity: "payment",
        amount: play.amount_paise,
        currency: play.currency(),
        base_amount: play.amount_paise,
        status: "created".to_owned(),
        order_id: Some(order_id.to_owned()),
        invoice_id: None,
        international: false,
        method: or(play.method.as_deref(), "upi"),
        amount_refunded: 0,
        amount_transferred: 0,
        refund_status: None,
        captured: false,
        description: None,
        card_id: None,
        bank: None,
        wallet: None,
        vpa: Some("asha@exampleupi".to_owned()),
        email: or(play.email.as_deref(), "asha@example.in"),
        contact: or(play.contact.as_deref(), "+919800000001"),
        notes: play.notes.as_ref().map(|n| notes(Some(n))).or(order_notes).unwrap_or_else(|| json!([])),
        fee: None,
        tax: None,
        error_code: None,
        error_description: None,
        error_source: None,
        error_step: None,
        error_reason: None,
        acquirer_data: json!({"rrn": world.ids.digits(12)}),
        created_at: world.now().timestamp(),
    };
    world.razorpay.payments.push(payment);
}

/// An event that a payment does not have.
#[derive(Debug, thiserror::Error)]
#[error("a payment has no event \"{0}\" here; POST /_sim/webhooks/custom sends any")]
pub(crate) struct UnknownEvent(String);

/// Lets an event happen to a payment: its state first, then the webhook with the snapshot.
fn happen(world: &mut World, event: &str, payment_id: &str) -> Option<Draft> {
    let payment = world.razorpay.payments.iter_mut().find(|p| p.id == payment_id)?;
    let order = world.razorpay.orders.iter_mut().find(|o| Some(&o.id) == payment.order_id.as_ref());
    match event {
        // An authorisation that is told late does not undo a capture.
        "payment.authorized" if !payment.captured => "authorized".clone_into(&mut payment.status),
        "payment.captured" | "order.paid" => captured(payment),
        "payment.failed" => {
            "failed".clone_into(&mut payment.status);
            payment.error_code = Some("BAD_REQUEST_ERROR".to_owned());
            payment.error_description = Some("Payment was not completed on time".to_owned());
            payment.error_source = Some("customer".to_owned());
            payment.error_step = Some("payment_authentication".to_owned());
            payment.error_reason = Some("payment_timed_out".to_owned());
        }
        _ => {}
    }
    let payment = payment.clone();
    let order = order.map(|order| {
        order.attempts = order.attempts.max(1);
        if payment.captured {
            "paid".clone_into(&mut order.status);
            order.amount_paid = payment.amount;
            order.amount_due = order.amount - payment.amount;
        } else if order.status == "created" {
            "attempted".clone_into(&mut order.status);
        }
        order.clone()
    });
    let mut entities = vec![("payment", json!(payment))];
    if event == "order.paid" {
        entities.extend(order.map(|order| ("order", json!(order))));
    }
    events::draft(world, event, &entities)
}

fn captured(payment: &mut Payment) {
    "captured".clone_into(&mut payment.status);
    payment.captured = true;
    payment.error_code = None;
    payment.error_description = None;
    payment.error_source = None;
    payment.error_step = None;
    payment.error_reason = None;
    payment.fee = Some(payment.amount.saturating_mul(236) / 10_000);
    payment.tax = Some(payment.amount.saturating_mul(36) / 10_000);
}

pub(super) async fn capture(sim: Shared, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let mut world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers()) {
        return refusal;
    }
    match world.razorpay.payments.iter().find(|p| p.id == *id).map(|p| p.captured) {
        None => return unknown_id(),
        Some(true) => return bad("This payment has already been captured"),
        Some(false) => {}
    }
    let told: Vec<Draft> =
        ["payment.captured", "order.paid"].iter().filter_map(|event| happen(&mut world, event, &id)).collect();
    let payment = world.razorpay.payments.iter().find(|p| p.id == *id).cloned();
    drop(world);
    arc(&sim).deliver(told);
    payment.map_or_else(unknown_id, |payment| HttpResponse::Ok().json(payment))
}

/// Answers with what `find` finds.
pub(super) fn one<T: Serialize>(
    sim: &Shared,
    request: &HttpRequest,
    find: impl FnOnce(&World) -> Option<T>,
) -> HttpResponse {
    let world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers()) {
        return refusal;
    }
    find(&world).map_or_else(unknown_id, |entity| HttpResponse::Ok().json(entity))
}

/// Answers with a page of what `all` gives.
pub(super) fn many<T: Serialize>(
    sim: &Shared,
    request: &HttpRequest,
    all: impl FnOnce(&World) -> Vec<T>,
) -> HttpResponse {
    let query = Params::parse(request.query_string());
    let world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers()) {
        return refusal;
    }
    let (count, skip) = match (query.number("count"), query.number("skip")) {
        (Ok(count), Ok(skip)) => (count.unwrap_or(10).min(100), skip.unwrap_or(0)),
        (Err(error), _) | (_, Err(error)) => return bad(&error.to_string()),
    };
    let page: Vec<T> = all(&world).into_iter().rev().skip(skip).take(count).collect();
    collection(&page)
}

pub(super) async fn fetch_order(sim: Shared, request: HttpRequest, id: Path<String>) -> HttpResponse {
    one(&sim, &request, |world| world.razorpay.orders.iter().find(|o| o.id == *id).cloned())
}

pub(super) async fn list_orders(sim: Shared, request: HttpRequest) -> HttpResponse {
    let receipt = Params::parse(request.query_string()).get("receipt").map(str::to_owned);
    many(&sim, &request, |world| {
        let wanted = |o: &&Order| receipt.is_none() || o.receipt == receipt;
        world.razorpay.orders.iter().filter(wanted).cloned().collect()
    })
}

pub(super) async fn of_order(sim: Shared, request: HttpRequest, id: Path<String>) -> HttpResponse {
    many(&sim, &request, |world| {
        world.razorpay.payments.iter().filter(|p| p.order_id.as_ref() == Some(&*id)).cloned().collect()
    })
}

pub(super) async fn fetch(sim: Shared, request: HttpRequest, id: Path<String>) -> HttpResponse {
    one(&sim, &request, |world| world.razorpay.payments.iter().find(|p| p.id == *id).cloned())
}

pub(super) async fn list(sim: Shared, request: HttpRequest) -> HttpResponse {
    many(&sim, &request, |world| world.razorpay.payments.clone())
}
