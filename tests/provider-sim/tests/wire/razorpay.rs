//! Razorpay: payouts and their walk, payments, refunds, signed webhooks with retries.

use crate::running::{Running, header, json, received, receiver, until};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

fn hmac(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    hex::encode(mac.chain_update(body).finalize().into_bytes())
}

fn asked() -> Value {
    json!({
        "account_number": "7878780080316316", "fund_account_id": "fa_SYNTH000000001", "amount": 25_000, "currency": "INR",
        "mode": "IMPS", "purpose": "cashback", "reference_id": "wd_1", "narration": "Cashback payout",
        "notes": {"withdrawal_id": "wd_1"},
    })
}

async fn pay_out(sim: &Running, key: &str, body: &Value) -> reqwest::Response {
    let request = sim.post("/razorpay/v1/payouts").basic_auth("rzp", Some("secret")).json(body);
    request.header("X-Payout-Idempotency", key).send().await.expect("an answer")
}

async fn pointed_at(ours: &MockServer) -> Running {
    let sim = Running::start(&[]);
    sim.control(
        "config",
        json!({
            "razorpay_webhook_url": ours.uri(), "razorpay_webhook_secret": "hush", "razorpay_payout_step_ms": 20,
            "retry": {"base_ms": 20, "max_ms": 40, "max_attempts": 4},
        }),
    )
    .await;
    sim
}

fn event(request: &Request) -> String {
    assert_eq!(header(request, "x-razorpay-signature"), hmac("hush", &request.body));
    assert!(!header(request, "x-razorpay-event-id").is_empty());
    let body: Value = request.body_json().expect("JSON");
    body["event"].as_str().expect("an event").to_owned()
}

