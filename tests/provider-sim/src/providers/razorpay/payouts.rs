//! Payouts: created under an idempotency key, then walked through their life.

use super::entities::{Payout, StatusDetails};
use super::{bad, collection, events, notes, refusal, unknown_id};
use crate::deliveries::Draft;
use crate::providers::query::Params;
use crate::settings::PayoutWalk;
use crate::sim::{Shared, Sim, World, arc};
use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

#[derive(Deserialize)]
struct Asked {
    account_number: String,
    fund_account_id: String,
    amount: i64,
    currency: String,
    mode: String,
    purpose: String,
    reference_id: Option<String>,
    narration: Option<String>,
    notes: Option<Map<String, Value>>,
}

impl Asked {
    fn problem(&self) -> Option<&'static str> {
        let longer = |text: &Option<String>, most: usize| text.as_ref().is_some_and(|t| t.chars().count() > most);
        let odd = |c: char| !c.is_ascii_alphanumeric() && c != ' ';
        [
            (self.account_number.is_empty(), "The account number field is required."),
            (!self.fund_account_id.starts_with("fa_"), "The fund account id must be a valid id."),
            (self.amount < 100, "The amount must be at least 100."),
            (self.currency != "INR", "The currency must be INR."),
            (
                !["IMPS", "NEFT", "RTGS", "UPI", "card", "amazonpay"].contains(&self.mode.as_str()),
                "The selected mode is invalid.",
            ),
            (self.purpose.is_empty(), "The purpose field is required."),
            (longer(&self.reference_id, 40), "The reference id may not be greater than 40 characters."),
            (longer(&self.narration, 30), "The narration may not be greater than 30 characters."),
            (
                self.narration.as_ref().is_some_and(|n| n.contains(odd)),
                "The narration may only contain letters, digits and spaces.",
            ),
            (self.notes.as_ref().is_some_and(|n| n.len() > 15), "The notes may not have more than 15 pairs."),
        ]
        .into_iter()
        .find_map(|(wrong, text)| wrong.then_some(text))
    }
}

pub(super) async fn create(sim: Shared, request: HttpRequest, body: Bytes) -> HttpResponse {
    let mut world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers()) {
        return refusal;
    }
    let key = request.headers().get("x-payout-idempotency").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ' ');
    if !(4..=36).contains(&key.len()) || !key.chars().all(allowed) {
        return bad("X-Payout-Idempotency must be 4 to 36 letters, digits, hyphens, underscores or spaces.");
    }
    let Ok(json) = serde_json::from_slice::<Value>(&body) else {
        return bad("The request body is not valid JSON.");
    };
    if let Some((first, answer)) = world.razorpay.idempotency.get(key) {
        if *first != json {
            return bad("Different request body sent for the same idempotency key.");
        }
        return HttpResponse::Ok().content_type("application/json").body(answer.clone());
    }
    let asked: Asked = match serde_json::from_value(json.clone()) {
        Ok(asked) => asked,
        Err(error) => return bad(&error.to_string()),
    };
    if let Some(problem) = asked.problem() {
        return bad(problem);
    }
    let payout = payout(&mut world, asked);
    let answer = serde_json::to_string(&payout).unwrap_or_default();
    world.razorpay.idempotency.insert(key.to_owned(), (json, answer.clone()));
    world.razorpay.payouts.push(payout.clone());
    let told = tell(&mut world, "payout.queued", &payout);
    let walk = walk_of(&payout, world.settings.razorpay_payouts);
    drop(world);
    let sim = arc(&sim);
    sim.deliver(told.into_iter().collect());
    start_walk(&sim, payout.id, walk);
    HttpResponse::Ok().content_type("application/json").body(answer)
}

fn payout(world: &mut World, asked: Asked) -> Payout {
    Payout {
        id: world.ids.razorpay("pout"),
        entity: "payout",
        fund_account_id: asked.fund_account_id,
        amount: asked.amount,
        currency: asked.currency,
        notes: notes(asked.notes.map(Value::Object).as_ref()),
        fees: 590,
        tax: 90,
        status: "queued".to_owned(),
        purpose: asked.purpose,
        utr: None,
        mode: asked.mode,
        reference_id: asked.reference_id,
        narration: asked.narration,
        batch_id: None,
        failure_reason: None,
        fee_type: String::new(),
        status_details: StatusDetails::default(),
        created_at: world.now().timestamp(),
        account_number: asked.account_number,
    }
}

/// A fund account whose id says so has its own fate: `fa_…fail…`, `fa_…reverse…`, `fa_…hold…`.
fn walk_of(payout: &Payout, set: PayoutWalk) -> PayoutWalk {
    let id = payout.fund_account_id.to_ascii_lowercase();
    let fates = [("fail", PayoutWalk::Failed), ("reverse", PayoutWalk::Reversed), ("hold", PayoutWalk::Processing)];
    fates.into_iter().find_map(|(word, walk)| id.contains(word).then_some(walk)).unwrap_or(set)
}

fn start_walk(sim: &Arc<Sim>, id: String, walk: PayoutWalk) {
    let steps: &'static [&'static str] = match walk {
        PayoutWalk::Manual => return,
        PayoutWalk::Processing => &["processing"],
        PayoutWalk::Processed => &["processing", "processed"],
        PayoutWalk::Failed => &["processing", "failed"],
        PayoutWalk::Reversed => &["processing", "processed", "reversed"],
    };
    let owned = Arc::clone(sim);
    sim.in_background(async move {
        let mut expected = "queued";
        for step in steps {
            let pause = Duration::from_millis(owned.world().settings.razorpay_payout_step_ms);
            tokio::time::sleep(pause).await;
            let told = {
                let mut world = owned.world();
                let here = world.razorpay.payouts.iter().any(|p| p.id == id && p.status == expected);
                if !here {
                    // Moved by hand, or the world was reset: the walk is over.
                    return;
                }
                advance(&mut world, &id, step, None).map(|(_, told)| told).unwrap_or_default()
            };
            owned.deliver(told);
            expected = step;
        }
    });
}

