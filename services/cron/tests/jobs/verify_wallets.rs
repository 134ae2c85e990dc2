use domain::ids::UserId;
use serde_json::json;

use crate::stage::{SOON, Stage};

const TITLE: &str = "Wallets do not hold what their entries come to";

/// Writes past the ledger, as somebody with the database's password can.
async fn tamper(stage: &Stage, user: UserId, paise: i64) {
    let sql = "UPDATE wallet_balances SET balance_paise = balance_paise + $2 WHERE user_id = $1";
    stage.execute(sql, &[&user, &paise]).await;
}

async fn is_frozen(stage: &Stage, user: UserId) -> bool {
    store::users::find(&stage.client().await, user).await.unwrap().unwrap().frozen_at.is_some()
}

#[tokio::test]
async fn a_wallet_that_drifts_pays_nothing_out_and_is_told_once() {
    let stage = Stage::set().await;
    let (asha, ravi) = (stage.shopper(50_000).await, stage.shopper(0).await);
    assert_eq!(stage.run("verify_wallets").await, json!({"drifting": 0, "ended": 0, "new": 0}));
    tamper(&stage, asha, 1_000).await;
    assert_eq!(stage.run("verify_wallets").await, json!({"drifting": 1, "ended": 0, "new": 1}));
    assert!(is_frozen(&stage, asha).await && !is_frozen(&stage, ravi).await);
    // Twice in a row: nothing new.
    assert_eq!(stage.run("verify_wallets").await, json!({"drifting": 1, "ended": 0, "new": 0}));
    assert_eq!(stage.alerts(TITLE).await, 1);
    assert_eq!(stage.count("wallet_drifts WHERE ended_at IS NULL AND froze AND entries_paise = 50000").await, 1);
    // Right again: told once, and the block stays until a person lifts it.
    tamper(&stage, asha, -1_000).await;
    assert_eq!(stage.run("verify_wallets").await, json!({"drifting": 0, "ended": 1, "new": 0}));
    assert_eq!(stage.alerts(&format!("Over: {TITLE}")).await, 1);
    assert!(is_frozen(&stage, asha).await);
    // Entries without a balance are a drift as well.
    stage.execute("DELETE FROM wallet_balances WHERE user_id = $1", &[&asha]).await;
    assert_eq!(stage.run("verify_wallets").await, json!({"drifting": 1, "ended": 0, "new": 1}));
}

#[tokio::test]
async fn a_check_that_has_not_seen_all_ends_nothing() {
    let stage = Stage::set().await;
    let asha = stage.shopper(50_000).await;
    tamper(&stage, asha, 1_000).await;
    stage.run("verify_wallets").await;
    // As many as one check looks at stand before hers.
    let many = "INSERT INTO users (id, name, email)
                SELECT ('00000001-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'Ravi', n || '@example.in'
                FROM generate_series(1, 10000) n";
    stage.batch(many).await;
    let all_tampered = async |paise: i64| {
        let sql = "UPDATE wallet_balances SET balance_paise = balance_paise + $2 WHERE user_id <> $1";
        stage.execute(sql, &[&asha, &paise]).await;
    };
    all_tampered(1).await;
    assert_eq!(stage.run("verify_wallets").await, json!({"drifting": 10_000, "new": 10_000}));
    let hers = format!("alerts WHERE key = 'wallet-drift:{asha}' AND closed_at IS NULL");
    assert_eq!(stage.count(&hers).await, 1, "her wallet drifts as before");
    assert_eq!(stage.count("wallet_drifts WHERE ended_at IS NULL").await, 10_001);
    assert_eq!(stage.alerts(&format!("Over: {TITLE}")).await, 0);
    all_tampered(-1).await;
    assert_eq!(stage.run("verify_wallets").await, json!({"drifting": 1, "ended": 10_000, "new": 0}));
    assert_eq!(stage.count(&hers).await, 1);
}

#[tokio::test]
async fn a_check_that_is_killed_before_its_commit_is_taken_over() {
    let stage = Stage::set().await;
    let asha = stage.shopper(50_000).await;
    tamper(&stage, asha, -1).await;
    stage.kill_in_the_middle(&["verify_wallets"], "LOCK TABLE alerts IN ACCESS EXCLUSIVE MODE").await;
    assert!(!is_frozen(&stage, asha).await, "nothing of the killed run stays");
    assert_eq!(stage.take_over("verify_wallets").await, json!({"drifting": 1, "ended": 0, "new": 1}));
    assert!(is_frozen(&stage, asha).await);
    assert_eq!(stage.alerts(TITLE).await, 1);
}

#[tokio::test]
async fn the_check_waits_for_no_writer_and_no_writer_for_it() {
    let stage = Stage::set().await;
    let asha = stage.shopper(50_000).await;
    // A transfer that is not committed yet: balance and entry are there together or not at all.
    let writer = stage.database.client().await;
    writer.batch_execute("BEGIN").await.unwrap();
    let half = "SELECT post_transfer(gen_random_uuid(), '00000000-0000-0000-0000-000000000004', $1, 700, 'goodwill', 'half', '{}')";
    writer.execute(half, &[&asha]).await.unwrap();
    assert_eq!(stage.run("verify_wallets").await, json!({"drifting": 0, "ended": 0, "new": 0}));
    writer.batch_execute("COMMIT").await.unwrap();
    assert_eq!(stage.run("verify_wallets").await, json!({"drifting": 0, "ended": 0, "new": 0}));
    assert!(!is_frozen(&stage, asha).await);
    // The metric is what Postgres holds, on every replica.
    tamper(&stage, asha, 5).await;
    stage.run("verify_wallets").await;
    let scheduler = stage.scheduler("");
    let metrics = format!("{}/metrics", scheduler.ops());
    testkit::eventually_true("the metric", SOON, async || {
        let text = testkit::http().get(&metrics).send().await.unwrap().text().await.unwrap();
        text.lines().any(|line| line.starts_with("wallets_drifting") && line.ends_with(" 1"))
    })
    .await;
}
