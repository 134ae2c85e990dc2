use serde_json::{Value, json};

use crate::stage::Stage;

/// Webhooks and audit logs of January and of now, with bytes that a text form must escape.
async fn fill(stage: &Stage) {
    stage
        .batch(
            r"SELECT ensure_month_partitions('webhook_logs', '2026-01-01', 1), ensure_month_partitions('audit_logs', '2026-01-01', 1);
            CREATE FUNCTION id_at(at timestamptz) RETURNS uuid LANGUAGE sql AS $$
                SELECT (substr(uuid_floor(at)::text, 1, 14) || '7' || substr(gen_random_uuid()::text, 16))::uuid $$;
            INSERT INTO webhook_logs (id, source, event_id, event, body, body_sha256, headers, remote_address, verdict, received_at)
            SELECT id_at(at), 'razorpay', 'evt_' || at, E'tab\tline\nback\\slash ₹', decode('000aff5c0909', 'hex') || convert_to(at::text, 'UTF8'),
                   sha256(at::text::bytea), jsonb_build_object('x', E'a\nb'), '10.0.0.1', 'accepted', at
            FROM (SELECT '2026-01-10'::timestamptz + n * interval '1 minute' AS at FROM generate_series(1, 5000) n
                  UNION ALL SELECT now()) AS times;
            INSERT INTO audit_logs (id, at, actor, role, action) SELECT id_at(at), at, 'cli', 'cli', 'x'
            FROM (VALUES ('2026-01-10'::timestamptz), (now())) AS times (at)",
        )
        .await;
}

/// What all webhooks come to, whatever their order.
async fn content(stage: &Stage) -> (i64, String) {
    let sql = "SELECT count(*), md5(string_agg(w::text, E'\\n' ORDER BY id)) FROM webhook_logs w";
    let row = stage.client().await.query_one(sql, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

fn counted(report: &Value) -> (i64, i64, i64) {
    let count = |name: &str| report[name].as_i64().unwrap();
    (count("months_dropped"), count("webhook_months"), count("webhooks_archived"))
}

#[tokio::test]
async fn old_webhooks_go_when_they_are_archived_and_come_back_as_they_were() {
    let stage = Stage::set().await;
    let folder = stage.folder.path().display().to_string();
    let stage = stage.with("LOG_ARCHIVE_STORE", &folder);
    fill(&stage).await;
    let before = content(&stage).await;
    assert_eq!(before.0, 5001);
    let (well, said) = stage.say(&["run", "clean_logs", "--dry-run"]);
    assert!(well && said.contains(r#""webhook_months":1"#), "{said}");
    assert_eq!(content(&stage).await, before);

    assert_eq!(counted(&stage.run("clean_logs").await), (1, 1, 5000));
    assert_eq!((content(&stage).await.0, stage.count("audit_logs").await), (1, 1));
    assert_eq!(counted(&stage.run("clean_logs").await), (0, 0, 0));
    let (well, said) = stage.say(&["archive", "list"]);
    assert!(well && said.contains("webhook_logs_2026_01  5000 rows"), "{said}");
    assert!(stage.say(&["archive", "verify"]).0);

    let restore = ["archive", "restore", "webhook_logs_2026_01", "--reason", "a dispute"];
    assert!(stage.say(&restore).0);
    assert_eq!(content(&stage).await, before, "every byte is as it was");
    let (well, said) = stage.say(&restore);
    assert!(!well && said.contains("holds rows"), "{said}");
    assert_eq!(stage.count("audit_logs WHERE action = 'archive.restore' AND reason = 'a dispute'").await, 1);
    assert_eq!(counted(&stage.run("clean_logs").await), (0, 1, 5000));
}

#[tokio::test]
async fn nothing_is_dropped_whose_archive_is_not_whole() {
    let stage = Stage::set().await;
    let folder = stage.folder.path().display().to_string();
    let stage = stage.with("LOG_ARCHIVE_STORE", &folder);
    fill(&stage).await;
    let before = content(&stage).await;
    stage.run("clean_logs").await;
    assert!(stage.say(&["archive", "restore", "webhook_logs_2026_01", "--reason", "a try"]).0);
    let file = stage.folder.path().join("webhook_logs_2026_01.copy.gz");
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [flipped, whole[..whole.len() - 9].to_vec(), Vec::new()] {
        std::fs::write(&file, damaged).unwrap();
        let (well, said) = stage.say(&["archive", "verify"]);
        assert!(!well && said.contains("webhook_logs_2026_01 is not"), "{said}");
        assert_eq!(content(&stage).await, before);
    }
    let said = stage.run_and_fail("clean_logs");
    assert!(said.contains("was not dropped"), "{said}");
    assert_eq!(content(&stage).await, before);
    // Nor one that holds more than its archive.
    std::fs::write(&file, whole).unwrap();
    stage
        .batch(
            "INSERT INTO webhook_logs SELECT id_at('2026-01-11'), source, 'late', event, body, body_sha256, headers, remote_address,
                    verdict, reason, received_at FROM webhook_logs LIMIT 1",
        )
        .await;
    assert!(stage.run_and_fail("clean_logs").contains("it holds 5001 rows, and the archive 5000"));
    assert_eq!(content(&stage).await.0, 5002);
}

#[tokio::test]
async fn a_run_that_is_killed_while_it_archives_or_before_it_drops_is_taken_over() {
    let (stage, bucket) = Stage::set().await.with_bucket();
    let stage = stage.with("LOG_ARCHIVE_STORE", "s3://shop/logs");
    fill(&stage).await;
    let before = content(&stage).await;
    stage.kill_while_writing("clean_logs", &bucket, ".json").await;
    assert_eq!(content(&stage).await, before, "rows without a manifest are no archive");
    assert_eq!(counted(&stage.take_over("clean_logs").await), (0, 1, 5000));
    assert_eq!(content(&stage).await.0, 1);

    assert!(stage.say(&["archive", "restore", "webhook_logs_2026_01", "--reason", "a try"]).0);
    stage.batch("DELETE FROM cron_runs").await;
    stage.kill_in_the_middle(&["clean_logs"], "LOCK TABLE webhook_logs IN ACCESS SHARE MODE").await;
    assert_eq!(content(&stage).await, before);
    assert_eq!(counted(&stage.take_over("clean_logs").await), (0, 1, 5000));
    assert_eq!(bucket.files().len(), 2);
    assert!(stage.say(&["archive", "verify"]).0);
}

#[tokio::test]
async fn without_an_archive_old_webhooks_stay_and_somebody_is_told_once() {
    let stage = Stage::set().await;
    fill(&stage).await;
    assert_eq!(counted(&stage.run("clean_logs").await), (1, 0, 0));
    assert_eq!(counted(&stage.run("clean_logs").await), (0, 0, 0));
    assert_eq!(content(&stage).await.0, 5001);
    assert_eq!(stage.alerts("Old webhooks are not archived").await, 1);
    let report = stage.run("clean_logs").await;
    assert_eq!(report["samples"], json!(0));
}
