//! The control API: faults, journal, reset, bulk, pages, start and end.

use crate::running::{Running, json};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

fn mail() -> Value {
    json!({
        "personalizations": [{"to": [{"email": "asha@example.in"}]}], "from": {"email": "a@example.in"}, "subject": "Hi",
        "content": [{"type": "text/html", "value": "<p id=\"greeting\">hello</p>"}],
    })
}

async fn send(sim: &Running) -> Result<reqwest::Response, reqwest::Error> {
    sim.post("/sendgrid/v3/mail/send").bearer_auth("SG.synthetic-secret").json(&mail()).send().await
}

async fn received(sim: &Running) -> u64 {
    sim.look("inbox.json").await["received"].as_u64().expect("a number")
}

#[tokio::test]
async fn faults_hit_the_next_requests_and_no_more() {
    let sim = Running::start(&[]);
    let fault = |more: Value| {
        let mut fault = json!({"provider": "sendgrid", "times": 1});
        fault.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        sim.control("faults", fault)
    };
    fault(json!({"fault": "status", "status": 503})).await;
    let failed = send(&sim).await.expect("an answer");
    assert_eq!(failed.status(), 503);
    assert!(json(failed).await["errors"].is_array());
    assert_eq!(send(&sim).await.expect("an answer").status(), 202);
    fault(json!({"fault": "status", "status": 418, "body": {"tea": true}})).await;
    assert_eq!(json(send(&sim).await.expect("an answer")).await, json!({"tea": true}));
    fault(json!({"fault": "rate_limit"})).await;
    let limited = send(&sim).await.expect("an answer");
    assert_eq!(limited.status(), 429);
    fault(json!({"fault": "html"})).await;
    let html = send(&sim).await.expect("an answer");
    assert_eq!(
        (html.status().as_u16(), &html.headers()["content-type"]),
        (502, &"text/html".parse().expect("a header"))
    );
    assert_eq!(received(&sim).await, 1, "none of these took the mail");
    fault(json!({"fault": "reset"})).await;
    let reset = send(&sim).await.expect_err("no answer");
    assert!(!reset.is_timeout());
    assert_eq!(received(&sim).await, 1);
    fault(json!({"fault": "accept_then_timeout", "ms": 200})).await;
    let started = Instant::now();
    send(&sim).await.expect_err("no answer");
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(received(&sim).await, 2, "the mail was taken, though nobody was told");
    fault(json!({"fault": "latency", "ms": 200})).await;
    let started = Instant::now();
    assert_eq!(send(&sim).await.expect("an answer").status(), 202);
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(sim.look("faults").await["faults"], json!([]), "used up");
}

#[tokio::test]
async fn a_cut_answer_has_its_length_but_not_its_end() {
    let sim = Running::start(&[]);
    sim.control("transactions/bulk", json!({"network": "cuelinks", "count": 30})).await;
    sim.control("faults", json!({"provider": "cuelinks", "fault": "cut_body", "path_contains": "transactions"})).await;
    let ping = sim.get("/cuelinks/pub_api/v3/ping").header("Authorization", "Token k").send().await.expect("an answer");
    assert!(ping.text().await.is_ok(), "another path is spared");
    let path = "/cuelinks/pub_api/v3/transactions";
    for _ in 0..2 {
        let cut = sim.get(path).header("Authorization", "Token k").send().await.expect("the head of an answer");
        assert_eq!(cut.status(), 200);
        cut.text().await.expect_err("half a body");
    }
    assert_eq!(sim.look("faults").await["faults"][0]["hits"], 2);
    let removed =
        sim.request(reqwest::Method::DELETE, "/_sim/faults?provider=cuelinks").send().await.expect("an answer");
    assert_eq!(json(removed).await["removed"], 1);
    assert!(sim.get(path).header("Authorization", "Token k").send().await.expect("an answer").text().await.is_ok());
}

#[tokio::test]
async fn the_journal_tells_what_was_asked_without_secrets() {
    let sim = Running::start(&[]);
    send(&sim).await.expect("an answer");
    let form = "grant_type=refresh_token&client_id=c&client_secret=hidden-1&refresh_token=hidden-2";
    sim.post("/admitad/token/").body(form).send().await.expect("an answer");
    sim.get("/vcommission/v2/publishers/conversions?apiKey=hidden-3&start=1").send().await.expect("an answer");
    let journal = sim.look("requests").await;
    let text = journal.to_string();
    assert_eq!(journal["count"], 3);
    assert!(!text.contains("hidden") && !text.contains("SG.synthetic-secret"), "{text}");
    let mail = &sim.look("requests?provider=sendgrid").await["requests"][0];
    assert_eq!(
        (&mail["auth"], &mail["status"], &mail["body"]["subject"]),
        (&json!("Bearer"), &json!(202), &json!("Hi"))
    );
    assert_eq!(sim.look("stats").await["requests"]["sendgrid"]["202"], 1);
}

#[tokio::test]
async fn fifty_thousand_rows_are_made_at_once_and_the_same_for_a_seed() {
    let sim = Running::start(&[]);
    let ask = json!({"network": "admitad", "count": 50_000, "days": 180, "seed": 9, "until": "2026-01-01T00:00:00Z"});
    let started = Instant::now();
    let made = sim.control("transactions/bulk", ask.clone()).await;
    // Far above what it takes, even unoptimised on a busy machine; a quadratic way would not make it.
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!((&made["count"], &sim.look("stats").await["transactions"]["admitad"]), (&json!(50_000), &json!(50_000)));
    let other = Running::start(&[]);
    assert_eq!(other.control("transactions/bulk", ask).await, made);
    let turns = json!({"network": "cuelinks", "count": 4, "sub_ids": ["a", "b"], "statuses": ["validated"]});
    sim.control("transactions/bulk", turns).await;
    assert_eq!(sim.look("transactions?network=cuelinks&sub_id=a&status=validated").await["count"], 2);
}

