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
    let order = SyncNetwork {
        network: Network::Vcommission,
        window: SyncWindow::SinceCursor,
        requested_by: "test".to_owned(),
    };
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
