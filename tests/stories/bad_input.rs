//! What is wrong gets a clear answer and lies where an operator sees it.

use std::time::Duration;

use domain::ids::OfferId;
use domain::job::Queue;
use kv::keys;
use kv::redis::AsyncCommands;
use serde_json::json;
use testkit::{eventually, eventually_true, http};

use crate::shopper::Stage;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn serial_bad_input_is_refused_clearly_and_kept_where_it_can_be_seen() {
    let stage = Stage::open().await;
    let system = &stage.system;
    let client = system.client().await;

    let unknown = system.at("redirector", &format!("/out/{}", OfferId::generate()));
    let answer = http().get(&unknown).header("accept", "text/html").send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert!(answer.text().await.unwrap().contains("<html"), "a page for people");

    // Malformed jobs: no JSON, an unknown kind, a payload that breaks its contract.
    let malformed = [
        "no json at all",
        r#"{"kind":"email.sendd","payload":{}}"#,
        r#"{"kind":"email.send","payload":{"to":"nobody"}}"#,
    ];
    let mut redis = system.kv.commands();
    for job in malformed {
        let _length: i64 = redis.rpush(keys::ready(Queue::Email), job).await.unwrap();
    }
    eventually_true("three dead letters", LIMIT, async || {
        queue::admin::stats(&system.kv, Queue::Email).await.unwrap().dead == 3
    })
    .await;

    // Rows that the network's contract does not have: an unknown status and a negative amount. The good row passes.
    for (status, commission) in [("teleported", "10.00"), ("pending", "-10.00"), ("pending", "10.00")] {
        let purchase = json!({
            "network": "admitad", "sub_id": "", "campaign_id": 10001, "order_id": format!("OD-{status}{commission}"),
            "sale_amount": "100.00", "commission": commission, "currency": "INR", "status": status,
            "postback": false, "force": true,
        });
        system.sim.post("/_sim/transactions", &purchase).await;
    }
    let sync = r#"{"kind":"cashback.sync","payload":{"network":"admitad","window":{"type":"since_cursor"},"requested_by":"test"}}"#;
    let _length: i64 = redis.rpush(keys::ready(Queue::Cashback), sync).await.unwrap();
    let quarantined = eventually("rows in quarantine", LIMIT, async || {
        let rows = client.query("SELECT reason FROM quarantined_transactions ORDER BY reason", &[]).await.unwrap();
        (rows.len() == 2).then(|| rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>())
    })
    .await;
    assert_eq!(quarantined, ["negative_amount", "unknown_status"]);
    eventually("the good row", LIMIT, async || {
        client.query_opt("SELECT FROM affiliate_transactions WHERE commission_paise = 1000", &[]).await.unwrap()
    })
    .await;

    // A webhook that nobody signed.
    let forged = http().post(system.at("webhooks", "/webhooks/razorpay")).header("content-type", "application/json");
    let answer = forged.body(r#"{"event":"payment.captured"}"#).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    eventually("the rejected webhook", LIMIT, async || {
        client
            .query_opt("SELECT FROM webhook_logs WHERE source = 'razorpay' AND verdict = 'rejected'", &[])
            .await
            .unwrap()
    })
    .await;
}
