//! Pulls that were cut off, or asked for what cannot be read.

use chrono::NaiveDate;
use domain::job::Queue;
use domain::jobs::cashback::{SyncNetwork, SyncWindow};
use domain::network::Network;
use networks::Window;
use serde_json::json;

use crate::killed::pull_by_hand;
use crate::stage::{LIMIT, Stage};

#[tokio::test]
async fn a_pull_that_goes_on_on_another_day_reads_that_days_windows_too() {
    let mut stage = Stage::empty().await;
    let order =
        SyncNetwork { network: Network::Vcommission, window: SyncWindow::SinceCursor, requested_by: "test".to_owned() };
    // What was left of a day that is over.
    let (from, to) = (NaiveDate::from_ymd_opt(2026, 1, 1).unwrap(), NaiveDate::from_ymd_opt(2026, 1, 9).unwrap());
    let window = serde_json::to_value(Window::ActionDates { from, to }).unwrap();
    let requested = json!(order.window);
    store::sync::begin(&stage.client().await, order.network, &requested, &window, "test").await.unwrap();
    stage.launch().await;
    stage.enqueue(&order).await;
    stage.count_becomes("sync_runs WHERE status = 'succeeded' AND resumed = 1", 1).await;
    // Each day reads its last week.
    let today = domain::clock::india_day(chrono::Utc::now());
    let of_today = format!("sync_runs WHERE status = 'succeeded' AND resumed = 0 AND read_window->>'to' = '{today}'");
    stage.count_becomes(&of_today, 1).await;
}

#[tokio::test]
async fn a_pull_by_hand_that_its_network_does_not_answer_goes_on_when_it_is_called_again() {
    let stage = Stage::empty().await;
    let fault = json!({"provider": "admitad", "fault": "status", "status": 500, "path_contains": "statistics"});
    stage.sim.post("/_sim/faults", &fault).await;
    assert!(!pull_by_hand(&stage).wait(LIMIT).success());
    assert_eq!(stage.count("sync_runs WHERE status = 'running'").await, 1, "it stays open");
    stage.sim.delete("/_sim/faults?provider=admitad").await;
    assert!(pull_by_hand(&stage).wait(LIMIT).success());
    assert_eq!(stage.count("sync_runs WHERE status = 'succeeded' AND resumed = 1").await, 1);
    assert_eq!(stage.count("sync_runs").await, 1);
}

#[tokio::test]
async fn a_window_whose_ends_are_swapped_is_refused() {
    let stage = Stage::start().await;
    let (from, to) = (NaiveDate::from_ymd_opt(2026, 1, 9).unwrap(), NaiveDate::from_ymd_opt(2026, 1, 1).unwrap());
    for window in [SyncWindow::ActionDates { from, to }, SyncWindow::DaysBack { nearest: 45, farthest: 0 }] {
        stage.enqueue(&SyncNetwork { network: Network::Admitad, window, requested_by: "test".to_owned() }).await;
    }
    testkit::eventually_true("two dead letters", LIMIT, async || {
        queue::admin::stats(&stage.kv, Queue::Cashback).await.is_ok_and(|stats| stats.dead == 2)
    })
    .await;
    let mut command = std::process::Command::new(testkit::binary("cashback-sync"));
    command.args(["run", "--network", "admitad", "--from", "2026-01-09", "--to", "2026-01-01"]);
    command.envs(stage.environment.iter().cloned());
    assert!(!testkit::Process::start("cashback-sync run", &mut command).wait(LIMIT).success());
    assert_eq!(stage.count("sync_runs").await, 0, "nothing was read, and nothing succeeded");
}

#[tokio::test]
async fn a_pull_whose_right_went_with_its_connection_leaves_the_run_to_whoever_took_it_up() {
    let mut stage = Stage::empty().await;
    let small = [("ADMITAD_PAGE_SIZE", "10"), ("ADMITAD_CALLS_PER_MINUTE", "100000")];
    stage.environment.extend(small.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let purchases = json!({"network": "admitad", "count": 200, "days": 20, "seed": 7});
    stage.sim.post("/_sim/transactions/bulk", &purchases).await;
    let slow = json!({"provider": "admitad", "fault": "latency", "ms": 300, "path_contains": "statistics"});
    stage.sim.post("/_sim/faults", &slow).await;
    let mut first = pull_by_hand(&stage);
    testkit::eventually_true("two pages", LIMIT, async || {
        first.lines().iter().filter(|line| line.starts_with('[')).count() >= 2
    })
    .await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_locks
               WHERE locktype = 'advisory' AND objsubid = 2 AND classid = (hashtext('pull')::bigint & 4294967295)::oid
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(stage.client().await.query(end, &[]).await.unwrap().len(), 1);
    assert!(pull_by_hand(&stage).wait(LIMIT).success());
    assert!(!first.wait(LIMIT).success());
    // Each page was noted once, by the one or the other.
    let whole = "sync_runs WHERE status = 'succeeded' AND resumed = 1
                 AND pages = (SELECT (count(*) + 9) / 10 FROM affiliate_transactions)";
    assert_eq!((stage.count(whole).await, stage.count("sync_runs").await), (1, 1));
}
