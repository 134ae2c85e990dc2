//! Webhooks replayed, jobs asked for, links tried, what belongs together found.

use std::process::Command;

use domain::ids::WebhookId;
use domain::job::Queue;
use queue::admin;
use serde_json::json;
use store::{cron_runs, webhooks};
use testkit::{binary, eventually};

use crate::stage::{SOON, Stage};

async fn webhook(stage: &Stage, body: &str) -> WebhookId {
    let id = WebhookId::generate();
    let hash = [7; 32];
    let arrived = webhooks::Arrived {
        id,
        source: "razorpay",
        event_id: "evt_1".to_owned(),
        event: "payment.captured".to_owned(),
        body: body.as_bytes().to_vec(),
        body_sha256: hash,
        body_key: hash,
        headers: json!({ "user-agent": "Razorpay" }).to_string(),
        remote_address: "192.0.2.7".to_owned(),
        given: None,
        promise: None,
        traceparent: None,
        received_at: chrono::Utc::now(),
    };
    let client = stage.pool.get().await.unwrap();
    webhooks::record(&client, &[arrived]).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_seen_masked_and_its_replay_goes_to_the_queue() {
    let stage = Stage::start().await;
    let (operator, viewer) = (stage.person("operator").await, stage.person("viewer").await);
    let id = webhook(&stage, r#"{"event":"payment.captured","email":"asha@example.in","otp":"493817"}"#).await;
    let page = viewer.get(&format!("/admin/webhooks/{id}")).await;
    assert!(
        page.contains("payment.captured") && !page.contains("asha@example.in") && !page.contains("493817"),
        "{page}"
    );
    assert!(!page.contains("Preview a replay"));
    assert!(viewer.get("/admin/webhooks?source=razorpay").await.contains(&id.to_string()));
    assert!(viewer.get("/admin/webhooks?source=admitad").await.contains("No webhook is like that"));
    let shown = operator.post(&format!("/admin/webhooks/{id}/reveal"), &[("reason", "she called")]).await;
    let shown = shown.text().await.unwrap();
    assert!(shown.contains("asha@example.in") && !shown.contains("493817"), "a code is never shown: {shown}");
    for how in ["preview", "replay"] {
        let page = operator.act(&format!("/admin/webhooks/{id}/{how}"), &[("reason", "it was lost")]).await;
        assert!(page.contains("On its way"), "{page}");
    }
    eventually("the replays' jobs", SOON, async || {
        let jobs = admin::peek(&stage.kv, Queue::Payments, 10).await.unwrap();
        (jobs.len() == 2 && String::from_utf8_lossy(&jobs[0]).contains("webhook.replay")).then_some(())
    })
    .await;
    assert!(viewer.get("/admin/timeline?q=evt_1").await.contains(&id.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_asked_for_paused_and_resumed() {
    let stage = Stage::start().await;
    let operator = stage.person("operator").await;
    let client = stage.pool.get().await.unwrap();
    let job = cron_runs::Registration {
        job: "expire-offers",
        about: "Ends offers whose time is over",
        schedule: "*/5 * * * *",
        zone: "Asia/Kolkata",
        words: "Every 5 minutes",
        next_runs: &[chrono::Utc::now()],
        previous_run: None,
    };
    cron_runs::register(&client, &job, None).await.unwrap();
    let page = operator.act("/admin/cron/expire-offers/run", &[("reason", "a test")]).await;
    assert!(page.contains("The run is asked for") && page.contains("operator@example.in"), "{page}");
    let wanted = cron_runs::orphans(&client).await.unwrap();
    assert_eq!((wanted[0].job.as_str(), wanted[0].requested), ("expire-offers", true));
    assert!(operator.act("/admin/cron/expire-offers/pause", &[("reason", "a sale")]).await.contains("a sale"));
    assert!(operator.act("/admin/cron/expire-offers/resume", &[("reason", "it is over")]).await.contains("Pause"));
    assert_eq!(operator.post("/admin/cron/nothing/run", &[("reason", "a test")]).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_tried_with_the_rules_of_the_redirector() {
    let stage = Stage::start().await;
    let viewer = stage.person("viewer").await;
    let seeded = Command::new(binary("admin"))
        .env("DATABASE_URL", stage.database.url())
        .env("VOUCHER_KEY", format!("{}=", "A".repeat(43)))
        .args(["seed", "--links-base", "http://127.0.0.1:8090", "--json"])
        .output()
        .unwrap();
    assert!(seeded.status.success(), "{}", String::from_utf8_lossy(&seeded.stderr));
    let list = viewer.get("/admin/offers").await;
    assert!(list.contains("Phones and headphones") && list.contains("Gadget Galli"), "{list}");
    let at = list.find("/admin/offers/0").unwrap();
    let offer = &list[at..at + "/admin/offers/".len() + 36];
    assert!(viewer.get(offer).await.contains("A shopper would be sent to"));
    let refused = viewer.get(&format!("{offer}?target=https%3A%2F%2Fevil.example.com%2F")).await;
    assert!(refused.contains("Refused:"), "{refused}");
}
