use domain::job::Queue;
use domain::jobs::payment::StartPayout;
use kv::{keys, redis};
use queue::{Enqueue, Producer};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::stage::{SOON, Stage};

/// As if cron had been watching for an hour.
async fn long_watched(stage: &Stage) {
    let scheduler = stage.scheduler("");
    let known = "cron_jobs WHERE job = 'remind_pending'";
    testkit::eventually_true("the jobs are known", SOON, async || stage.count(known).await > 0).await;
    drop(scheduler);
    stage
        .batch(
            "INSERT INTO cron_jobs (job, about, schedule, zone, words) VALUES ('worker_watch', '', '* * * * *', 'UTC', '');
             UPDATE cron_jobs SET known_since = now() - interval '1 hour', previous_run = NULL",
        )
        .await;
}

async fn troubles(stage: &Stage) -> Vec<String> {
    let sql = "SELECT key FROM alerts WHERE closed_at IS NULL ORDER BY key";
    stage.client().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn watch(stage: &Stage) -> i64 {
    let report: Value = stage.run("worker_watch").await;
    report["new_troubles"].as_i64().unwrap()
}

#[tokio::test]
async fn postgres_has_nothing_to_warn_of() {
    let stage = Stage::set().await.with("RUST_LOG", "info");
    let (well, said) = stage.say(&["run", "worker_watch"]);
    assert!(well && said.contains("worker_watch") && !said.contains("WARNING"), "{said}");
}

#[tokio::test]
async fn a_service_that_went_or_never_came_is_told_once_and_once_when_it_is_there() {
    let stage = Stage::set().await.with("EXPECTED_SERVICES", "redirector,notifier");
    assert_eq!(watch(&stage).await, 0, "nobody has watched for long");
    long_watched(&stage).await;
    assert_eq!(watch(&stage).await, 2);
    assert_eq!(watch(&stage).await, 0);
    assert_eq!(troubles(&stage).await, ["service-gone:notifier", "service-gone:redirector"]);

    let end = CancellationToken::new();
    let sign = tokio::spawn(queue::presence::show(stage.kv(), "redirector", end.clone()));
    let lives = async || queue::admin::workers(&stage.kv()).await.unwrap().len() == 1;
    testkit::eventually_true("a sign of life", SOON, lives).await;
    assert_eq!(stage.run("worker_watch").await["workers"], json!(1));
    assert_eq!(troubles(&stage).await, ["service-gone:notifier"]);
    assert_eq!(stage.alerts("Over: No process of redirector is alive").await, 1);
    // It ends. A minute later nothing is told yet, five minutes later once.
    end.cancel();
    sign.await.unwrap();
    assert_eq!(watch(&stage).await, 0);
    stage.batch("UPDATE services_seen SET last_beat = now() - interval '6 minutes'").await;
    assert_eq!(watch(&stage).await, 1);
    assert_eq!(watch(&stage).await, 0);
    assert_eq!(stage.alerts("No process of redirector is alive").await, 2);
}

/// How many workers of a service the figures on this ops port show; `None` when there is no such series.
async fn figure(ops: &str, service: &str) -> Option<u64> {
    let text = testkit::http().get(format!("{ops}/metrics")).send().await.unwrap().text().await.unwrap();
    let label = format!("service=\"{service}\"");
    let line = text.lines().find(|line| line.starts_with("service_workers{") && line.contains(&label))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn a_service_without_a_sign_of_life_is_a_figure_whether_it_went_or_never_came() {
    let stage = Stage::set().await.with("EXPECTED_SERVICES", "redirector,admin");
    let end = CancellationToken::new();
    let sign = tokio::spawn(queue::presence::show(stage.kv(), "redirector", end.clone()));
    let scheduler = stage.scheduler("");
    let figures = async || (figure(scheduler.ops(), "redirector").await, figure(scheduler.ops(), "admin").await);
    testkit::eventually_true("one lives, one never came", SOON, async || figures().await == (Some(1), Some(0))).await;
    end.cancel();
    sign.await.unwrap();
    testkit::eventually_true("it went", SOON, async || figures().await == (Some(0), Some(0))).await;
}

#[tokio::test]
async fn what_is_late_grows_or_is_missing_is_told_once_and_once_when_it_is_over() {
    let stage = Stage::set().await.with("EXPECTED_SERVICES", ",").with("DEAD_LETTERS_AN_HOUR", "3");
    long_watched(&stage).await;
    assert_eq!(watch(&stage).await, 0);
    // A network that was read up to the day before yesterday; one of which no pull succeeded; one that was never asked.
    stage
        .batch(
            "INSERT INTO sync_runs (id, network, requested, read_window, requested_by, status, started_at, finished_at) VALUES
                 ('00000000-0000-7000-8000-000000000001', 'admitad', '{}', '{}', 'cron', 'succeeded', now() - interval '40 hours', now()),
                 ('00000000-0000-7000-8000-000000000002', 'cuelinks', '{}', '{}', 'cron', 'failed', now() - interval '3 days', now());
             INSERT INTO sync_cursors (network, read_up_to, run_id) VALUES ('admitad', now() - interval '40 hours', '00000000-0000-7000-8000-000000000001')",
        )
        .await;
    // Dead letters: four, where there was none half an hour ago.
    stage
        .batch(
            "UPDATE queue_samples SET taken_at = now() - interval '30 minutes' WHERE queue = 'email';
             DELETE FROM queue_samples WHERE queue <> 'email'",
        )
        .await;
    let kv = stage.kv();
    let mut commands = kv.commands();
    for number in 0..4 {
        let (id, key) = (format!("job-{number}"), keys::of_queue(Queue::Email, "dead"));
        redis::cmd("HSET").arg(key).arg(id).arg("{}").query_async::<()>(&mut commands).await.unwrap();
    }
    // A job that has waited for an hour, and a run that should have begun half an hour ago.
    let job = StartPayout { withdrawal_id: domain::ids::WithdrawalId::generate() };
    Producer::new(stage.kv()).enqueue(Enqueue::new(&job)).await.unwrap();
    let ready = keys::ready(Queue::Payments);
    let body: String = redis::cmd("LINDEX").arg(&ready).arg(0).query_async(&mut commands).await.unwrap();
    let mut body: Value = serde_json::from_str(&body).unwrap();
    body["enqueued_at"] = json!(chrono::DateTime::<chrono::Utc>::from_timestamp(1_700_000_000, 0).unwrap());
    redis::cmd("LSET").arg(&ready).arg(0).arg(body.to_string()).query_async::<()>(&mut commands).await.unwrap();
    stage.batch("UPDATE cron_jobs SET previous_run = now() - interval '30 minutes' WHERE job = 'sitemap'").await;

    assert_eq!(watch(&stage).await, 5);
    assert_eq!(watch(&stage).await, 0);
    let found = [
        "dead-letters-grow:email",
        "queue-late:payments",
        "run-missing:sitemap",
        "sync-late:admitad",
        "sync-late:cuelinks",
    ];
    assert_eq!(troubles(&stage).await, found);

    // All of it is mended.
    stage
        .batch(
            "UPDATE sync_cursors SET read_up_to = now();
             INSERT INTO sync_cursors (network, read_up_to, run_id) VALUES ('cuelinks', now(), '00000000-0000-7000-8000-000000000002');
             UPDATE cron_jobs SET previous_run = NULL",
        )
        .await;
    for key in [keys::of_queue(Queue::Email, "dead"), ready] {
        redis::cmd("DEL").arg(key).query_async::<()>(&mut commands).await.unwrap();
    }
    assert_eq!(watch(&stage).await, 0);
    assert!(troubles(&stage).await.is_empty());
    assert_eq!(stage.count("outbox WHERE payload #>> '{message,title}' LIKE 'Over: %'").await, 5);
}

#[tokio::test]
async fn a_watch_that_is_killed_in_its_middle_is_taken_over_and_tells_once() {
    let stage = Stage::set().await.with("EXPECTED_SERVICES", "notifier").with("SERVICE_GONE_SECONDS", "1");
    long_watched(&stage).await;
    stage.kill_in_the_middle(&["worker_watch"], "LOCK TABLE queue_samples IN ACCESS EXCLUSIVE MODE").await;
    assert!(troubles(&stage).await.is_empty());
    stage.take_over("worker_watch").await;
    assert_eq!(troubles(&stage).await, ["service-gone:notifier"]);
    assert_eq!(stage.alerts("No process of notifier is alive").await, 1);
}
