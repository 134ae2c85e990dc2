//! Nothing personal and nothing secret leaves by a log line, a trace, or the reason of a dead letter: what is planted in every
//! way in is looked for in all of them.

use std::time::Duration;

use domain::job::Queue;
use e2e::Story;
use kv::keys;
use kv::redis::AsyncCommands;
use queue::admin::dead_letters;
use serde_json::json;
use testkit::{eventually_true, http};

use crate::shopper::Stage;
use crate::traces::Collector;

const LIMIT: Duration = Duration::from_secs(30);

/// What strangers and customers bring.
const PLANTED: [&str; 9] = [
    "planted.person@example.in",
    "9811122233",
    "4111111111111111",
    "planted-path-token-0123456789abcd",
    "planted-link-token",
    "planted-password",
    "planted-session",
    "planted-voucher-code",
    "planted-browser",
];

/// Brings all of it to all doors.
async fn plant(stage: &Stage) {
    let system = &stage.system;
    let client = http();
    let [person, mobile, card, path, link, password, session, voucher, browser] = PLANTED;
    let out = system.at("redirector", &format!("/out/{}?token={link}&to=http://{person}/", system.cast.offer));
    let cookie = format!("token={session}; session={session}");
    for path in [out, system.at("redirector", &format!("/out/{person}")), system.at("redirector", "/stats")] {
        let ask = client.get(path).header("cookie", &cookie).header("user-agent", browser).bearer_auth(session);
        let _answered = ask.send().await.unwrap();
    }
    let body = json!({"event": voucher, "payload": {"email": person, "contact": mobile, "card": card}}).to_string();
    for door in ["razorpay", "sendgrid", &format!("msg91/{path}"), &format!("admitad/{path}?order_id={card}"), "nobody"]
    {
        let ask = client.post(system.at("webhooks", &format!("/webhooks/{door}"))).body(body.clone());
        let ask = ask.header("content-type", "application/json").header("x-razorpay-signature", session);
        let _answered = ask.send().await.unwrap();
    }
    let form = [("email", person), ("password", password)];
    let _refused = client.post(system.at("admin", "/login")).form(&form).send().await.unwrap();
    for path in ["/", "/api/v1/queues", "/users?q=planted.person@example.in"] {
        let ask = client.get(system.at("admin", path)).header("cookie", &cookie).bearer_auth(session);
        let _refused = ask.send().await.unwrap();
    }
    // Jobs that break their contracts in the places where people stand.
    let mut redis = system.kv.commands();
    for (queue, kind, payload) in [
        (Queue::Email, "email.send", json!({"to": [person], "name": voucher})),
        (Queue::Email, "email.send", json!({"event_key": "a:1", "to": person, "lang": person, "message": {}})),
        (
            Queue::Sms,
            "sms.send",
            json!({"event_key": mobile, "to": mobile, "lang": "en", "message": {"template": voucher}}),
        ),
        (Queue::Cashback, "cashback.sync", json!({"network": person})),
        (Queue::Payments, "payout.start", json!({"withdrawal_id": card})),
        (Queue::Receipts, "receipt.event", json!({"webhook_id": mobile})),
        (Queue::Clicks, "click.record", json!({"click_id": session, "user_agent": browser})),
    ] {
        let job = json!({"kind": kind, "payload": payload}).to_string();
        let _length: i64 = redis.rpush(keys::ready(queue), job).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn serial_nothing_planted_comes_out_in_logs_traces_or_reasons() {
    let collector = Collector::start().await;
    let mut stage = Stage::open_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
        ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("RUST_LOG", "info,redirector=trace,webhooks=trace,notifier=trace,cashback_sync=trace,cron=trace,admin=trace,queue=debug,outbound=trace,networks=trace,store=trace"),
    ])
    .await;
    let mut story = Story::new();
    story.click(&stage.system).await;
    story.purchase(&stage.system).await;
    story.approval(&stage.system).await;
    story.payment(&stage.system).await;
    story.withdrawal(&stage.system).await;
    plant(&stage).await;
    let system = &stage.system;
    let mut reasons = String::new();
    for (queue, least) in [
        (Queue::Email, 2),
        (Queue::Sms, 1),
        (Queue::Cashback, 1),
        (Queue::Payments, 1),
        (Queue::Receipts, 1),
        (Queue::Clicks, 1),
    ] {
        eventually_true(&format!("dead letters of {queue}"), LIMIT, async || {
            queue::admin::stats(&system.kv, queue).await.unwrap().dead >= least
        })
        .await;
        for letter in dead_letters(&system.kv, queue, 0, 100).await.unwrap() {
            reasons.push_str(&format!("{queue} {} {:?}\n", letter.error, letter.failures));
        }
    }

    let mut secrets: Vec<_> = PLANTED.iter().map(|planted| (*planted).to_owned()).collect();
    // Words such as `demo` are no secrets that can be looked for.
    secrets.extend(system.secrets().into_iter().filter(|secret| secret.len() >= 8 && secret != "demo-key"));
    secrets.extend([system.cast.email.clone(), system.cast.mobile.clone()]);
    let mut traces = String::new();
    // A job of cron's begins with the minute.
    eventually_true("the traces", LIMIT * 3, async || {
        traces = collector.text().await;
        ["redirector", "webhooks", "notifier", "cashback-sync", "cron", "admin"]
            .iter()
            .all(|service| traces.contains(&format!("{service:?}")))
    })
    .await;
    let mut outputs = vec![("dead letters".to_owned(), reasons), ("traces".to_owned(), traces)];
    for (name, service) in stage.system.services() {
        outputs.push((name.to_owned(), service.logs()));
    }
    let mut found = String::new();
    for (place, text) in &outputs {
        for secret in &secrets {
            for line in text.lines().filter(|line| line.contains(secret.as_str())) {
                found.push_str(&format!("{secret} in {place}: {}\n", line.chars().take(400).collect::<String>()));
            }
        }
    }
    assert!(found.is_empty(), "{found}");
}