/// Why a payout was not moved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MoveError {
    #[error("there is no payout {0}")]
    NotFound(String),
    #[error("a payout does not go from {from} to {to}")]
    Forbidden { from: String, to: String },
}

/// Moves a payout to a status and returns it with the webhooks that tell of it.
pub(crate) fn advance(
    world: &mut World,
    id: &str,
    to: &str,
    reason: Option<&str>,
) -> Result<(Payout, Vec<Draft>), MoveError> {
    let utr = world.ids.digits(12);
    let payout = world.razorpay.payouts.iter_mut().find(|p| p.id == id);
    let payout = payout.ok_or_else(|| MoveError::NotFound(id.to_owned()))?;
    let from = payout.status.as_str();
    let open = matches!(from, "queued" | "pending" | "scheduled" | "processing");
    let legal = match to {
        "processing" => open && from != "processing",
        "processed" => open,
        "failed" => open || from == "reversed",
        // Money can come back days after it was credited, and after a failure whose debit is returned.
        "reversed" => open || matches!(from, "processed" | "failed"),
        "cancelled" | "rejected" => matches!(from, "queued" | "pending" | "scheduled"),
        _ => false,
    };
    if !legal {
        return Err(MoveError::Forbidden { from: from.to_owned(), to: to.to_owned() });
    }
    let mut steps = Vec::new();
    if matches!(to, "processed" | "failed" | "reversed") && open && from != "processing" {
        // A hand-moved payout passes through `processing` as well, so the events tell a whole life.
        "processing".clone_into(&mut payout.status);
        payout.status_details = details("processing", None);
        steps.push(("payout.initiated", payout.clone()));
    }
    to.clone_into(&mut payout.status);
    payout.status_details = details(to, reason);
    if matches!(to, "failed" | "reversed") {
        payout.failure_reason.clone_from(&payout.status_details.description);
    }
    // IMPS and UPI know their reference at once, the others tell it in an event of its own.
    let instant = matches!(payout.mode.as_str(), "IMPS" | "UPI");
    if to == "processed" && instant {
        payout.utr = Some(utr.clone());
    }
    let event = match to {
        "processing" => "payout.initiated",
        "processed" => "payout.processed",
        "failed" => "payout.failed",
        "reversed" => "payout.reversed",
        "cancelled" => "payout.cancelled",
        _ => "payout.rejected",
    };
    steps.push((event, payout.clone()));
    if to == "processed" && !instant {
        payout.utr = Some(utr);
        steps.push(("payout.updated", payout.clone()));
    }
    let moved = payout.clone();
    let told = steps.iter().filter_map(|(event, payout)| tell(world, event, payout)).collect();
    Ok((moved, told))
}

fn details(status: &str, reason: Option<&str>) -> StatusDetails {
    let (usual, source) = match status {
        "processing" => ("beneficiary_bank_confirmation_pending", "beneficiary_bank"),
        "processed" => ("payout_processed", "beneficiary_bank"),
        "failed" => ("bank_account_invalid", "beneficiary_bank"),
        "reversed" => ("bank_account_closed", "beneficiary_bank"),
        _ => ("cancelled", "business"),
    };
    let reason = reason.unwrap_or(usual);
    StatusDetails {
        description: Some(reason.replace('_', " ")),
        reason: Some(reason.to_owned()),
        source: Some(source.to_owned()),
    }
}

fn tell(world: &mut World, event: &str, payout: &Payout) -> Option<Draft> {
    events::draft(world, event, &[("payout", json!(payout))])
}

pub(super) async fn fetch(sim: Shared, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers()) {
        return refusal;
    }
    match world.razorpay.payouts.iter().find(|p| p.id == *id) {
        Some(payout) => HttpResponse::Ok().json(payout),
        None => unknown_id(),
    }
}

pub(super) async fn list(sim: Shared, request: HttpRequest) -> HttpResponse {
    let query = Params::parse(request.query_string());
    let world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers()) {
        return refusal;
    }
    let Some(account) = query.get("account_number") else {
        return bad("The account number field is required.");
    };
    let (count, skip) = match (query.number("count"), query.number("skip")) {
        (Ok(count), Ok(skip)) => (count.unwrap_or(10), skip.unwrap_or(0)),
        (Err(error), _) | (_, Err(error)) => return bad(&error.to_string()),
    };
    if !(1..=100).contains(&count) {
        return bad("The count must be between 1 and 100.");
    }
    let is = |name: &str, value: Option<&str>| query.get(name).is_none_or(|wanted| value == Some(wanted));
    let moment = |name: &str| query.get(name).and_then(|t| t.parse::<i64>().ok());
    let items: Vec<&Payout> = world
        .razorpay
        .payouts
        .iter()
        .rev()
        .filter(|p| p.account_number == account)
        .filter(|p| is("status", Some(&p.status)) && is("mode", Some(&p.mode)))
        .filter(|p| is("reference_id", p.reference_id.as_deref()) && is("fund_account_id", Some(&p.fund_account_id)))
        .filter(|p| moment("from").is_none_or(|f| f <= p.created_at) && moment("to").is_none_or(|t| p.created_at <= t))
        .skip(skip)
        .take(count)
        .collect();
    collection(&items)
}
