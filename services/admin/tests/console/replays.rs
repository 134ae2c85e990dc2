//! Many webhooks previewed, replayed, aborted, from the console.

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::WebhookId;
use serde_json::json;
use store::webhooks::{self, Arrived, Verdict};
use testkit::{eventually, eventually_true};

use crate::stage::{Person, SOON, Stage};

/// So many webhooks that do nothing, and one that nobody could verify.
async fn webhooks(stage: &Stage, count: u8) {
    let arrived = |number: u8, given: Option<(Verdict, String)>| {
        let hash = [number; 32];
        let body = json!({ "entity": "event", "account_id": "acc_SYNTH000000001", "event": "settlement.processed",
                           "contains": [], "payload": {}, "created_at": 1_790_000_006 });
        Arrived {
            id: WebhookId::generate(),
            source: "razorpay",
            event_id: format!("evt_{number}"),
            event: "settlement.processed".to_owned(),
            body: body.to_string().into_bytes(),
            body_sha256: hash,
            body_key: hash,
            headers: "{}".to_owned(),
            remote_address: "192.0.2.7".to_owned(),
            given,
            promise: None,
            carried: telemetry::propagation::Carried::default(),
            received_at: Utc::now(),
        }
    };
    let mut all: Vec<_> = (0..count).map(|number| arrived(number, None)).collect();
    all.push(arrived(count, Some((Verdict::Rejected, "no signature".to_owned()))));
    let client = stage.pool.get().await.unwrap();
    webhooks::record(&client, &all).await.unwrap();
}

fn an_hour_ago() -> String {
    let at: DateTime<_> = (Utc::now() - TimeDelta::hours(1)).with_timezone(&chrono_tz::Asia::Kolkata);
    at.format("%Y-%m-%dT%H:%M").to_string()
}

/// Fills in the form below the search; gives the address of the preview.
async fn previewed(person: &Person, per_second: &str) -> String {
    let since = an_hour_ago();
    let fields = [
        ("source", "razorpay"),
        ("verdict", ""),
        ("state", "without_effect"),
        ("since", since.as_str()),
        ("until", ""),
        ("per_second", per_second),
        ("reason", "it was lost"),
    ];
    let answer = person.post("/admin/webhook-replays", &fields).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let place = answer.headers()["location"].to_str().unwrap().to_owned();
    place.split('?').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_webhooks_are_previewed_then_replayed_and_the_page_reports_it() {
    let stage = Stage::start().await;
    let (operator, viewer) = (stage.person("operator").await, stage.person("viewer").await);
    let _webhooks = stage.webhooks();
    webhooks(&stage, 30).await;
    let search = format!("/admin/webhooks?source=razorpay&state=without_effect&since={}", an_hour_ago());
    assert!(operator.get("/admin/webhooks?source=razorpay").await.contains("Choose since when first"));
    assert!(operator.get(&search).await.contains("action=\"/admin/webhook-replays\""));
    assert!(!viewer.get(&search).await.contains("/admin/webhook-replays"), "a viewer is not offered what is refused");
    let later = operator.get("/admin/webhooks?since=2999-01-01T00:00").await;
    assert!(later.contains("No webhook is like that"), "{later}");

    let run = previewed(&operator, "20").await;
    let page = operator.get(&run).await;
    assert!(page.contains("Replay of 30 webhooks") && page.contains("never replayed"), "{page}");
    let now = format!("{run}/now");
    eventually_true("the preview's answers", SOON, async || {
        let now = viewer.get(&now).await;
        now.contains("tried on 2 of them") && now.matches("nothing to do").count() == 2
    })
    .await;
    let client = stage.pool.get().await.unwrap();
    let effects = "SELECT count(*) FROM webhook_effects";
    assert_eq!(client.query_one(effects, &[]).await.unwrap().get::<_, i64>(0), 0, "a preview does nothing");

    assert_eq!(operator.post(&format!("{run}/start"), &[("reason", "")]).await.status(), 400, "why is asked");
    let page = operator.act(&format!("{run}/start"), &[("reason", "it was lost")]).await;
    assert!(page.contains("The replay has begun") && page.contains(">Abort<"), "{page}");
    assert_eq!(operator.post(&format!("{run}/start"), &[("reason", "again")]).await.status(), 409, "once");
    let report = eventually("the end of the replay", SOON, async || {
        let now = viewer.get(&now).await;
        Some(now).filter(|now| now.contains(">asked<") && now.contains("<span class=\"big\">0</span> not ended"))
    })
    .await;
    assert!(report.contains("<span class=\"big\">30</span> of 30 asked for"), "{report}");
    assert!(report.contains("<span class=\"big\">30</span> applied"), "{report}");
    assert_eq!(client.query_one(effects, &[]).await.unwrap().get::<_, i64>(0), 30);
    assert!(viewer.get("/admin/webhooks").await.contains(&run), "the list leads to it");

    let deeds = stage.audit().await;
    let target = run.replace("/admin/webhook-replays/", "webhook-replay:");
    for action in ["webhook.preview_many", "webhook.replay_many"] {
        let noted = deeds.iter().filter(|deed| deed.0 == action && deed.1 == target && deed.2 == "it was lost").count();
        assert_eq!(noted, 1, "{action} in {deeds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_many_is_aborted_and_asks_for_no_more() {
    let stage = Stage::start().await;
    let operator = stage.person("operator").await;
    webhooks(&stage, 100).await;
    let run = previewed(&operator, "1").await;
    operator.act(&format!("{run}/start"), &[("reason", "it was lost")]).await;
    let client = stage.pool.get().await.unwrap();
    let asked =
        async || -> i64 { client.query_one("SELECT asked FROM webhook_replay_runs", &[]).await.unwrap().get(0) };
    eventually_true("it moves", SOON, async || asked().await > 0).await;
    let page = operator.act(&format!("{run}/abort"), &[("reason", "a mistake")]).await;
    assert!(page.contains("No more webhooks are asked for") && page.contains("aborted"), "{page}");
    assert!(asked().await < 100);
    let replays = "SELECT count(*) FROM webhook_replays WHERE NOT dry_run";
    assert_eq!(client.query_one(replays, &[]).await.unwrap().get::<_, i64>(0), asked().await);
    assert_eq!(operator.post(&format!("{run}/abort"), &[("reason", "a mistake")]).await.status(), 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_does_not_mean_everything() {
    let stage = Stage::start().await;
    let operator = stage.person("operator").await;
    webhooks(&stage, 1).await;
    let since = an_hour_ago();
    let right = [("since", since.as_str()), ("per_second", "100"), ("reason", "it was lost")];
    for wrong in [
        ("source", "razorpoy"),
        ("verdict", "excepted"),
        ("state", "done"),
        ("since", ""),
        ("since", "yesterday"),
        ("until", "2020-01-01T00:00"),
        ("per_second", "0"),
        ("per_second", "1001"),
        ("reason", ""),
    ] {
        let mut fields: Vec<_> = right.into_iter().filter(|(name, _)| *name != wrong.0).collect();
        fields.push(wrong);
        assert_eq!(operator.post("/admin/webhook-replays", &fields).await.status(), 400, "{wrong:?}");
    }
    assert_eq!(operator.post("/admin/webhook-replays", &right).await.status(), 303);
}
