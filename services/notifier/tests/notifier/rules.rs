//! Who gets what, and what nobody gets.

use chrono::{TimeDelta, Utc};
use domain::job::Queue;
use domain::jobs::email::EmailMessage;
use domain::money::Paise;
use store::notifications::Channel;
use store::suppressions::{self, AddressHash};
use testkit::eventually_true;

use crate::post::{Post, SOON, code, credited, text};

#[tokio::test]
async fn the_newest_code_wins_and_an_old_one_is_never_sent() {
    let post = Post::open().await;
    let now = Utc::now();
    post.push_as_of(&code("otp:new", "asha@example.in", "222222"), now).await;
    post.becomes("otp:new", "sent").await;
    post.push_as_of(&code("otp:before", "asha@example.in", "111111"), now - TimeDelta::seconds(5)).await;
    post.becomes("otp:before", "superseded").await;
    post.push_as_of(&code("otp:stale", "ravi@example.in", "333333"), now - TimeDelta::minutes(11)).await;
    post.becomes("otp:stale", "expired").await;
    assert_eq!(post.inbox("asha@example.in").await.len(), 1);
    assert_eq!(post.inbox("ravi@example.in").await.len(), 0);
}

#[tokio::test]
async fn who_is_suppressed_or_asked_too_often_gets_nothing() {
    let post = Post::open_with(&[("SMS_PER_HOUR", "2")]).await;
    let client = post.client().await;
    let asha = AddressHash::from(&"asha@example.in".parse().unwrap());
    suppressions::insert(&client, Channel::Email, &asha, None, "bounced").await.unwrap();
    post.push(&credited("cashback:1", "asha@example.in")).await;
    post.becomes("cashback:1", "suppressed").await;
    for number in 0..2 {
        let event = format!("sms:{number}");
        post.push(&text(&event, "9800000001")).await;
        post.becomes(&event, "sent").await;
    }
    post.push(&text("sms:2", "9800000001")).await;
    post.becomes("sms:2", "throttled").await;
    assert_eq!(post.inbox("asha@example.in").await.len(), 0);
    assert_eq!(post.inbox("919800000001").await.len(), 2);
}

#[tokio::test]
async fn reminders_carry_a_one_click_way_out_and_money_does_not() {
    let post = Post::open().await;
    let mut reminder = credited("reminder:1", "asha@example.in");
    reminder.message = EmailMessage::PendingReminder { amount: Paise::new(5_000), purchases: 2 };
    post.push(&reminder).await;
    post.becomes("reminder:1", "sent").await;
    post.push(&credited("cashback:1", "asha@example.in")).await;
    post.becomes("cashback:1", "sent").await;
    let mails = post.inbox("asha@example.in").await;
    let headers: Vec<_> = mails.iter().map(|mail| mail["headers"].to_string()).collect();
    assert!(headers[1].contains("https://hooks.example.in/unsubscribe/"), "{headers:?}");
    assert!(headers[1].contains("List-Unsubscribe=One-Click"), "{headers:?}");
    assert!(!headers[0].contains("unsubscribe"), "{headers:?}");
}

#[tokio::test]
async fn codes_keys_and_addresses_are_in_no_log_and_no_dead_letter() {
    let mut post = Post::open().await;
    let planted = ["778899", "planted-sendgrid-key", "planted-msg91-key", "secret.person@example.in", "9811122233"];
    post.push(&code("otp:1", "secret.person@example.in", "778899")).await;
    post.becomes("otp:1", "sent").await;
    let body =
        r#"{"errors":[{"message":"secret.person@example.in does not exist","field":"personalizations.0.to.0.email"}]}"#;
    post.fault("sendgrid", "status", serde_json::json!({"status": 400, "body": body, "times": 1})).await;
    post.push(&code("otp:2", "secret.person@example.in", "778899")).await;
    post.becomes("otp:2", "failed").await;
    post.push(&text("sms:1", "9811122233")).await;
    post.becomes("sms:1", "sent").await;
    post.idle(Queue::Email).await;
    assert_eq!(post.dead(Queue::Email).await, 0, "a code is worth nothing later and must not lie about");
    let (_, reason) = post.status("otp:2").await.unwrap();
    let logs = post.service.as_mut().unwrap().logs();
    for secret in planted {
        assert!(!logs.contains(secret), "{secret} is in the logs:\n{logs}");
        assert!(!reason.contains(secret), "{secret} is in the reason: {reason}");
    }
}

#[tokio::test]
async fn serial_a_code_overtakes_thousands_of_waiting_mails() {
    let post = Post::open_with(&[("EMAIL_PER_HOUR", "0"), ("EMAIL_PER_DAY", "0"), ("EMAIL_CONCURRENCY", "8")]).await;
    post.fault("sendgrid", "latency", serde_json::json!({"ms": 20})).await;
    let producer = queue::Producer::new(post.kv.clone());
    let mails: Vec<_> = (0..10_000).map(|number| credited(&format!("bulk:{number}"), "bulk@example.in")).collect();
    producer.enqueue_many(&mails).await.unwrap();
    for number in 0..20 {
        let code = code(&format!("otp:{number}"), &format!("asha{number}@example.in"), "444444");
        producer.enqueue(queue::Enqueue::new(&code).urgent()).await.unwrap();
        let to = format!("asha{number}@example.in");
        eventually_true("the code is there", SOON, async || post.inbox(&to).await.len() == 1).await;
    }
    let waiting = queue::admin::stats(&post.kv, Queue::Email).await.unwrap().waiting;
    assert!(waiting > 5_000, "only {waiting} mails still waited");
    let sql = "SELECT max(extract(epoch FROM created_at - queued_at))::double precision FROM notifications WHERE template = 'otp'";
    let longest: f64 = post.client().await.query_one(sql, &[]).await.unwrap().get(0);
    assert!(longest <= 0.5, "a code waited {longest} s for its start");
}