#[tokio::test]
async fn signatures_match_the_contract_s_vectors() {
    let (sim, ours) = (Running::start(&[]), receiver(200).await);
    let cases = [
        ("123456", r#"{"a":1,"b":2,"c":{"d":3}}"#, "2fe04e22977002e6c7cb553adab8b460cb9e2a4970d5953cb27a8472752e3bbc"),
        (
            "synthetic-webhook-secret",
            r#"{"entity":"event","event":"payout.processed","created_at":1790000010}"#,
            "d2ccbde199de17d72fb79d7eb68be3b22ca84404c8e3dbf73b83686f42320efa",
        ),
    ];
    for (number, (secret, body, expected)) in cases.into_iter().enumerate() {
        sim.control("config", json!({"razorpay_webhook_url": ours.uri(), "razorpay_webhook_secret": secret})).await;
        sim.control("webhooks/custom", json!({"source": "razorpay", "event": "payout.processed", "body": body})).await;
        let requests = received(&ours, number + 1).await;
        assert_eq!(requests[number].body, body.as_bytes(), "the bytes are sent as given");
        assert_eq!(header(&requests[number], "x-razorpay-signature"), expected);
    }
}

#[tokio::test]
async fn a_payout_walks_to_its_end_and_tells_each_step() {
    let ours = receiver(200).await;
    let sim = pointed_at(&ours).await;
    let created = json(pay_out(&sim, "key-0001", &asked()).await).await;
    assert_eq!((&created["status"], &created["utr"]), (&json!("queued"), &Value::Null));
    let requests = received(&ours, 3).await;
    let events: Vec<String> = requests.iter().map(event).collect();
    assert_eq!(events, ["payout.queued", "payout.initiated", "payout.processed"]);
    let last: Value = requests[2].body_json().expect("JSON");
    let entity = &last["payload"]["payout"]["entity"];
    assert_eq!(
        (&entity["id"], &entity["reference_id"], &entity["amount"]),
        (&created["id"], &json!("wd_1"), &json!(25_000))
    );
    assert_eq!(
        (&entity["status"], &entity["status_details"]["reason"]),
        (&json!("processed"), &json!("payout_processed"))
    );
    assert!(entity["utr"].is_string());
    // Money can come back days later; a payout that came back does not become processed again.
    let id = created["id"].as_str().expect("an id");
    sim.control(&format!("payouts/{id}/reversed"), json!({"reason": "bank_account_frozen"})).await;
    let reversed: Value = received(&ours, 4).await[3].body_json().expect("JSON");
    assert_eq!(reversed["event"], "payout.reversed");
    assert_eq!(reversed["payload"]["payout"]["entity"]["status_details"]["reason"], "bank_account_frozen");
    let again = sim.post(&format!("/_sim/payouts/{id}/processed")).send().await.expect("an answer");
    assert_eq!(again.status(), 409);
    let path = format!("/razorpay/v1/payouts/{id}");
    let fetched = json(sim.get(&path).basic_auth("rzp", Some("secret")).send().await.expect("an answer")).await;
    assert_eq!(fetched["status"], "reversed");
}

#[tokio::test]
async fn a_fund_account_can_have_its_own_fate() {
    let ours = receiver(200).await;
    let sim = pointed_at(&ours).await;
    let mut body = asked();
    body["fund_account_id"] = json!("fa_willfail000001");
    pay_out(&sim, "key-0001", &body).await;
    let events: Vec<String> = received(&ours, 3).await.iter().map(event).collect();
    assert_eq!(events[2], "payout.failed");
    body["fund_account_id"] = json!("fa_hold0000000001");
    let held = json(pay_out(&sim, "key-0002", &body).await).await["id"].as_str().expect("an id").to_owned();
    until(&sim, "payouts", |p| p["payouts"][1]["status"] == "processing").await;
    sim.control(&format!("payouts/{held}/processed"), json!({})).await;
    until(&sim, "payouts", |p| p["payouts"][1]["status"] == "processed").await;
    // NEFT learns its reference in an event of its own.
    body["fund_account_id"] = json!("fa_SYNTH000000002");
    body["mode"] = json!("NEFT");
    pay_out(&sim, "key-0003", &body).await;
    let updated = until(&sim, "webhooks?event=payout.updated", |w| w["webhooks"][0]["state"] == "delivered").await;
    assert_eq!(updated["count"], 1);
}

#[tokio::test]
async fn the_idempotency_key_is_mandatory_and_binds_the_body() {
    let sim = Running::start(&[]);
    let first = json(pay_out(&sim, "key-0001", &asked()).await).await;
    assert_eq!(json(pay_out(&sim, "key-0001", &asked()).await).await, first);
    let mut other = asked();
    other["amount"] = json!(26_000);
    let refused = pay_out(&sim, "key-0001", &other).await;
    assert_eq!(refused.status(), 400);
    assert_eq!(json(refused).await["error"]["code"], "BAD_REQUEST_ERROR");
    for key in ["", "abc", "key/0001", &"k".repeat(37)] {
        assert_eq!(pay_out(&sim, key, &asked()).await.status(), 400, "{key:?}");
    }
    assert_eq!(sim.look("payouts").await["payouts"].as_array().map(Vec::len), Some(1));
    for (name, value) in [
        ("amount", json!(99)),
        ("amount", json!(1.5)),
        ("currency", json!("USD")),
        ("mode", json!("CASH")),
        ("reference_id", json!("r".repeat(41))),
        ("narration", json!("n".repeat(31))),
        ("account_number", json!("")),
    ] {
        let mut bad = asked();
        bad[name] = value;
        assert_eq!(pay_out(&sim, "key-0002", &bad).await.status(), 400, "{name}");
    }
    let unknown = sim.post("/razorpay/v1/payouts").header("X-Payout-Idempotency", "key-3").json(&asked()).send().await;
    assert_eq!(unknown.expect("an answer").status(), 401);
}

#[tokio::test]
async fn payouts_are_listed_by_account_and_reference() {
    let sim = Running::start(&[]);
    for number in 0..12 {
        let mut body = asked();
        body["reference_id"] = json!(format!("wd_{number}"));
        pay_out(&sim, &format!("key-{number:04}"), &body).await;
    }
    let list = |query: &'static str| {
        let request = sim.get(&format!("/razorpay/v1/payouts?{query}")).basic_auth("rzp", Some("secret"));
        async { request.send().await.expect("an answer") }
    };
    assert_eq!(list("").await.status(), 400);
    let page = json(list("account_number=7878780080316316").await).await;
    assert_eq!(
        (&page["entity"], &page["count"], &page["items"][0]["reference_id"]),
        (&json!("collection"), &json!(10), &json!("wd_11"))
    );
    assert_eq!(json(list("account_number=7878780080316316&skip=10&count=100").await).await["count"], 2);
    assert_eq!(json(list("account_number=7878780080316316&reference_id=wd_3").await).await["count"], 1);
    assert_eq!(json(list("account_number=other").await).await["count"], 0);
    assert_eq!(list("account_number=7878780080316316&count=101").await.status(), 400);
}

#[tokio::test]
async fn a_webhook_is_retried_under_the_same_event_id_until_it_is_taken() {
    let ours = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(503)).up_to_n_times(2).mount(&ours).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&ours).await;
    let sim = pointed_at(&ours).await;
    sim.control("payments", json!({"amount_paise": 49_900, "event": "payment.captured"})).await;
    let requests = received(&ours, 3).await;
    let id = header(&requests[0], "x-razorpay-event-id");
    assert!(requests.iter().all(|r| header(r, "x-razorpay-event-id") == id && r.body == requests[0].body));
    let told = until(&sim, "webhooks", |w| w["webhooks"][0]["state"] == "delivered").await;
    let statuses: Vec<u64> = told["webhooks"][0]["attempts"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|a| a["status"].as_u64())
        .collect();
    assert_eq!(statuses, [503, 503, 200]);
}

