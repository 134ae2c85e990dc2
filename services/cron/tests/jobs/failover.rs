//! Three replicas of the real service: who is stopped in the middle of a run loses it, and what it does after it wakes has no
//! effect.

use std::time::{Duration, Instant};

use domain::ids::CronRunId;
use serde_json::json;
use store::cron_runs;

use crate::stage::{SOON, Stage};

/// The promise: somebody else has the run this long after its holder went silent.
const FAIL_OVER: Duration = Duration::from_secs(10);

async fn holder(stage: &Stage) -> (String, i64) {
    let row = stage.client().await.query_one("SELECT worker, token FROM cron_runs", &[]).await.unwrap();
    (row.get(0), row.get(1))
}

/// Stops the holder of a run of the wallets' check while it reads, and lets two others take it over. With the lease that is
/// the default.
#[tokio::test]
async fn serial_a_paused_leader_is_overtaken_in_ten_seconds_and_cannot_write_when_it_wakes() {
    let stage = Stage::set().await.with("CRON_LEASE_SECONDS", "8");
    let asha = stage.shopper(50_000).await;
    let drift = "UPDATE wallet_balances SET balance_paise = balance_paise + $2 WHERE user_id = $1";
    stage.execute(drift, &[&asha, &100_i64]).await;
    let is_frozen =
        async || store::users::find(&stage.client().await, asha).await.unwrap().unwrap().frozen_at.is_some();

    let blocker = stage.database.client().await;
    blocker.batch_execute("BEGIN; LOCK TABLE wallet_balances IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut leader = stage.scheduler("");
    testkit::eventually_true("the jobs are known", SOON, async || stage.count("cron_jobs").await > 0).await;
    let client = stage.client().await;
    let id = CronRunId::generate();
    assert!(cron_runs::request(&client, id, "verify_wallets", None, "asha", "a try", false).await.unwrap());
    let waiting = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    testkit::eventually_true("the leader reads", SOON, async || stage.count(waiting).await > 0).await;
    let (first, token) = holder(&stage).await;

    let _others = [stage.scheduler(""), stage.scheduler("")];
    leader.process().signal("STOP");
    let stopped = Instant::now();
    // The leader's answer comes, and lies there until it wakes.
    blocker.batch_execute("ROLLBACK").await.unwrap();
    testkit::eventually_true("another replica has the run", SOON, async || holder(&stage).await.0 != first).await;
    let took = stopped.elapsed();
    println!("taken over {:.1} s after the leader was stopped", took.as_secs_f64());
    assert!(took <= FAIL_OVER, "{took:?}");
    let done = "cron_runs WHERE status = 'succeeded' AND attempt = 2";
    testkit::eventually_true("it is done", SOON, async || stage.count(done).await == 1).await;
    assert!(is_frozen().await && holder(&stage).await.1 > token);

    // Meanwhile people set everything right. The leader still believes what it read.
    stage.execute(drift, &[&asha, &-100_i64]).await;
    store::users::set_frozen(&client, asha, false).await.unwrap();
    stage.batch("UPDATE wallet_drifts SET ended_at = now(); UPDATE alerts SET closed_at = now()").await;
    leader.process().signal("CONT");
    let limit = Duration::from_secs(20);
    leader.process().wait_for_line("the loss", limit, |line| {
        (line.contains("lost to another replica") || line.contains("is not held with token")).then_some(())
    });
    assert_eq!(leader.process().terminate(SOON).0, Some(0));
    assert!(!is_frozen().await, "the leader wrote after it was overtaken");
    assert_eq!(stage.count("wallet_drifts WHERE ended_at IS NULL").await, 0);
    assert_eq!(stage.alerts("Wallets do not hold what their entries come to").await, 1);
    let report: serde_json::Value = client.query_one("SELECT report FROM cron_runs", &[]).await.unwrap().get(0);
    assert_eq!(report, json!({"drifting": 1, "ended": 0, "new": 1}));
}
