//! Webhooks replayed, jobs asked for, links tried, what belongs together found.

use std::process::Command;

use domain::ids::{NotificationId, WebhookId};
use domain::job::Queue;
use queue::admin;
use reqwest::Method;
use serde_json::json;
use store::{cron_runs, previews, webhooks};
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
        carried: telemetry::propagation::Carried::default(),
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
    for unknown in ["source=razorpai", "verdict=fine", "state=open", "cursor=1"] {
        let page = viewer.request(Method::GET, &format!("/admin/webhooks?{unknown}")).send().await.unwrap();
        assert_eq!(page.status(), 400, "{unknown} does not mean everything");
        assert_eq!(stage.call(Method::GET, &format!("/webhooks?{unknown}"), None).await.0, 422, "{unknown}");
    }
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
async fn a_word_that_is_not_known_is_refused_and_does_not_mean_everything() {
    let stage = Stage::start().await;
    let viewer = stage.person("viewer").await;
    let lists = [
        ("deliveries", "status=lost"),
        ("deliveries", "cursor=1"),
        ("audit", "cursor=1"),
        ("withdrawals", "status=lost"),
        ("withdrawals", "cursor=1"),
    ];
    for (list, unknown) in lists {
        let page = viewer.request(Method::GET, &format!("/admin/{list}?{unknown}")).send().await.unwrap();
        assert_eq!(page.status(), 400, "{list}?{unknown}");
        assert_eq!(stage.call(Method::GET, &format!("/{list}?{unknown}"), None).await.0, 422, "{list}?{unknown}");
        viewer.get(&format!("/admin/{list}?status=&cursor=")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_paged_each_once_in_whatever_order_their_times_are() {
    let stage = Stage::start().await;
    let client = stage.pool.get().await.unwrap();
    let now = chrono::Utc::now();
    // Asked for in one go; the nominal times are in the past, and not in the order of asking.
    for hours in [3, 1, 4, 2, 5] {
        let (id, at) = (domain::ids::CronRunId::generate(), now - chrono::TimeDelta::hours(hours));
        assert!(cron_runs::request(&client, id, "sitemap", Some(at), "test", "a test", true).await.unwrap());
    }
    client.execute("UPDATE cron_runs SET created_at = now()", &[]).await.unwrap();
    let (mut seen, mut path) = (Vec::new(), "/cron/runs?job=sitemap&limit=2".to_owned());
    loop {
        let (status, page) = stage.call(Method::GET, &path, None).await;
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|run| run["scheduled_for"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/cron/runs?job=sitemap&limit=2&cursor={next}");
    }
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((all, seen.len()), (5, 5), "each run once: {seen:?}");
    let before = (now - chrono::TimeDelta::minutes(150)).format("%Y-%m-%dT%H:%M:%SZ");
    let (_, earlier) = stage.call(Method::GET, &format!("/cron/runs?before={before}"), None).await;
    assert_eq!(earlier["items"].as_array().unwrap().len(), 3, "{earlier}");
    assert_eq!(stage.call(Method::GET, "/cron/runs?cursor=newest", None).await.0, 422);
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
    // However many merchants there are, each offer shows its own.
    let others = "INSERT INTO merchants (id, name, network, campaign_id, tracking_template, allowed_hosts, landing_url, cashback_bps)
                  SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'm', 'admitad', 'other-' || n,
                         'https://ad.admitad.com/g/HASH/?ulp={url}&subid={click_id}&subid4={click_id}', '{shop.example}',
                         'https://shop.example', 500
                  FROM generate_series(1, 1001) n";
    stage.database.client().await.batch_execute(others).await.unwrap();
    let list = viewer.get("/admin/offers").await;
    assert!(list.contains("Phones and headphones") && list.contains("Gadget Galli"), "{list}");
    let at = list.find("/admin/offers/0").unwrap();
    let offer = &list[at..at + "/admin/offers/".len() + 36];
    assert!(viewer.get(offer).await.contains("A shopper would be sent to"));
    let refused = viewer.get(&format!("{offer}?target=https%3A%2F%2Fevil.example.com%2F")).await;
    assert!(refused.contains("Refused:"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_seen_with_its_reports_and_how_such_a_one_looks() {
    let stage = Stage::start().await;
    let viewer = stage.person("viewer").await;
    let id = NotificationId::generate();
    let client = stage.pool.get().await.unwrap();
    let rows = [
        "INSERT INTO notifications (id, event_key, channel, template, lang, category, recipient, address_hash, status, provider,
                                    reason, queued_at)
         VALUES ($1, 'cashback:1:credited', 'email', 'cashback_credited', 'hi', 'money', 'a•••@example.in',
                 sha256('asha@example.in'), 'bounced', 'sendgrid', '550 no asha@example.in here', now())",
        "INSERT INTO notification_events (notification_id, provider_event, status, reason, occurred_at)
         VALUES ($1, 'e1', 'bounced', 'asha@example.in is unknown', now())",
    ];
    for row in rows {
        client.execute(row, &[&id]).await.unwrap();
    }
    let page = format!("/admin/deliveries/{id}");
    let list = viewer.get("/admin/deliveries?status=bounced").await;
    assert!(list.contains(&page), "{list}");
    let known = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'notifications_status_check'";
    let known: String = client.query_one(known, &[]).await.unwrap().get(0);
    let states: Vec<_> = known.split('\'').skip(1).step_by(2).collect();
    assert!(states.len() > 10, "{known}");
    for state in states {
        assert!(list.contains(&format!(">{state}</option>")), "{state} cannot be chosen");
    }
    let shown = viewer.get(&page).await;
    assert!(shown.contains("bounced") && shown.contains("a•••@example.in") && !shown.contains("asha@"), "{shown}");
    assert!(shown.contains("No notifier has told yet"), "{shown}");
    assert_eq!(viewer.request(Method::GET, &format!("{page}/preview")).send().await.unwrap().status(), 404);

    let preview = previews::Preview {
        channel: "email",
        template: "cashback_credited",
        lang: "hi",
        subject: "₹124.95 is in your wallet".to_owned(),
        body: "Namaste Asha".to_owned(),
        html: "<p style=\"color:red\">Namaste</p><script>alert(1)</script>".to_owned(),
    };
    previews::upsert(&client, &preview).await.unwrap();
    let shown = viewer.get(&page).await;
    assert!(shown.contains("₹124.95 is in your wallet") && shown.contains("Namaste Asha"), "{shown}");
    assert!(!shown.contains("alert(1)"), "the mail's HTML stays in its frame: {shown}");
    let frame = viewer.request(Method::GET, &format!("{page}/preview")).send().await.unwrap();
    let policy = frame.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("; sandbox;"), "{policy}");
    assert!(!policy.contains("script-src") && !policy.contains("allow-"), "{policy}");
    assert_eq!(frame.headers()["x-frame-options"], "SAMEORIGIN");
    assert_eq!(frame.text().await.unwrap(), preview.html);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_served_description_of_the_api_is_the_committed_one() {
    let stage = Stage::start().await;
    let served = testkit::http().get(format!("{}/api/v1/openapi.json", stage.service.http())).send().await.unwrap();
    let served: serde_json::Value = served.json().await.unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/contracts/openapi.json");
    let committed: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(served, committed, "run `make generate`");
}
