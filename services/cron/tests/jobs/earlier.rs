//! The jobs that were there first: on real data, twice in a row, and killed in their middle.

use domain::ids::OfferId;
use kv::keys;
use kv::redis::AsyncCommands as _;
use serde_json::json;

use crate::sitemap;
use crate::stage::Stage;

#[tokio::test]
async fn offers_whose_time_is_over_end_and_the_cache_forgets_them() {
    let stage = Stage::set().await;
    sitemap::fill(&stage, 5).await;
    stage.batch("UPDATE offers SET active = true").await;
    let late: OfferId = {
        let sql = "SELECT id FROM offers WHERE expires_at < now() LIMIT 1";
        stage.client().await.query_one(sql, &[]).await.unwrap().get(0)
    };
    let key = keys::redirect_url(late);
    let mut cache = stage.kv().commands();
    let _: () = cache.set(&key, "cached").await.unwrap();
    // Killed before the commit: nothing ended. Taken over: all ended, and the cache is right.
    stage.kill_in_the_middle(&["expire_offers"], "LOCK TABLE offer_versions IN ACCESS EXCLUSIVE MODE").await;
    assert_eq!(stage.count("offers WHERE NOT active").await, 0);
    assert_eq!(stage.take_over("expire_offers").await, json!({"expired": 2}));
    let kept: Option<String> = cache.get(&key).await.unwrap();
    assert_eq!((stage.count("offers WHERE NOT active").await, kept), (2, None));
    assert_eq!(stage.run("expire_offers").await, json!({"expired": 0}));
}

#[tokio::test]
async fn each_network_is_asked_once_for_each_nominal_time() {
    let stage = Stage::set().await.with("SYNC_NETWORKS", "admitad,cuelinks");
    let asked = "outbox WHERE kind = 'cashback.sync'";
    for (count, job) in ["sync_networks", "sync_networks_weekly", "sync_networks_monthly"].into_iter().enumerate() {
        stage.kill_in_the_middle(&[job], "LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE").await;
        assert_eq!(stage.take_over(job).await, json!({"networks": 2, "enqueued": 2}));
        assert_eq!(stage.count(asked).await, 2 * i64::try_from(count + 1).unwrap());
    }
    // Another nominal time is another pull.
    assert_eq!(stage.run("sync_networks").await, json!({"networks": 2, "enqueued": 2}));
    let windows = "SELECT count(DISTINCT payload ->> 'window') FROM outbox WHERE kind = 'cashback.sync'";
    assert_eq!(stage.client().await.query_one(windows, &[]).await.unwrap().get::<_, i64>(0), 3);
}

#[tokio::test]
async fn months_ahead_have_their_partitions() {
    let stage = Stage::set().await;
    let parts = "pg_class WHERE relispartition AND relkind = 'r'";
    let before = stage.count(parts).await;
    stage.kill_in_the_middle(&["ensure_partitions"], "LOCK TABLE webhook_logs IN ACCESS EXCLUSIVE MODE").await;
    assert_eq!(stage.count(parts).await, before, "all of it or nothing");
    let report = stage.take_over("ensure_partitions").await;
    let made = report["made"].as_i64().unwrap();
    assert!(made > 0, "{report}");
    assert_eq!(stage.count(parts).await, before + made);
    assert_eq!(stage.run("ensure_partitions").await["made"], json!(0));
}

