//! Who gets what, and what nobody gets.

use chrono::{FixedOffset, TimeDelta, Timelike, Utc};
use domain::job::Queue;
use domain::jobs::Language;
use domain::jobs::email::EmailMessage;
use domain::jobs::sms::SmsMessage;
use domain::money::Paise;
use domain::redacted::Redacted;
use store::notifications::Channel;
use store::sms_templates::SmsTemplate;
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
async fn a_burst_to_one_number_is_cut_at_the_hours_and_at_the_days_limit() {
    for (setting, other) in [("SMS_PER_HOUR", "SMS_PER_DAY"), ("SMS_PER_DAY", "SMS_PER_HOUR")] {
        let post = Post::open_with(&[(setting, "3"), (other, "0")]).await;
        let burst: Vec<_> = (0..40).map(|number| text(&format!("sms:{number}"), "9800000001")).collect();
        queue::Producer::new(post.kv.clone()).enqueue_many(&burst).await.unwrap();
        post.push(&text("sms:else", "9800000002")).await;
        post.becomes("sms:else", "sent").await;
        post.idle(Queue::Sms).await;
        let client = post.client().await;
        let counted = "SELECT count(*) FILTER (WHERE status = 'sent'), count(*) FILTER (WHERE status = 'throttled')
                       FROM notifications WHERE event_key <> 'sms:else'";
        let row = client.query_one(counted, &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (3, 37), "{setting}");
        assert_eq!(post.inbox("919800000001").await.len(), 3, "{setting}");
        // An hour later the hour's limit lets more through, and the day's does not.
        let earlier = "UPDATE notifications SET created_at = created_at - interval '61 minutes'";
        client.execute(earlier, &[]).await.unwrap();
        post.push(&text("sms:later", "9800000001")).await;
        post.becomes("sms:later", if setting == "SMS_PER_HOUR" { "sent" } else { "throttled" }).await;
    }
}

#[tokio::test]
async fn of_codes_that_come_together_only_the_newest_is_sent() {
    let post = Post::open().await;
    let now = Utc::now();
    // What is asked for while a statement waits goes into the next one, all of it.
    let mut client = post.client().await;
    let held = client.transaction().await.unwrap();
    held.batch_execute("LOCK TABLE notifications IN EXCLUSIVE MODE").await.unwrap();
    post.push(&code("otp:0", "ravi@example.in", "111110")).await;
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'notifications'::regclass)";
    eventually_true("a statement waits", SOON, async || held.query_one(waits, &[]).await.unwrap().get(0)).await;
    for (number, seconds) in [(1, 20), (2, 5), (3, 10)] {
        let code = code(&format!("otp:{number}"), "asha@example.in", &format!("11111{number}"));
        post.push_as_of(&code, now - TimeDelta::seconds(seconds)).await;
    }
    eventually_true("all are in hand", SOON, async || {
        queue::admin::stats(&post.kv, Queue::Email).await.unwrap().in_flight == 4
    })
    .await;
    held.commit().await.unwrap();
    for (event, status) in [("otp:1", "superseded"), ("otp:2", "sent"), ("otp:3", "superseded")] {
        post.becomes(event, status).await;
    }
    let mails = post.inbox("asha@example.in").await;
    assert!(mails.len() == 1 && mails[0]["text"].as_str().unwrap().contains("111112"), "{mails:?}");
}

#[tokio::test]
async fn advertising_waits_for_the_window_and_codes_do_not() {
    // A window that is not now.
    let india = FixedOffset::east_opt(5 * 3_600 + 1_800).unwrap();
    let hour = Utc::now().with_timezone(&india).hour();
    let (from, until) = if hour < 12 { (20, 22) } else { (2, 4) };
    let (from, until) = (from.to_string(), until.to_string());
    let mut post = Post::open_with(&[("SMS_WINDOW_FROM", &from), ("SMS_WINDOW_UNTIL", &until)]).await;
    let advertising = |lang, body: &str| SmsTemplate {
        template: "cashback_credited".to_owned(),
        lang,
        dlt_template_id: "1107000000000000099".to_owned(),
        entity_id: "1101000000000000001".to_owned(),
        sender_id: "612345".to_owned(),
        category: "promotional".to_owned(),
        body: body.to_owned(),
    };
    let client = post.client().await;
    for text in [
        advertising(Language::En, "Rs.{#numeric#} cashback from {#alphanumeric#} is now in your Demo Cashback wallet."),
        advertising(Language::Hi, "{#alphanumeric#} का रु.{#numeric#} कैशबैक अब आपके Demo Cashback वॉलेट में है।"),
    ] {
        store::sms_templates::upsert(&client, &text).await.unwrap();
    }
    post.kill();
    post.launch().await;
    post.push(&text("sms:1", "9800000001")).await;
    let mut code = text("otp:1", "9800000002");
    code.message = SmsMessage::Otp { code: Redacted::new("482913".to_owned()), valid_minutes: 10 };
    post.push(&code).await;
    post.becomes("otp:1", "sent").await;
    eventually_true("the advertising waits", SOON, async || {
        queue::admin::stats(&post.kv, Queue::Sms).await.unwrap().delayed == 1
    })
    .await;
    assert_eq!(post.status("sms:1").await, None, "nobody was asked");
    assert_eq!(post.inbox("919800000001").await.len(), 0);
    let logs = post.service.as_mut().unwrap().logs();
    assert!(logs.contains("waits for the morning"), "{logs}");
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

#[tokio::test]
async fn a_provider_is_asked_for_no_more_mails_at_a_time_than_was_said_and_few_stand_ready() {
    let post = Post::open_with(&[("EMAIL_CONCURRENCY", "8"), ("OUTBOUND_TIMEOUT_MS", "60000")]).await;
    post.fault("sendgrid", "accept_then_timeout", serde_json::json!({})).await;
    let mails: Vec<_> =
        (0..40).map(|number| credited(&format!("mail:{number}"), &format!("to{number}@example.in"))).collect();
    queue::Producer::new(post.kv.clone()).enqueue_many(&mails).await.unwrap();
    let client = post.client().await;
    let claimed = async || -> i64 {
        let sql = "SELECT count(*) FROM notifications WHERE status = 'sending'";
        client.query_one(sql, &[]).await.unwrap().get(0)
    };
    let asked = async || post.sim.get("/_sim/inbox.json").await["messages"].as_array().unwrap().len();
    eventually_true("eight are asked for and one stands ready", SOON, async || {
        asked().await == 8 && claimed().await == 9
    })
    .await;
    // The process goes on meanwhile, so that more would have been asked for by now.
    post.push(&text("sms:1", "9800000001")).await;
    post.becomes("sms:1", "sent").await;
    let of_sendgrid = asked().await - post.inbox("919800000001").await.len();
    assert_eq!((of_sendgrid, claimed().await), (8, 9));
}
