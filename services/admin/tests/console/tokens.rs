//! Tokens of programs, and their end.

use std::process::{Command, Output};

use chrono::{DateTime, TimeDelta, Utc};
use testkit::binary;

use crate::stage::Stage;

fn create(stage: &Stage, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("admin"));
    command.env("DATABASE_URL", stage.database.url()).args(["create-token", "reports"]).args(arguments);
    command.output().unwrap()
}

async fn status(stage: &Stage, token: &str) -> u16 {
    let url = format!("{}/api/v1/queue/stats", stage.service.http());
    testkit::http().get(url).bearer_auth(token).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_some_days_is_good_until_then_and_refused_after() {
    let stage = Stage::start().await;
    for days in ["0", "-1", "3651", "soon"] {
        assert!(!create(&stage, &["--days", days]).status.success(), "{days} days");
    }
    let made = create(&stage, &["--days", "30"]);
    let (token, said) = (String::from_utf8(made.stdout).unwrap(), String::from_utf8(made.stderr).unwrap());
    assert!(made.status.success(), "{said}");
    let token = token.lines().last().unwrap();
    let client = stage.database.client().await;
    let sql = "SELECT expires_at FROM api_tokens WHERE name = 'reports'";
    let expires_at: DateTime<Utc> = client.query_one(sql, &[]).await.unwrap().get(0);
    let left = expires_at - chrono::Utc::now();
    assert!(left > TimeDelta::days(29) && left <= TimeDelta::days(30), "{left}");
    assert!(said.contains(&expires_at.format("good until %Y-%m-%d %H:%M UTC").to_string()), "{said}");
    let people = stage.person("viewer").await.get("/admin/people").await;
    assert!(people.contains(&expires_at.format("%Y-%m-%dT%H:%M").to_string()), "{people}");
    assert_eq!(status(&stage, token).await, 200);

    let past = "UPDATE api_tokens SET expires_at = now() - interval '1 second' WHERE name = 'reports'";
    client.execute(past, &[]).await.unwrap();
    assert_eq!(status(&stage, token).await, 401);
    let lasting = create(&stage, &[]);
    let said = String::from_utf8(lasting.stderr).unwrap();
    assert!(said.contains("good until it is revoked"), "{said}");
    let lasting = String::from_utf8(lasting.stdout).unwrap();
    assert_eq!(status(&stage, lasting.lines().last().unwrap()).await, 200);
}
