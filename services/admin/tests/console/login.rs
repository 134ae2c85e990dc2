//! In and out.

use std::process::Command;

use reqwest::Method;
use testkit::binary;

use crate::stage::{PASSWORD, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_opens_with_the_password_and_can_be_ended() {
    let stage = Stage::start().await;
    stage.add_person("asha@example.in", "operator");
    let refused = stage.try_log_in("asha@example.in", "wrong horse battery").await;
    assert_eq!(refused.status(), 401);
    assert!(refused.headers().get("set-cookie").is_none());
    let unknown = stage.try_log_in("nobody@example.in", PASSWORD).await;
    assert_eq!(unknown.status(), 401);
    assert_eq!(refused.text().await.unwrap().replace("asha", "nobody"), unknown.text().await.unwrap());

    let answer = stage.try_log_in("Asha@Example.in", PASSWORD).await;
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/"), "{cookie}");
    let stored: i64 = {
        let client = stage.database.client().await;
        let token = cookie.split(['=', ';']).nth(1).unwrap();
        let found = "SELECT count(*) FROM admin_sessions s WHERE s::text LIKE '%' || $1 || '%'";
        client.query_one(found, &[&token]).await.unwrap().get(0)
    };
    assert_eq!(stored, 0, "the cookie itself is nowhere stored");

    let person = stage.log_in("asha@example.in").await;
    person.get("/admin/queues").await;
    let answer = person.post("/admin/logout", &[]).await;
    assert_eq!(answer.headers()["location"], "/admin/login");
    let answer = person.request(Method::GET, "/admin/queues").send().await.unwrap();
    assert_eq!(answer.headers()["location"], "/admin/login?next=%2Fadmin%2Fqueues");
    let deeds: Vec<String> = stage.audit().await.into_iter().map(|(action, ..)| action).collect();
    assert_eq!(deeds, ["admin.logout", "admin.login", "admin.login", "admin.create"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_every_session() {
    let stage = Stage::start().await;
    let person = stage.person("viewer").await;
    stage.add_person("viewer@example.in", "viewer");
    assert_eq!(person.request(Method::GET, "/admin/queues").send().await.unwrap().status(), 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_is_out_at_once_and_stays_out() {
    let stage = Stage::start().await;
    let person = stage.person("viewer").await;
    let disable = |email: &str| {
        let mut command = Command::new(binary("admin"));
        command.env("DATABASE_URL", stage.database.url()).args(["disable-user", email]).output().unwrap()
    };
    let refused = disable("nobody@example.in");
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("nobody@example.in"));
    assert!(disable("Viewer@example.in").status.success());
    assert_eq!(person.request(Method::GET, "/admin/queues").send().await.unwrap().status(), 303);
    assert_eq!(stage.try_log_in("viewer@example.in", PASSWORD).await.status(), 401);
    assert!(stage.audit().await.iter().any(|(action, ..)| action == "admin.disable"));
    stage.add_person("viewer@example.in", "viewer");
    stage.log_in("viewer@example.in").await.get("/admin/queues").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_stopped_even_with_the_right_password_at_last() {
    let stage = Stage::start().await;
    stage.add_person("asha@example.in", "operator");
    for _ in 0..10 {
        assert_eq!(stage.try_log_in("asha@example.in", "wrong horse battery").await.status(), 401);
    }
    assert_eq!(stage.try_log_in("asha@example.in", PASSWORD).await.status(), 429);
}

/// Tries a wrong password, as a proxy would pass it on.
async fn guess(stage: &Stage, forwarded_for: &str) -> u16 {
    let form = [("email", "asha@example.in"), ("password", "wrong horse battery")];
    let request = testkit::http().post(format!("{}/admin/login", stage.service.http())).form(&form);
    request.header("x-forwarded-for", forwarded_for).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_guessing_is_counted_by_client() {
    let stage = Stage::start_with(&[("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    for _ in 0..10 {
        assert_eq!(guess(&stage, "203.0.113.1").await, 401);
    }
    assert_eq!(guess(&stage, "203.0.113.1").await, 429);
    assert_eq!(guess(&stage, "198.51.100.7, 203.0.113.1").await, 429, "what the client claims is not looked at");
    assert_eq!(guess(&stage, "203.0.113.2").await, 401, "another client is not punished");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_trusted_proxy_no_header_escapes_the_throttle() {
    let stage = Stage::start().await;
    for n in 0..10 {
        assert_eq!(guess(&stage, &format!("203.0.113.{n}")).await, 401);
    }
    assert_eq!(guess(&stage, "203.0.113.99").await, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_not_served_without_redis_and_commands_are() {
    let stage = Stage::start().await;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(binary("admin"));
        command.env_clear().env("DATABASE_URL", stage.database.url()).env("HTTP_ADDR", "127.0.0.1:0");
        command.env("OPS_ADDR", "127.0.0.1:0").args(arguments).output().unwrap()
    };
    assert!(run(&["migrate"]).status.success());
    let refused = run(&["serve"]);
    assert_eq!(refused.status.code(), Some(64));
    let said = String::from_utf8_lossy(&refused.stdout).into_owned() + &String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("REDIS_URL"), "{said}");
}
