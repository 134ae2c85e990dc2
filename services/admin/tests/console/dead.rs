//! A job dies, is seen, replayed, and succeeds.

use std::time::Duration;

use domain::ids::{JobId, WithdrawalId};
use domain::job::Queue;
use kv::{keys, redis};
use queue::{Envelope, Producer, admin};
use reqwest::Method;
use serde_json::json;
use serde_json::value::RawValue;
use testkit::eventually;

use crate::stage::{Payouts, SOON, Stage};

async fn push(stage: &Stage) -> String {
    let job = json!({ "kind": "payout.start", "payload": { "withdrawal_id": WithdrawalId::generate() } });
    let (status, answer) = stage.call(Method::POST, "/queue/payments", Some(job)).await;
    assert_eq!(status, 202, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

async fn died(stage: &Stage, id: &str) {
    eventually("the death", SOON, async || {
        admin::dead_letter(&stage.kv, Queue::Payments, id).await.unwrap().filter(|letter| letter.id == id)
    })
    .await;
}

async fn done(stage: &Stage, count: u64) {
    eventually("jobs done", SOON, async || {
        let stats = admin::stats(&stage.kv, Queue::Payments).await.unwrap();
        (stats.counts.get("done").copied() == Some(count) && stats.dead == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_a_dead_letter_and_replays_it() {
    let stage = Stage::start().await;
    let (operator, viewer) = (stage.person("operator").await, stage.person("viewer").await);
    let payouts = Payouts::start(&stage);
    let id = push(&stage).await;
    died(&stage, &id).await;

    let workers = viewer.get("/admin/workers").await;
    assert!(workers.contains("payouts") && workers.contains("/admin/queues/payments/dead"), "{workers}");
    let list = viewer.get("/admin/queues/payments/dead").await;
    assert!(list.contains(&id) && list.contains("payout.start") && list.contains("failed"), "{list}");
    assert!(!list.contains("asha@example.in") && !list.contains("919800000001"), "the error is masked");
    assert!(!list.contains("Replay in the background"), "a viewer is not offered what is refused");
    let none = viewer.get("/admin/queues/payments/dead?kind=email.send").await;
    assert!(none.contains("No dead letter is like that"));

    payouts.mend();
    let letter = format!("/admin/queues/payments/dead/{id}");
    assert!(viewer.get(&letter).await.contains("payout.start"));
    assert_eq!(operator.post(&format!("{letter}/replay"), &[("reason", "")]).await.status(), 400, "why is asked");
    let page = operator.act(&format!("{letter}/replay"), &[("reason", "the bank is mended")]).await;
    assert!(page.contains("The job is back on its queue"));
    done(&stage, 1).await;
    assert_eq!(operator.request(Method::GET, &letter).send().await.unwrap().status(), 404);
    let deeds = stage.audit().await;
    let replay = deeds.iter().find(|(action, ..)| action == "dead.replay").unwrap();
    assert_eq!((&replay.1, replay.2.as_str()), (&format!("dead:payments:{id}"), "the bank is mended"));
    assert_eq!(deeds.iter().filter(|(action, ..)| action == "dead.replay").count(), 1, "what was refused left no note");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_search_replay_and_delete_dead_letters() {
    let stage = Stage::start().await;
    let payouts = Payouts::start(&stage);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(push(&stage).await);
    }
    for id in &ids {
        died(&stage, id).await;
    }
    let mut seen = Vec::new();
    let mut path = "/queue/payments/dead?limit=2".to_owned();
    loop {
        let (status, page) = stage.call(Method::GET, &path, None).await;
        assert_eq!(status, 200, "{page}");
        assert!(!page.to_string().contains("asha"), "{page}");
        seen.extend(page["items"].as_array().unwrap().iter().map(|letter| letter["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("/queue/payments/dead?limit=2&cursor={next}"),
            None => break,
        }
    }
    seen.sort();
    let mut all = ids.clone();
    all.sort();
    assert_eq!(seen, all, "every letter once");
    let (_, counted) = stage.call(Method::GET, &format!("/queue/payments/dead/count?text={}", ids[0]), None).await;
    assert_eq!(counted["count"], 1);

    let one = format!("/queue/payments/dead/{}", ids[0]);
    assert_eq!(stage.call(Method::DELETE, &format!("{one}?reason=a%20test"), None).await.0, 204);
    assert_eq!(stage.call(Method::GET, &one, None).await.0, 404);
    payouts.mend();
    let one = format!("/queue/payments/dead/{}/replay", ids[1]);
    assert_eq!(stage.call(Method::POST, &one, Some(json!({ "reason": "a test" }))).await.0, 204);
    let (status, run) = stage
        .call(Method::POST, "/queue/payments/replays", Some(json!({ "reason": "all of them", "per_second": 1000 })))
        .await;
    assert_eq!(status, 202, "{run}");
    done(&stage, 4).await;
    let run = eventually("the end of the replay", SOON, async || {
        let (_, runs) = stage.call(Method::GET, "/queue/payments/replays", None).await;
        Some(runs["items"][0].clone()).filter(|run| run["state"] == "done")
    })
    .await;
    assert_eq!(run["replayed"], 3);
    assert_eq!(run["by"], "api:everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_many_whose_process_dies_is_carried_on_by_another() {
    let mut stage = Stage::start().await;
    let _other = stage.replica(&[]).await;
    let payouts = Payouts::start(&stage);
    for _ in 0..12 {
        let id = push(&stage).await;
        died(&stage, &id).await;
    }
    payouts.mend();
    let slowly = json!({ "reason": "all of them", "per_second": 2 });
    let (status, run) = stage.call(Method::POST, "/queue/payments/replays", Some(slowly)).await;
    assert_eq!(status, 202, "{run}");
    let kv = stage.kv.clone();
    let run = async || admin::replay_runs(&kv, Queue::Payments).await.unwrap().remove(0);
    eventually("the replay's first jobs", SOON, async || (run().await.replayed >= 2).then_some(())).await;
    stage.service.process().kill();
    let left = run().await;
    assert!(left.state == admin::ReplayState::Running && left.replayed < 12, "{left:?}");
    eventually("the end of the replay", Duration::from_secs(60), async || {
        Some(run().await).filter(|run| run.state == admin::ReplayState::Done)
    })
    .await;
    done(&stage, 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_pushed_only_when_its_payload_is_right() {
    let stage = Stage::start().await;
    for (path, job) in [
        ("/queue/payments", json!({ "kind": "payout.start", "payload": {} })),
        ("/queue/payments", json!({ "kind": "payout.begin", "payload": {} })),
        ("/queue/email", json!({ "kind": "payout.start", "payload": { "withdrawal_id": WithdrawalId::generate() } })),
        ("/queue/payments", json!({ "payload": 1 })),
    ] {
        let (status, problem) = stage.call(Method::POST, path, Some(job)).await;
        assert_eq!((status, &problem["type"]), (422, &json!("invalid")), "{problem}");
    }
    assert_eq!(stage.call(Method::POST, "/queue/letters", Some(json!({}))).await.0, 404);
    assert_eq!(admin::stats(&stage.kv, Queue::Payments).await.unwrap().waiting, 0);

    assert_eq!(
        stage.call(Method::POST, "/queue/payments/pause", Some(json!({ "reason": "the bank sleeps" }))).await.0,
        204
    );
    let payouts = Payouts::start(&stage);
    payouts.mend();
    let id = push(&stage).await;
    let (_, stats) = stage.call(Method::GET, "/queue/payments", None).await;
    assert_eq!((&stats["paused"], &stats["waiting"]), (&json!("the bank sleeps"), &json!(1)));
    let (_, peeked) = stage.call(Method::GET, "/queue/payments/peek", None).await;
    assert_eq!(peeked["items"][0]["id"], id.as_str());
    assert_eq!(stage.call(Method::POST, "/queue/payments/resume", Some(json!({ "reason": "it woke" }))).await.0, 204);
    done(&stage, 1).await;
    let (_, health) = stage.call(Method::GET, "/health/workers", None).await;
    let services: Vec<&str> =
        health["workers"].as_array().unwrap().iter().map(|worker| worker["service"].as_str().unwrap()).collect();
    assert!(services.contains(&"payouts") && services.contains(&"admin"), "{services:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_leads_to_its_trace_and_is_found_by_what_it_belongs_to() {
    let stage = Stage::start_with(&[("TRACE_LINK", "https://traces.example.in/trace/{trace}")]).await;
    let viewer = stage.person("viewer").await;
    let _payouts = Payouts::start(&stage);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let payload = format!("{{\"withdrawal_id\":\"{}\"}}", WithdrawalId::generate());
    let payload = RawValue::from_string(payload).unwrap();
    let mut job = Envelope::new(JobId::generate(), "payout.start", &payload);
    job.correlation_id = Some("checkout-4711".into());
    job.traceparent = Some(format!("00-{trace}-b7ad6b7169203331-01").into());
    Producer::new(stage.kv.clone()).enqueue_envelope(Queue::Payments, false, &job).await.unwrap();
    let id = job.id.to_string();
    died(&stage, &id).await;
    let page = viewer.get(&format!("/admin/queues/payments/dead/{id}")).await;
    assert!(page.contains("/admin/timeline?q=checkout-4711"), "{page}");
    assert!(page.contains(&format!("href=\"https://traces.example.in/trace/{trace}\"")), "{page}");
    let found = viewer.get("/admin/timeline?q=checkout-4711").await;
    assert!(found.contains("dead letter") && found.contains(&format!("/admin/queues/payments/dead/{id}")), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_has_not_looked_at_all_says_so_and_leads_on() {
    let stage = Stage::start().await;
    let operator = stage.person("operator").await;
    let _payouts = Payouts::start(&stage);
    let id = push(&stage).await;
    died(&stage, &id).await;
    // As many as one search looks at died later.
    let later = (chrono::Utc::now() + chrono::TimeDelta::hours(1)).timestamp_millis();
    let mut others = redis::cmd("ZADD");
    others.arg(keys::of_queue(Queue::Payments, "dead_times"));
    (0..5_000).for_each(|number| {
        others.arg(later).arg(format!("other-{number}"));
    });
    others.query_async::<()>(&mut stage.kv.commands()).await.unwrap();
    let page = operator.get(&format!("/admin/queues/payments/dead?text={id}")).await;
    assert!(!page.contains("No dead letter is like that") && page.contains("older ones may be"), "{page}");
    assert!(page.contains("Replay all that this search means"), "{page}");
    let (_, rest) = page.split_once("rel=\"next\" href=\"").expect("a way on");
    let older = rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    assert!(operator.get(&older).await.contains(&format!("/admin/queues/payments/dead/{id}")));
}
