//! What admins are told of, each once: a word that no contract names, clicks that are missing, a merchant that approves less.

use chrono::{TimeDelta, Utc};
use domain::click::sub_id;
use domain::ids::{TransactionId, UserId};
use serde_json::{Value, json};

use crate::stage::Stage;
use crate::{LIMIT, since_cursor};

/// Purchases at Admitad, one status each; whose click is given carry it in their sub-id.
async fn report(stage: &Stage, statuses: &[&str], user: Option<UserId>) {
    let prefix = TransactionId::generate();
    for (number, status) in statuses.iter().enumerate() {
        let mut row = json!({"network": "admitad", "campaign_id": 100, "order_id": format!("{prefix}-{number}"),
                             "sale_amount": "1000.00", "commission": "100.00", "currency": "INR", "status": status,
                             "force": true});
        if let Some(user) = user {
            let click = stage.click(user);
            stage.enqueue(&click).await;
            row["sub_id"] = Value::from(sub_id(click.click_id));
        }
        stage.sim.post("/_sim/transactions", &row).await;
    }
}

/// Pulls and waits until the pull has told what it had to tell.
async fn pull(stage: &Stage) {
    let before = stage.count("sync_runs WHERE status = 'succeeded'").await;
    stage.enqueue(&since_cursor()).await;
    stage.count_becomes("sync_runs WHERE status = 'succeeded'", before + 1).await;
    testkit::eventually_true("the job is done", LIMIT, async || {
        let stats = queue::admin::stats(&stage.kv, domain::job::Queue::Cashback).await.unwrap();
        stats.waiting == 0 && stats.in_flight == 0
    })
    .await;
}

/// Mails to the admins about this kind of event.
async fn mails(stage: &Stage, kind: &str) -> i64 {
    let about = format!(
        "outbox WHERE kind = 'email.send' AND payload->>'to' = 'ops@example.in' AND payload->>'event_key' LIKE 'alert:{kind}:admitad:%'"
    );
    stage.count(&about).await
}

async fn counted(stage: &Stage, kind: &str) -> bool {
    let metrics = stage.metrics().await;
    metrics.lines().any(|line| line.starts_with("cashback_alerts") && line.contains(&format!("kind=\"{kind}\"")))
}

#[tokio::test]
async fn a_status_that_nobody_knows_is_told_once_and_moves_no_money() {
    let stage = Stage::start().await;
    let asha = stage.shopper().await;
    report(&stage, &["approved", "on_the_moon", "on_the_moon"], Some(asha)).await;
    stage.count_becomes("affiliate_clicks", 3).await;
    pull(&stage).await;
    let aside = "quarantined_transactions WHERE reason = 'unknown_status' AND raw_status = 'on_the_moon'";
    assert_eq!(stage.count(aside).await, 2);
    assert_eq!(stage.count("affiliate_transactions").await, 1, "nothing is guessed");
    assert_eq!(stage.balance(asha).await.get(), 5_000, "the others count");
    pull(&stage).await;
    assert_eq!(mails(&stage, "unknown_status").await, 1, "one mail a day and word");
    assert!(counted(&stage, "unknown_status").await);
    report(&stage, &["under_the_sea"], Some(asha)).await;
    pull(&stage).await;
    assert_eq!(mails(&stage, "unknown_status").await, 2, "another word is other news");
}

#[tokio::test]
async fn a_page_of_rows_that_nobody_understands_is_told_once_where_there_is_only_the_log() {
    let mut stage = Stage::empty().await;
    stage.environment.retain(|(key, _)| key != "ALERT_EMAILS");
    stage.launch().await;
    report(&stage, &["on_the_moon"; 3], None).await;
    pull(&stage).await;
    assert_eq!(stage.count("quarantined_transactions").await, 3);
    let metrics = stage.metrics().await;
    let told = metrics.lines().find(|line| line.starts_with("cashback_alerts") && line.contains("unknown_status"));
    assert!(told.is_some_and(|line| line.ends_with(" 1")), "{told:?}");
}

#[tokio::test]
async fn a_share_without_clicks_above_the_bound_is_told() {
    let stage = Stage::start().await;
    let asha = stage.shopper().await;
    report(&stage, &["pending"; 21], Some(asha)).await;
    report(&stage, &["pending"; 9], None).await;
    stage.count_becomes("affiliate_clicks", 21).await;
    pull(&stage).await;
    assert_eq!(stage.count("unmatched_transactions WHERE resolved_at IS NULL").await, 9);
    assert_eq!(mails(&stage, "unmatched").await, 0, "9 of 30 are the bound, not above it");
    report(&stage, &["pending"; 20], None).await;
    pull(&stage).await;
    assert_eq!(mails(&stage, "unmatched").await, 1);
    assert!(counted(&stage, "unmatched").await);
    report(&stage, &["pending"; 20], None).await;
    pull(&stage).await;
    assert_eq!(mails(&stage, "unmatched").await, 1, "once a day");
}

/// Decisions of two weeks ago, as pulls of then would have left them.
async fn approved_two_weeks_ago(stage: &Stage, count: usize) {
    let client = stage.client().await;
    let then = Utc::now() - TimeDelta::days(14);
    let ids: Vec<_> = (0..count).map(|_| TransactionId::generate()).collect();
    client
        .execute(
            "INSERT INTO affiliate_transactions (id, network, external_transaction_id, merchant_id, campaign_id, commission_paise, currency,
                                                 raw_status, status, funded, occurred_at, observed_at, raw)
             SELECT id, 'admitad', 'old-' || id, $2, '100', 10000, 'INR', 'approved', 'confirmed', false, $3, $3, '{}' FROM unnest($1::uuid[]) AS n (id)",
            &[&ids, &stage.merchant, &then],
        )
        .await
        .unwrap();
    client
        .execute(
            "INSERT INTO affiliate_transaction_history (transaction_id, revision, raw_status, status, funded, commission_paise, observed_at,
                                                        source, recorded_at)
             SELECT id, 1, 'approved', 'confirmed', false, 10000, $2, 'pull', $2 FROM unnest($1::uuid[]) AS n (id)",
            &[&ids, &then],
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn a_merchant_that_approves_less_than_in_the_four_weeks_before_is_told() {
    let stage = Stage::start().await;
    let asha = stage.shopper().await;
    approved_two_weeks_ago(&stage, 25).await;
    // 14 of 20 are 30 % less than all: not yet more than that.
    let decisions: Vec<_> =
        [["approved"; 14].as_slice(), ["declined"; 6].as_slice(), ["pending"; 9].as_slice()].concat();
    report(&stage, &decisions, Some(asha)).await;
    stage.count_becomes("affiliate_clicks", 29).await;
    pull(&stage).await;
    assert_eq!(mails(&stage, "approval_drop").await, 0);
    report(&stage, &["declined"], Some(asha)).await;
    stage.count_becomes("affiliate_clicks", 30).await;
    pull(&stage).await;
    assert_eq!(mails(&stage, "approval_drop").await, 1);
    assert!(counted(&stage, "approval_drop").await);
    let told = "outbox WHERE payload::text LIKE '%Shoes approves less than before%'
                AND payload::text LIKE '%14 of 21 decisions of the last 7 days were approvals, 25 of 25 in the 28 days before%'";
    assert_eq!(stage.count(told).await, 1);
    pull(&stage).await;
    assert_eq!(mails(&stage, "approval_drop").await, 1, "once a day");
}
