//! Shoppers who click and a Razorpay that reports payments, all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use testkit::http;
use tokio::task::JoinSet;

use crate::orders::Orders;
use crate::secrets::razorpay_signature;
use crate::system::System;

const BROWSER: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";

/// What the system said yes to.
#[derive(Default)]
pub struct Sent {
    /// The sub-ids of clicks that were redirected.
    pub clicks: Vec<String>,
    /// Clicks that were not redirected, by whatever answer.
    pub not_redirected: usize,
    /// Razorpay's order ids whose payment was acknowledged.
    pub payments: Vec<String>,
}

/// How much traffic there is.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Shoppers who click at the same time.
    pub clickers: usize,
    /// How long each rests between two clicks.
    pub click_rest: Duration,
    /// Payments that are reported at the same time.
    pub payers: usize,
    /// How long the provider rests between two reports.
    pub payment_rest: Duration,
}

impl Sent {
    fn add(&mut self, other: Self) {
        self.clicks.extend(other.clicks);
        self.not_redirected += other.not_redirected;
        self.payments.extend(other.payments);
    }
}

/// Running traffic.
pub struct Traffic {
    is_over: Arc<AtomicBool>,
    tasks: JoinSet<Sent>,
}

impl Traffic {
    /// Begins it, from as many tasks as `pace` says.
    #[must_use]
    pub fn start(system: &System, orders: &Orders, pace: Pace) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for _ in 0..pace.clickers {
            let url = system.at("redirector", &format!("/out/{}", system.cast.offer));
            tasks.spawn(click(url, pace.click_rest, is_over.clone()));
        }
        for _ in 0..pace.payers {
            let url = system.at("webhooks", "/webhooks/razorpay");
            tasks.spawn(pay(url, orders.clone(), pace.payment_rest, is_over.clone()));
        }
        Self { is_over, tasks }
    }

    /// Ends it, and gives what was accepted.
    pub async fn stop(mut self) -> Sent {
        self.is_over.store(true, Ordering::Relaxed);
        let mut sent = Sent::default();
        while let Some(part) = self.tasks.join_next().await {
            sent.add(part.unwrap());
        }
        sent
    }
}

async fn click(url: String, rest: Duration, is_over: Arc<AtomicBool>) -> Sent {
    let (client, mut sent) = (http(), Sent::default());
    while !is_over.load(Ordering::Relaxed) {
        let answer = client.get(&url).header("user-agent", BROWSER).timeout(Duration::from_secs(5)).send().await;
        let location = answer.ok().filter(|answer| answer.status() == 302).and_then(|answer| {
            let location: reqwest::Url = answer.headers().get("location")?.to_str().ok()?.parse().ok()?;
            location.query_pairs().find(|(name, _)| name == "subid").map(|(_, id)| id.into_owned())
        });
        match location {
            Some(sub_id) => sent.clicks.push(sub_id),
            None => sent.not_redirected += 1,
        }
        tokio::time::sleep(rest).await;
    }
    sent
}

/// As a provider does: the same event again until it is acknowledged.
async fn pay(url: String, orders: Orders, rest: Duration, is_over: Arc<AtomicBool>) -> Sent {
    let (client, mut sent) = (http(), Sent::default());
    while !is_over.load(Ordering::Relaxed) {
        let Some(order) = orders.next() else { break };
        let body = captured(&order);
        let signature = razorpay_signature(&body);
        loop {
            let request = client.post(&url).header("content-type", "application/json").timeout(Duration::from_secs(5));
            let signed = request
                .header("x-razorpay-event-id", format!("evt_{order}"))
                .header("x-razorpay-signature", &signature);
            if signed.body(body.clone()).send().await.is_ok_and(|answer| answer.status() == 200) {
                break;
            }
            tokio::time::sleep(rest).await;
        }
        sent.payments.push(order);
        tokio::time::sleep(rest).await;
    }
    sent
}

fn captured(order: &str) -> String {
    let payment = json!({
        "id": order.replace("order_", "pay_"), "entity": "payment", "amount": 48_000, "currency": "INR", "status": "captured",
        "order_id": order, "method": "upi", "captured": true, "email": "asha@example.in", "contact": "+919800000001",
        "notes": [], "fee": 1178, "tax": 180, "error_code": null, "created_at": 1_790_000_000,
    });
    json!({
        "entity": "event", "account_id": "acc_SYNTH000000001", "event": "payment.captured", "contains": ["payment"],
        "payload": {"payment": {"entity": payment}}, "created_at": 1_790_000_006,
    })
    .to_string()
}
