//! Pulls that were cut off, or asked for what cannot be read.

use chrono::NaiveDate;
use domain::jobs::cashback::{SyncNetwork, SyncWindow};
use domain::network::Network;
use networks::Window;
use serde_json::json;

use crate::stage::Stage;

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
