//! How services begin and end.

use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::Story;
use testkit::binary;

use crate::shopper::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn serial_sigterm_ends_each_service_in_time_with_its_work_done() {
    let mut stage = Stage::open().await;
    let mut story = Story::new();
    story.click(&stage.system).await;
    story.report_purchase(&stage.system).await;
    for (name, service) in stage.system.services() {
        let (code, took) = service.process().terminate(Duration::from_secs(25));
        assert_eq!(code, Some(0), "{name} after {took:?}:\n{}", service.logs());
    }
    // What was accepted is not lost: the same services, started again, bring it to its end.
    for name in ["redirector", "webhooks", "notifier", "cashback-sync", "cron", "admin"] {
        stage.system.launch(name).await;
    }
    let client = stage.system.client().await;
    testkit::eventually("the purchase is known", Duration::from_secs(60), async || {
        client.query_opt("SELECT FROM cashback_events", &[]).await.unwrap()
    })
    .await;
}

#[test]
fn bad_settings_are_listed_all_at_once_before_a_port_is_bound() {
    let wrong = [
        ("redirector", &["DATABASE_URL", "REDIS_URL", "REDIRECT_LIMIT", "HTTP_WORKERS"][..]),
        ("webhooks", &["DATABASE_URL", "REDIS_URL", "RAZORPAY_WEBHOOK_SECRET", "SENDGRID_WEBHOOK_PUBLIC_KEY"]),
        (
            "notifier",
            &[
                "DATABASE_URL",
                "REDIS_URL",
                "SENDGRID_API_KEY",
                "FROM_EMAIL",
                "MSG91_SENDER_ID",
                "MSG91_TEMPLATE_ID_OTP",
            ],
        ),
        ("cashback-sync", &["DATABASE_URL", "REDIS_URL", "CLICK_FLUSH_BATCH"]),
        ("cron", &["DATABASE_URL", "REDIS_URL", "SHOP_TIME_ZONE"]),
        ("admin", &["DATABASE_URL", "REDIS_URL", "HTTP_ADDR"]),
    ];
    for (service, keys) in wrong {
        let output = Command::new(binary(service))
            .env_clear()
            .env("FROM_EMAIL", "no address")
            .env("REDIRECT_LIMIT", "many")
            .env("HTTP_WORKERS", "0")
            .env("CLICK_FLUSH_BATCH", "-1")
            .env("SHOP_TIME_ZONE", "Asia/Atlantis")
            .envs((service == "admin").then_some(("HTTP_ADDR", "everywhere")))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(64), "{service}:\n{said}");
        assert!(!said.contains("listening"), "{service} bound a port:\n{said}");
        for key in keys {
            assert!(said.contains(key), "{service} does not name {key}:\n{said}");
        }
    }
}

#[test]
fn a_secret_whose_file_cannot_be_read_is_told_and_not_taken_for_none() {
    let output = Command::new(binary("redirector"))
        .env_clear()
        .env("DATABASE_URL_FILE", "/nowhere/database_url")
        .env("REDIS_URL", "redis://127.0.0.1:1")
        .env("JWT_SECRET_FILE", "/nowhere/jwt_secret")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("2 problems"), "{said}");
    for name in ["database_url", "jwt_secret"] {
        let key = name.to_uppercase();
        assert!(said.contains(&format!("{key}_FILE: /nowhere/{name} cannot be read: ")), "{said}");
    }
}

#[test]
fn settings_of_a_family_may_be_files_as_all_others() {
    let id = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(id.path(), "a-flow\n").unwrap();
    let output = Command::new(binary("notifier"))
        .env_clear()
        .env("MSG91_TEMPLATE_ID_OTP_FILE", id.path())
        .env("MSG91_TEMPLATE_ID_OTP_HI_FILE", "/nowhere/otp_hi")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("MSG91_TEMPLATE_ID_OTP_HI_FILE: /nowhere/otp_hi cannot be read: "), "{said}");
    assert!(!said.contains("there is no such text"), "{said}");
    assert!(!said.contains("MSG91_TEMPLATE_ID_OTP: not set"), "{said}");
}

#[test]
fn a_health_check_asks_nobody_when_it_cannot_tell_whom() {
    let mut command = Command::new(binary("redirector"));
    let output = command.env_clear().env("OPS_ADDR", "everywhere").arg("healthcheck").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("OPS_ADDR: invalid socket address") && !said.contains("did not answer"), "{said}");
}
