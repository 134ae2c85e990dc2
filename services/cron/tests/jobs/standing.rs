//! The figures of how the shop stands.

use chrono::TimeDelta;
use testkit::eventually_true;

use crate::stage::{SOON, Stage};

#[tokio::test]
async fn what_is_gone_is_shown_no_more() {
    let stage = Stage::set().await;
    let certificate = stage.folder.path().join("server.pem");
    std::fs::write(&certificate, include_str!("../../src/certificates/example.pem")).unwrap();
    let stage = stage.with("WATCHED_CERTIFICATES", certificate.to_str().unwrap());
    let end = chrono::Utc::now() + TimeDelta::days(3);
    let client = stage.client().await;
    for name in ["reports", "backups"] {
        let (token, scopes) = (format!("a-token-for-{name}-of-the-shop"), ["queues:read".to_owned()]);
        store::api_tokens::upsert_until(&client, name, &token, &scopes, "test", Some(end)).await.unwrap();
    }
    let scheduler = stage.scheduler("");
    let metrics = format!("{}/metrics", scheduler.ops());
    let shown = async |name: &str, label: &str| {
        let text = testkit::http().get(&metrics).send().await.unwrap().text().await.unwrap();
        text.lines().any(|line| line.starts_with(name) && line.contains(label))
    };
    let (token, file) = ("api_token_expires_seconds", "certificate_expires_seconds");
    eventually_true("all is shown", SOON, async || {
        shown(token, "\"reports\"").await && shown(token, "\"backups\"").await && shown(file, "server.pem").await
    })
    .await;
    stage.batch("UPDATE api_tokens SET revoked_at = now() WHERE name = 'reports'").await;
    std::fs::remove_file(&certificate).unwrap();
    eventually_true("what is gone is not", SOON, async || {
        !shown(token, "\"reports\"").await && !shown(file, "server.pem").await
    })
    .await;
    assert!(shown(token, "\"backups\"").await);
}