#[tokio::test]
async fn retries_end() {
    let ours = receiver(500).await;
    let sim = pointed_at(&ours).await;
    sim.control("payments", json!({"amount_paise": 49_900, "event": "payment.captured"})).await;
    let told = until(&sim, "webhooks", |w| w["webhooks"][0]["state"] == "failed").await;
    assert_eq!(told["webhooks"][0]["attempts"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn a_payment_is_played_and_refunded() {
    let ours = receiver(200).await;
    let sim = pointed_at(&ours).await;
    let order = json!({"amount": 49_900, "currency": "INR", "receipt": "ord_1", "notes": {"order": "ord_1"}});
    let order = sim.post("/razorpay/v1/orders").basic_auth("rzp", Some("secret")).json(&order);
    let order = json(order.send().await.expect("an answer")).await["id"].clone();
    let played = sim.control("payments", json!({"amount_paise": 49_900, "order_id": order})).await;
    let requests = received(&ours, 3).await;
    let events: Vec<String> = requests.iter().map(event).collect();
    assert_eq!(events, ["payment.authorized", "payment.captured", "order.paid"]);
    let paid: Value = requests[2].body_json().expect("JSON");
    assert_eq!(paid["contains"], json!(["payment", "order"]));
    let order_entity = &paid["payload"]["order"]["entity"];
    assert_eq!(
        (&order_entity["status"], &order_entity["receipt"], &order_entity["amount_due"]),
        (&json!("paid"), &json!("ord_1"), &json!(0))
    );
    let payment = &paid["payload"]["payment"]["entity"];
    assert_eq!((&payment["order_id"], &payment["notes"]["order"]), (&order, &json!("ord_1")));
    let authorized: Value = requests[0].body_json().expect("JSON");
    let before = &authorized["payload"]["payment"]["entity"];
    assert_eq!(
        (&before["status"], &before["captured"], &before["fee"]),
        (&json!("authorized"), &json!(false), &Value::Null)
    );
    let id = played["payment_id"].as_str().expect("an id");
    let refund = |amount: i64| {
        let path = format!("/razorpay/v1/payments/{id}/refund");
        let request = sim.post(&path).basic_auth("rzp", Some("secret")).json(&json!({"amount": amount}));
        async { request.send().await.expect("an answer").status().as_u16() }
    };
    assert_eq!((refund(10_000).await, refund(40_000).await, refund(39_900).await), (200, 400, 200));
    let events: Vec<String> = received(&ours, 7).await.iter().skip(3).map(event).collect();
    assert_eq!(events.iter().filter(|e| *e == "refund.processed").count(), 2);
    assert_eq!(sim.look("payments").await["payments"][0]["status"], "refunded");
    let failed = sim.control("payments", json!({"amount_paise": 100, "event": "payment.failed"})).await;
    assert_eq!((&failed["payment"]["status"], &failed["payment"]["notes"]), (&json!("failed"), &json!([])));
}

#[tokio::test]
async fn recorded_webhooks_are_sent_again_as_they_were() {
    let ours = receiver(200).await;
    let sim = pointed_at(&ours).await;
    sim.control("config", json!({"hold_webhooks": true})).await;
    let played = sim.control("payments", json!({"amount_paise": 49_900})).await;
    let ids: Vec<u64> = played["deliveries"].as_array().expect("a list").iter().filter_map(Value::as_u64).collect();
    assert_eq!(sim.look("webhooks?state=held").await["count"], 3);
    // Out of order, and one of them twice.
    sim.control("webhooks/resend", json!({"ids": [ids[2]]})).await;
    received(&ours, 1).await;
    sim.control("webhooks/resend", json!({"ids": [ids[0]]})).await;
    received(&ours, 2).await;
    sim.control("webhooks/resend", json!({"ids": [ids[2]]})).await;
    let requests = received(&ours, 3).await;
    let events: Vec<String> = requests.iter().map(event).collect();
    assert_eq!(events, ["order.paid", "payment.authorized", "order.paid"]);
    assert_eq!(header(&requests[0], "x-razorpay-event-id"), header(&requests[2], "x-razorpay-event-id"));
    // After a change of secret a replay bears the new signature, a late retry the old one.
    sim.control("config", json!({"razorpay_webhook_secret": "new"})).await;
    sim.control("webhooks/resend", json!({"id": ids[0], "event_id": "forged"})).await;
    let replayed = received(&ours, 4).await.remove(3);
    assert_eq!(header(&replayed, "x-razorpay-signature"), hmac("new", &replayed.body));
    assert_eq!(header(&replayed, "x-razorpay-event-id"), "forged");
    sim.control("webhooks/resend", json!({"id": ids[0], "old_signature": true})).await;
    event(&received(&ours, 5).await[4]);
}
