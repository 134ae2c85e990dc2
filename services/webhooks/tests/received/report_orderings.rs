//! Every ordering of the reports on a message, each told twice, ends in the same state.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::contact::{EmailAddress, Mobile};
use domain::ids::NotificationId;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use store::notifications::Channel;
use store::suppressions::AddressHash;
use testkit::eventually_true;

use crate::orderings::orderings;
use crate::receipts::message;
use crate::shop::{Shop, TOKEN};

/// What stands before the point in a DER public key of P-256.
const HEADER: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

fn key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).expect("a key")
}

fn public() -> String {
    let point = key().verifying_key().to_sec1_point(false);
    STANDARD.encode([hex::decode(HEADER).expect("hexadecimal"), point.as_bytes().to_vec()].concat())
}

async fn send_mail_reports(shop: &Shop, events: &[Value]) {
    let body = Value::from(events).to_string();
    let timestamp = shop.text("SELECT extract(epoch FROM now())::bigint::text").await;
    let signature: Signature = key().sign([timestamp.as_bytes(), body.as_bytes()].concat().as_slice());
    let request = shop
        .http
        .post(shop.url("/webhooks/sendgrid"))
        .header("content-type", "application/json")
        .header("x-twilio-email-event-webhook-timestamp", timestamp)
        .header("x-twilio-email-event-webhook-signature", STANDARD.encode(signature.to_der()));
    assert_eq!(request.body(body).send().await.expect("an answer").status(), 200);
}

async fn send_text_reports(shop: &Shop, reports: &[Value]) {
    let request =
        shop.http.post(shop.url(&format!("/webhooks/msg91/{TOKEN}"))).header("content-type", "application/json");
    assert_eq!(request.body(Value::from(reports).to_string()).send().await.expect("an answer").status(), 200);
}

/// Plays every ordering of these reports, each on a message of its own and each report in two batches; gives the states in
/// the end and how many messages have each.
async fn play(channel: Channel, count: usize, report: impl Fn(usize, NotificationId) -> Value) -> Vec<(String, i64)> {
    let shop =
        Shop::open_with(&[("WEBHOOK_SOURCES", "sendgrid,msg91"), ("SENDGRID_WEBHOOK_PUBLIC_KEY", &public())]).await;
    let orderings = orderings(count);
    let mut messages = Vec::new();
    for _ in &orderings {
        let address = match channel {
            Channel::Email => AddressHash::from(&"asha@example.in".parse::<EmailAddress>().expect("an address")),
            Channel::Sms => AddressHash::from("9800000001".parse::<Mobile>().expect("a number")),
        };
        messages.push(message(&shop, channel, address).await);
    }
    let mut batches = 0;
    for step in 0..count {
        let mut batch: Vec<_> =
            orderings.iter().zip(&messages).map(|(ordering, message)| report(ordering[step], *message)).collect();
        for _ in 0..2 {
            match channel {
                Channel::Email => send_mail_reports(&shop, &batch).await,
                Channel::Sms => send_text_reports(&shop, &batch).await,
            }
            // The same reports in another batch: a copy of the batch would be known by its body.
            batch.reverse();
            batches += 1;
        }
        // A batch of many reports takes its time on a machine that does much else.
        let done = "SELECT count(*) FROM webhook_effects";
        eventually_true("the batches are worked off", Duration::from_secs(150), async || {
            shop.count(done).await == batches
        })
        .await;
    }
    let told = i64::try_from(orderings.len() * count).expect("a count");
    assert_eq!(shop.count("SELECT count(*) FROM notification_events").await, told, "each report once");
    let client = shop.client().await;
    let rows = client.query("SELECT status, count(*) FROM notifications GROUP BY 1 ORDER BY 1", &[]).await;
    rows.expect("states").iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// A report of SendGrid's: the word, and for a bounce its type.
fn mail(word: &str, kind: Option<&str>, message: NotificationId) -> Value {
    let mut event = json!({"email": "asha@example.in", "event": word, "timestamp": 1_790_000_003,
        "notification_id": message.to_string(), "reason": "550 5.1.1 \u{0} no such user"});
    if let Some(kind) = kind {
        event["type"] = kind.into();
    }
    event
}

#[tokio::test]
async fn all_720_orderings_of_a_mails_reports_end_with_the_complaint() {
    let ends = play(Channel::Email, 6, |which, message| match which {
        0 => mail("processed", None, message),
        1 => mail("deferred", None, message),
        2 => mail("bounce", Some("blocked"), message),
        3 => mail("delivered", None, message),
        4 => mail("open", None, message),
        _ => mail("spamreport", None, message),
    })
    .await;
    assert_eq!(ends, [("complained".to_owned(), 720)]);
}

#[tokio::test]
async fn a_mail_that_was_blocked_and_dropped_ends_alike_whichever_is_told_first() {
    let ends = play(Channel::Email, 4, |which, message| match which {
        0 => mail("processed", None, message),
        1 => mail("deferred", None, message),
        2 => mail("bounce", Some("blocked"), message),
        _ => mail("dropped", None, message),
    })
    .await;
    assert_eq!(ends, [("dropped".to_owned(), 24)]);
}

#[tokio::test]
async fn all_24_orderings_of_a_texts_reports_end_delivered() {
    let ends = play(Channel::Sms, 4, |which, message| {
        let (status, second) = [("sent", 1), ("16", 2), ("delivered", 3), ("17", 4)][which];
        json!({"CRQID": message.to_string(), "status": status, "date": format!("2026-09-01 18:05:0{second}"),
            "desc": "TEMPLATE-NOT-MATCHED"})
    })
    .await;
    assert_eq!(ends, [("delivered".to_owned(), 24)]);
}
