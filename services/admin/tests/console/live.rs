//! What changes is pushed to whoever looks.

use std::time::Duration;

use domain::ids::WithdrawalId;
use reqwest::Method;
use serde_json::json;

use crate::stage::{SOON, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_arrives_shows_on_an_open_page() {
    let mut stage = Stage::start().await;
    let viewer = stage.person("viewer").await;
    let mut stream = viewer.request(Method::GET, "/admin/live").send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let first = tokio::time::timeout(SOON, stream.chunk()).await.unwrap().unwrap().unwrap();
    assert!(first.starts_with(b"data: "), "{first:?}");
    let job = json!({ "kind": "payout.start", "payload": { "withdrawal_id": WithdrawalId::generate() } });
    assert_eq!(stage.call(Method::POST, "/queue/payments", Some(job)).await.0, 202);
    let seen = async {
        let mut text = String::new();
        while let Some(chunk) = stream.chunk().await.unwrap() {
            text.push_str(&String::from_utf8_lossy(&chunk));
            let row = text.rsplit("/admin/queues/payments\"").next().unwrap_or_default();
            let row = row.split("</tr>").next().unwrap_or_default();
            if text.contains("/admin/queues/payments\"") && row.contains(">1<") {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(SOON, seen).await.unwrap(), "the stream ended before it told");
    assert!(viewer.get("/admin/workers/now").await.contains("/admin/queues/payments"));
    let page = viewer.get("/admin/workers?span=24h").await;
    assert!(page.matches("<svg").count() > 2 && page.contains("As a table"), "{page}");
    // An open stream does not hold up the end.
    let (code, took) = stage.service.process().terminate(SOON);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
}