#[tokio::test]
async fn sessions_that_ended_or_lie_idle_go() {
    let stage = Stage::set().await;
    stage
        .batch(
            "INSERT INTO admin_users (id, email, name, password_hash, role) VALUES ('00000000-0000-7000-8000-000000000001', 'a@x.in', 'A', '$argon2id$x', 'viewer');
             INSERT INTO admin_sessions (token_hash, admin_id, csrf_token, created_at, seen_at, expires_at)
             SELECT sha256(name::bytea), '00000000-0000-7000-8000-000000000001', name, now() - interval '20 hours', seen, ends
             FROM (VALUES ('lives', now(), now() + interval '1 hour'), ('idle', now() - interval '13 hours', now() + interval '1 hour'),
                          ('ended', now(), now() - interval '1 minute')) AS sessions (name, seen, ends)",
        )
        .await;
    let lock = "SELECT FROM admin_sessions WHERE csrf_token = 'ended' FOR UPDATE";
    stage.kill_in_the_middle(&["expire_sessions"], lock).await;
    assert_eq!(stage.count("admin_sessions").await, 3);
    assert_eq!(stage.take_over("expire_sessions").await, json!({"deleted": 2}));
    assert_eq!(stage.count("admin_sessions WHERE csrf_token = 'lives'").await, 1);
    assert_eq!(stage.run("expire_sessions").await, json!({"deleted": 0}));
}

#[tokio::test]
async fn promises_that_are_not_kept_are_told_and_kept_ones_go() {
    let stage = Stage::set().await;
    let fill = "INSERT INTO outbox (id, queue, kind, payload, created_at, relayed_at) VALUES
                    (gen_random_uuid(), 'email', 'x', '{}', now() - interval '9 days', now() - interval '8 days'),
                    (gen_random_uuid(), 'email', 'x', '{}', now() - interval '9 days', now() - interval '8 hours'),
                    (gen_random_uuid(), 'email', 'x', '{}', now() - interval '10 minutes', NULL)";
    stage.batch(fill).await;
    let waiting = |report: &serde_json::Value| (report["waiting"].clone(), report["deleted"].clone());
    assert_eq!(waiting(&stage.run("sweep_outbox").await), (json!(1), json!(1)));
    assert_eq!(stage.run("sweep_outbox").await["deleted"], json!(0));
    assert_eq!(stage.alerts("Promised jobs are not pushed").await, 1);
    stage.batch("DELETE FROM outbox; DELETE FROM alerts; DELETE FROM cron_runs").await;
    stage.batch(fill).await;
    stage.kill_in_the_middle(&["sweep_outbox"], "LOCK TABLE alerts IN ACCESS EXCLUSIVE MODE").await;
    assert_eq!(stage.count("outbox").await, 3);
    stage.take_over("sweep_outbox").await;
    assert_eq!(stage.count("outbox WHERE relayed_at < now() - interval '7 days'").await, 0);
}

#[tokio::test]
async fn webhooks_that_nobody_worked_on_are_queued_again_once_an_hour() {
    let stage = Stage::set().await;
    stage
        .batch(
            "INSERT INTO webhook_logs (id, source, event_id, event, body, body_sha256, headers, remote_address, verdict, received_at)
             SELECT (substr(uuid_floor(now() - age)::text, 1, 14) || '7' || substr(gen_random_uuid()::text, 16))::uuid, source, source || age, 'e', '', sha256(''),
                    '{}', '', 'accepted', now() - age
             FROM unnest(ARRAY['razorpay', 'sendgrid', 'admitad']) AS source, unnest(ARRAY['1 minute', '20 minutes']::interval[]) AS age",
        )
        .await;
    let queued = "outbox WHERE kind IN ('payment.event', 'receipt.event')";
    stage.kill_in_the_middle(&["requeue_stale_webhooks"], "LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE").await;
    assert_eq!(stage.count(queued).await, 0);
    let report = stage.take_over("requeue_stale_webhooks").await;
    assert_eq!((&report["razorpay"], &report["sendgrid"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(stage.count(queued).await, 2);
    // Again within the hour: nothing. The hour is part of the run's nominal time, so that is given.
    let at = "SELECT to_char(scheduled_for + interval '1 second', 'YYYY-MM-DD\"T\"HH24:MI:SSOF:00') FROM cron_runs";
    let at: String = stage.client().await.query_one(at, &[]).await.unwrap().get(0);
    let (well, said) = stage.say(&["run", "requeue_stale_webhooks", "--at", &at]);
    assert!(well && said.contains(r#""stale":3"#), "{said}");
    assert_eq!(stage.count(queued).await, 2);
}