#[tokio::test]
async fn the_seed_decides_ids_and_keys() {
    let new = json!({"network": "vcommission", "commission": "1.00", "at": "2026-01-01T00:00:00Z"});
    let mut made = Vec::new();
    for seed in ["3", "3", "4"] {
        let sim = Running::start(&["--seed", seed]);
        made.push((sim.control("transactions", new.clone()).await, sim.look("keys").await));
    }
    assert_eq!(made[0], made[1]);
    assert_ne!(made[0].0["id"], made[2].0["id"]);
    assert_ne!(made[0].1, made[2].1);
}

#[tokio::test]
async fn unknown_words_are_refused_unless_forced() {
    let sim = Running::start(&[]);
    let refused = |path: &'static str, body: Value| {
        let request = sim.post(&format!("/_sim/{path}")).json(&body);
        async { request.send().await.expect("an answer") }
    };
    let unknown = refused("transactions", json!({"network": "cuelinks", "status": "approved"})).await;
    assert_eq!(unknown.status(), 400);
    assert!(json(unknown).await["error"].as_str().is_some_and(|e| e.contains("validated")));
    sim.control("transactions", json!({"network": "cuelinks", "id": "77", "status": "strange", "force": true})).await;
    for (path, body, status) in [
        ("transactions", json!({"network": "cuelinks", "id": "77"}), 409),
        ("transactions", json!({"network": "cuelinks", "commission": 1.5}), 400),
        ("transactions", json!({"network": "cuelinks", "commission": "1,5"}), 400),
        ("transactions", json!({"network": "nobody"}), 400),
        ("transactions/cuelinks/78", json!({}), 404),
        ("transactions/cuelinks/77", json!({"status": "other"}), 400),
        ("config", json!({"no_such_setting": 1}), 400),
        ("faults", json!({"provider": "sendgrid", "fault": "fire"}), 400),
        ("payouts/pout_x/processed", json!({}), 404),
        ("payments", json!({"amount_paise": 1, "event": "payment.unheard"}), 400),
        ("webhooks/custom", json!({"source": "razorpay", "event": "x", "body": "{}"}), 400),
        ("nothing", json!({}), 404),
    ] {
        let answer = refused(path, body.clone()).await;
        assert_eq!(answer.status(), status, "{path} {body}");
        assert!(json(answer).await["error"].is_string());
    }
}

#[tokio::test]
async fn reset_forgets_the_world_and_keeps_the_settings() {
    let sim = Running::start(&["--config", r#"{"admitad_token_ttl_s": 5}"#]);
    send(&sim).await.expect("an answer");
    let first = sim.control("transactions", json!({"network": "admitad"})).await["id"].clone();
    sim.control("config", json!({"cuelinks_postback_token": "t"})).await;
    sim.control("reset", json!({})).await;
    assert_eq!((received(&sim).await, &sim.look("transactions").await["count"]), (0, &json!(0)));
    assert_eq!(sim.look("config").await["cuelinks_postback_token"], "t");
    assert_eq!(sim.control("transactions", json!({"network": "admitad"})).await["id"], first);
    sim.control("reset", json!({"settings": true})).await;
    let settings = sim.look("config").await;
    assert_eq!((&settings["cuelinks_postback_token"], &settings["admitad_token_ttl_s"]), (&json!(""), &json!(5)));
}

#[tokio::test]
async fn the_inbox_is_bounded_and_has_pages() {
    let sim = Running::start(&["--inbox-limit", "3"]);
    for _ in 0..5 {
        send(&sim).await.expect("an answer");
    }
    let inbox = sim.look("inbox.json").await;
    assert_eq!((&inbox["count"], &inbox["received"]), (&json!(3), &json!(5)));
    let page = |path: &'static str| async { sim.get(path).send().await.expect("an answer") };
    let list = page("/_sim/inbox?to=&channel=email").await.text().await.expect("a page");
    assert!(list.contains("asha@example.in") && list.contains("/_sim/inbox/5"), "{list}");
    let one = page("/_sim/inbox/5").await.text().await.expect("a page");
    assert!(
        one.contains("<iframe sandbox=") && !one.contains("id=\"greeting\""),
        "the mail's HTML is only in the frame"
    );
    let frame = page("/_sim/inbox/5/html").await;
    assert!(frame.headers()["content-security-policy"].to_str().is_ok_and(|p| p.contains("sandbox")));
    assert_eq!(frame.text().await.expect("a page"), "<p id=\"greeting\">hello</p>");
    assert_eq!(page("/_sim/inbox/1").await.status(), 404);
    assert_eq!(page("/_sim/activity").await.status(), 200);
}

#[tokio::test]
async fn sigterm_ends_it_with_zero_even_with_work_under_way() {
    let mut sim = Running::start(&[]);
    sim.control("config", json!({"razorpay_webhook_url": "http://127.0.0.1:9/", "retry": {"base_ms": 60_000}})).await;
    sim.control("payments", json!({"amount_paise": 100})).await;
    let started = Instant::now();
    assert_eq!(sim.terminate(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn settings_that_cannot_be_used_end_it_with_64() {
    let ended = Command::new(env!("CARGO_BIN_EXE_provider-sim")).args(["--config", r#"{"nonsense": 1}"#]).output();
    let ended = ended.expect("it runs");
    assert_eq!(ended.status.code(), Some(64));
    assert!(ended.stdout.is_empty());
    assert!(String::from_utf8_lossy(&ended.stderr).contains("nonsense"));
}
