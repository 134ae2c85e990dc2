//! SendGrid: mail send, the inbox, signed events.

use crate::running::{Running, header, json, received, receiver};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;
use serde_json::{Value, json};

fn mail(to: &str) -> Value {
    json!({
        "personalizations": [{"to": [{"email": to, "name": "Asha"}], "custom_args": {"notification_id": "ntf_1"}}],
        "from": {"email": "cashback@mail.example.in", "name": "Demo Cashback"},
        "subject": "Rs.250 is yours",
        "content": [{"type": "text/plain", "value": "hello"}, {"type": "text/html", "value": "<h1>hello</h1>"}],
        "categories": ["cashback_confirmed"],
    })
}

async fn send(sim: &Running, body: &Value) -> reqwest::Response {
    sim.post("/sendgrid/v3/mail/send").bearer_auth("SG.synthetic").json(body).send().await.expect("an answer")
}

fn verifies(key: &str, timestamp: &str, body: &[u8], signature: &str) -> bool {
    let key = VerifyingKey::from_public_key_der(&STANDARD.decode(key).expect("base64")).expect("a key");
    let signature = DerSignature::try_from(STANDARD.decode(signature).expect("base64").as_slice()).expect("DER");
    key.verify(&[timestamp.as_bytes(), body].concat(), &signature).is_ok()
}

#[test]
fn the_verifier_used_here_accepts_the_contract_s_vector() {
    let key = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqST5L3g5aHeJLKft9akYX4nCNTMrHGI0kh6ccg1JAD5YT4O0cXgy6+pzGz9h7uQOejBD2v6nEUhRNW3+wrojjA==";
    let body = b"[{\"email\":\"asha@example.in\",\"timestamp\":1790000003,\"event\":\"delivered\",\"sg_event_id\":\"c3ludGgtMDAwMQ\",\"sg_message_id\":\"SYNTHmsg0000000000000A.recvd-0\"}]\r\n";
    let signature = "MEUCIQCpU+nUAygLzFhgKmTEQoavL+NBi0/7gppn7OoMtcUeywIgbQWDSTbvj/13IPDPh5Y4C/5R4+I6l2+BrT+OumRZrEA=";
    assert!(verifies(key, "1790000005", body, signature));
    assert!(!verifies(key, "1790000005", body.trim_ascii_end(), signature));
}

#[tokio::test]
async fn a_mail_is_accepted_and_lies_in_the_inbox() {
    let sim = Running::start(&[]);
    let answer = send(&sim, &mail("asha@example.in")).await;
    assert_eq!(answer.status(), 202);
    let id = answer.headers()["x-message-id"].to_str().expect("text").to_owned();
    for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
        assert!(answer.headers()[name].to_str().is_ok_and(|v| v.parse::<u64>().is_ok()), "{name}");
    }
    assert_eq!(answer.text().await.expect("a body"), "");
    let inbox = sim.look("inbox.json?to=asha@example.in&category=cashback_confirmed&channel=email").await;
    assert_eq!(inbox["count"], 1);
    let message = &inbox["messages"][0];
    assert_eq!(message["provider_id"], Value::String(id));
    assert_eq!(message["subject"], "Rs.250 is yours");
    assert_eq!(message["html"], "<h1>hello</h1>");
    assert_eq!(message["args"]["notification_id"], "ntf_1");
    assert_eq!(sim.look("inbox.json?to=other@example.in").await["count"], 0);
}

#[tokio::test]
async fn bad_mails_are_refused_by_field_and_leave_nothing() {
    let sim = Running::start(&[]);
    let cases = [
        (json!({"personalizations": []}), "personalizations"),
        (json!({"personalizations": [{"to": [{"email": "no-at"}]}]}), "personalizations.0.to.0.email"),
        (
            json!({"personalizations": [{"to": [{"email": "a@b.in"}], "cc": [{"email": "A@b.in"}]}]}),
            "personalizations.0",
        ),
        (json!({"from": null}), "from.email"),
        (json!({"subject": ""}), "subject"),
        (json!({"content": []}), "content"),
        (json!({"categories": ["a", "a"]}), "categories"),
        (json!({"custom_args": {"n": 1}}), "custom_args.n"),
        (json!({"headers": {"Reply-To": "x"}}), "headers.Reply-To"),
        (
            json!({"content": [{"type": "text/html", "value": "a"}, {"type": "text/plain", "value": "b"}]}),
            "content.0.type",
        ),
    ];
    for (change, field) in cases {
        let mut body = mail("asha@example.in");
        body.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        let answer = send(&sim, &body).await;
        assert_eq!(answer.status(), 400, "{field}");
        let errors = json(answer).await;
        let fields: Vec<&Value> = errors["errors"].as_array().expect("a list").iter().map(|e| &e["field"]).collect();
        assert!(fields.iter().any(|f| **f == field), "{field} is not in {fields:?}");
    }
    let unsigned = sim.post("/sendgrid/v3/mail/send").json(&mail("a@b.in")).send().await.expect("an answer");
    assert_eq!(unsigned.status(), 401);
    sim.control("config", json!({"keys": {"sendgrid": ["SG.other"]}})).await;
    assert_eq!(send(&sim, &mail("a@b.in")).await.status(), 401);
    assert_eq!(sim.look("inbox.json").await["count"], 0);
}

