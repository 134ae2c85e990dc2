//! kill -9 in the middle of pulls, at random points: the ledger ends as if nothing had happened.

use std::process::Command;
use std::time::Duration;

use domain::click::sub_id;
use domain::ids::UserId;
use domain::jobs::click::RecordClick;
use domain::money::Paise;
use serde_json::json;
use testkit::{Process, binary};

use crate::since_cursor;
use crate::stage::{LIMIT, Stage};

const PURCHASES: usize = 800;

/// Everything that must come out the same: each transaction with what it brought, each wallet, and how often anything
/// happened.
async fn books(stage: &Stage, users: &[UserId]) -> Vec<String> {
    let client = stage.client().await;
    let mut lines = Vec::new();
    let rows = client
        .query(
            "SELECT concat_ws(' ', t.external_transaction_id, t.status, t.commission_paise, e.status, e.credited_paise, e.postings,
                              (SELECT count(*) FROM cashback_history h WHERE h.cashback_id = e.id),
                              (SELECT count(*) FROM affiliate_transaction_history h WHERE h.transaction_id = t.id),
                              (SELECT count(*) FROM wallet_transactions w WHERE w.reason->>'cashback_id' = e.id::text))
             FROM affiliate_transactions t LEFT JOIN cashback_events e ON e.transaction_id = t.id ORDER BY t.external_transaction_id",
            &[],
        )
        .await
        .unwrap();
    lines.extend(rows.iter().map(|row| row.get::<_, String>(0)));
    for user in users {
        lines.push(format!("{user} {}", stage.balance(*user).await));
    }
    for table in [
        "wallet_transactions",
        "unmatched_transactions",
        // The ledger's head is mailed to admins by a service, and by no pull.
        "outbox WHERE kind IN ('email.send', 'sms.send', 'cashback.match') AND payload->>'to' IS DISTINCT FROM 'ops@example.in'",
    ] {
        lines.push(format!("{table} {}", stage.count(table).await));
    }
    assert!(store::wallet::drift(&client, 10).await.unwrap().is_empty());
    lines
}

/// The same shoppers, clicks and purchases at every stage.
async fn fill(stage: &Stage, users: &[UserId], clicks: &[RecordClick]) {
    let client = stage.client().await;
    for user in users {
        let email = format!("s+{user}@example.in").parse().unwrap();
        store::users::insert(&client, *user, "S", Some(&email), None, domain::jobs::Language::En).await.unwrap();
    }
    let clicks: Vec<_> = clicks
        .iter()
        .cloned()
        .map(|click| RecordClick { merchant_id: stage.merchant, offer_id: stage.offer, ..click })
        .collect();
    testkit::seed::clicks(&mut stage.client().await, &clicks).await;
    let mut sub_ids: Vec<_> = clicks.iter().map(|click| sub_id(click.click_id)).collect();
    sub_ids.push("somebody-else".to_owned());
    let bulk = json!({"network": "admitad", "count": PURCHASES, "days": 20, "seed": 11, "sub_ids": sub_ids, "campaign_ids": [100],
                      "until": "2026-10-01T00:00:00Z", "statuses": ["pending", "approved", "approved", "declined"]});
    stage.sim.post("/_sim/transactions/bulk", &bulk).await;
}

pub(crate) fn pull_by_hand(stage: &Stage) -> Process {
    let mut command = Command::new(binary("cashback-sync"));
    command.args(["run", "--network", "admitad"]).envs(stage.environment.iter().cloned());
    Process::start("cashback-sync run", &mut command)
}

#[tokio::test]
async fn serial_pulls_that_are_killed_at_random_points_give_the_same_ledger() {
    let mut calm = Stage::empty().await;
    let mut rough = Stage::empty().await;
    for stage in [&mut calm, &mut rough] {
        stage.environment.push(("ADMITAD_PAGE_SIZE".to_owned(), "10".to_owned()));
        stage.environment.push(("ADMITAD_CALLS_PER_MINUTE".to_owned(), "100000".to_owned()));
    }
    let users: Vec<_> = (0..20).map(|_| UserId::generate()).collect();
    let clicks: Vec<_> = (0..60).map(|number| calm.click(users[number % users.len()])).collect();

    fill(&calm, &users, &clicks).await;
    assert!(pull_by_hand(&calm).wait(LIMIT).success());
    let expected = books(&calm, &users).await;
    assert!(calm.balance(users[0]).await > Paise::ZERO, "there is something to lose");

    fill(&rough, &users, &clicks).await;
    let mut seed = u64::from(rough.sim.process().id());
    let mut below = |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % most
    };
    // By hand: after a page that it told of, and a moment more, so that the blow falls anywhere between two commits.
    for _ in 0..10 {
        let mut process = pull_by_hand(&rough);
        let pages = 1 + usize::try_from(below(2)).unwrap();
        // One that meets the right of the process killed before it ends at once, as it should.
        testkit::eventually_true("some pages", LIMIT, async || {
            process.lines().iter().filter(|line| line.starts_with('[')).count() >= pages || process.ended().is_some()
        })
        .await;
        std::thread::sleep(Duration::from_micros(below(25_000)));
        process.kill();
    }
    assert_eq!(rough.count("sync_runs WHERE status = 'running'").await, 1, "it was never allowed to end");
    // As a worker: the job's lease ends with it, and another process takes the job up.
    rough
        .sim
        .post(
            "/_sim/faults",
            &json!({"provider": "admitad", "fault": "latency", "ms": 60, "path_contains": "statistics"}),
        )
        .await;
    rough.enqueue(&since_cursor()).await;
    for _ in 0..2 {
        let before = rough.count("affiliate_transactions").await;
        rough.launch().await;
        testkit::eventually_true("another page", LIMIT, async || rough.count("affiliate_transactions").await > before)
            .await;
        rough.service.as_mut().unwrap().process().kill();
    }
    rough.sim.delete("/_sim/faults?provider=admitad").await;
    rough.launch().await;
    rough.count_becomes("sync_runs WHERE status = 'succeeded'", 1).await;
    rough.count_becomes("sync_runs WHERE status = 'succeeded' AND resumed >= 5", 1).await;
    assert_eq!(books(&rough, &users).await, expected);
    assert_eq!(rough.count("sync_runs").await, 1, "one run from the first page to the last");
}