#[tokio::test]
async fn sandbox_mails_are_checked_and_send_no_events() {
    let (sim, ours) = (Running::start(&[]), receiver(200).await);
    sim.control("config", json!({"sendgrid_event_url": ours.uri(), "sendgrid_batch_ms": 1})).await;
    let mut body = mail("asha@example.in");
    body["mail_settings"] = json!({"sandbox_mode": {"enable": true}});
    let answer = send(&sim, &body).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().get("x-message-id").is_none());
    assert_eq!(sim.look("inbox.json").await["messages"][0]["sandbox"], true);
    // A proper mail's events come, and only those.
    send(&sim, &mail("ravi@example.in")).await;
    let batch: Value = received(&ours, 1).await[0].body_json().expect("JSON");
    assert!(batch.as_array().expect("a list").iter().all(|e| e["email"] == "ravi@example.in"));
}

#[tokio::test]
async fn events_come_in_batches_signed_with_the_published_key() {
    let (sim, ours) = (Running::start(&["--seed", "5"]), receiver(200).await);
    sim.control("config", json!({"sendgrid_event_url": ours.uri(), "sendgrid_batch_ms": 300})).await;
    let accepted = send(&sim, &mail("asha@example.in")).await;
    let id = accepted.headers()["x-message-id"].to_str().expect("text").to_owned();
    send(&sim, &mail("bounce@example.in")).await;
    let requests = received(&ours, 1).await;
    let request = &requests[0];
    let body = request.body.as_slice();
    assert!(body.ends_with(b"]\r\n"), "the batch ends in CR LF");
    assert!(body.windows(4).any(|w| w == b"},\r\n"), "events are joined with comma, CR, LF");
    let key = sim.look("keys").await["sendgrid"]["public_key"].as_str().expect("a key").to_owned();
    let timestamp = header(request, "X-Twilio-Email-Event-Webhook-Timestamp");
    let signature = header(request, "X-Twilio-Email-Event-Webhook-Signature");
    assert!(verifies(&key, timestamp, body, signature));
    let mut tampered = body.to_vec();
    tampered[20] ^= 1;
    assert!(!verifies(&key, timestamp, &tampered, signature));
    assert!(!verifies(&key, timestamp, body.trim_ascii_end(), signature));
    let events: Vec<Value> = request.body_json().expect("JSON");
    let kinds: Vec<&str> = events.iter().filter_map(|e| e["event"].as_str()).collect();
    assert_eq!(kinds, ["processed", "delivered", "processed", "bounce"]);
    assert_eq!(events[0]["category"], json!(["cashback_confirmed"]));
    assert_eq!(events[1]["category"], "cashback_confirmed");
    assert_eq!(events[0]["notification_id"], "ntf_1");
    assert!(events[0]["sg_message_id"].as_str().is_some_and(|m| m.starts_with(&format!("{id}."))));
    assert_eq!(events[3]["type"], "bounce");
    // A bounced address is on the suppression list from then on.
    send(&sim, &mail("bounce@example.in")).await;
    let later: Vec<Value> = received(&ours, 2).await[1].body_json().expect("JSON");
    assert_eq!(later[0]["event"], "dropped");
    // On request: any event about a mail, and another key.
    sim.control("config", json!({"sendgrid_key_generation": 1})).await;
    let first = sim.look("inbox.json?to=asha@example.in").await["messages"][0]["id"].clone();
    sim.control(&format!("inbox/{first}/event"), json!({"event": ["open", "spamreport"]})).await;
    let requests = received(&ours, 3).await;
    assert!(!verifies(
        &key,
        header(&requests[2], "X-Twilio-Email-Event-Webhook-Timestamp"),
        &requests[2].body,
        header(&requests[2], "X-Twilio-Email-Event-Webhook-Signature")
    ));
}
