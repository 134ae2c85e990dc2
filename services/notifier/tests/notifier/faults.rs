//! Providers that fail, and processes that die.

use std::time::Duration;

use domain::job::Queue;
use serde_json::json;
use testkit::eventually_true;

use crate::post::{Post, SOON, credited, text};

#[tokio::test]
async fn a_message_is_sent_once_however_often_its_event_is_told() {
    let post = Post::open().await;
    for _ in 0..5 {
        post.push(&credited("cashback:1", "asha@example.in")).await;
        post.push(&text("text:1", "9800000001")).await;
    }
    post.becomes("cashback:1", "sent").await;
    post.becomes("text:1", "sent").await;
    // One that came while the first was being sent looks again later; it finds the message settled.
    for queue in [Queue::Email, Queue::Sms] {
        eventually_true("nothing is in hand", SOON, async || {
            let stats = queue::admin::stats(&post.kv, queue).await.unwrap();
            stats.waiting + stats.in_flight == 0
        })
        .await;
    }
    let mails = post.inbox("asha@example.in").await;
    assert_eq!(mails.len(), 1, "{mails:?}");
    let html = mails[0]["html"].as_str().unwrap();
    assert!(html.contains("₹1,23,456.50"), "Indian grouping");
    assert!(
        (html.contains("Shoes &amp; More") || html.contains("Shoes &#38; More")) && !html.contains("<b>Rao</b>"),
        "values are escaped"
    );
    assert_eq!(post.inbox("919800000001").await.len(), 1);
}

#[tokio::test]
async fn refusals_for_now_burn_no_try_and_end_in_one_message() {
    let post = Post::open().await;
    // The minute's allowance is used up: SendGrid says when the next minute begins, and is asked then.
    post.fault("sendgrid", "rate_limit", json!({"times": 1})).await;
    post.fault("sendgrid", "status", json!({"status": 503, "times": 2})).await;
    post.push(&credited("cashback:2", "asha@example.in")).await;
    eventually_true("it is sent in the next minute", Duration::from_secs(100), async || {
        post.status("cashback:2").await.is_some_and(|(status, _)| status == "sent")
    })
    .await;
    assert_eq!(post.inbox("asha@example.in").await.len(), 1);
    assert_eq!(post.dead(Queue::Email).await, 0);
}

#[tokio::test]
async fn no_answer_after_the_mail_was_taken_gives_no_second_mail() {
    let post = Post::open().await;
    post.fault("sendgrid", "accept_then_timeout", json!({"ms": 4000, "times": 1})).await;
    post.push(&credited("cashback:3", "asha@example.in")).await;
    post.becomes("cashback:3", "unknown").await;
    // The event is told again: nobody may send it before a report says that it did not arrive.
    post.push(&credited("cashback:3", "asha@example.in")).await;
    post.push(&credited("cashback:4", "asha@example.in")).await;
    post.becomes("cashback:4", "sent").await;
    assert_eq!(post.inbox("asha@example.in").await.len(), 2, "one each");
}

#[tokio::test]
async fn a_message_that_is_claimed_too_late_for_its_job_is_sent_by_the_next_try() {
    let post = Post::open().await;
    let mut client = post.client().await;
    let held = client.transaction().await.unwrap();
    held.batch_execute("LOCK TABLE notifications IN EXCLUSIVE MODE").await.unwrap();
    post.push(&credited("cashback:6", "asha@example.in")).await;
    // A job has half a minute.
    eventually_true("the first try is over", Duration::from_secs(60), async || {
        let counts = queue::admin::stats(&post.kv, Queue::Email).await.unwrap().counts;
        counts.get("retried").is_some_and(|retried| *retried > 0)
    })
    .await;
    held.commit().await.unwrap();
    post.becomes("cashback:6", "sent").await;
    assert_eq!(post.inbox("asha@example.in").await.len(), 1);
}

#[tokio::test]
async fn a_message_for_which_no_place_became_free_in_time_is_sent_by_the_next_try() {
    let post = Post::open_with(&[("EMAIL_CONCURRENCY", "1"), ("OUTBOUND_TIMEOUT_MS", "60000")]).await;
    post.fault("sendgrid", "accept_then_timeout", json!({"ms": 60_000, "times": 1})).await;
    for number in 0..2 {
        post.push(&credited(&format!("cashback:{number}"), &format!("asha{number}@example.in"))).await;
    }
    eventually_true("of one nobody knows, and the other is sent", SOON, async || {
        let sql = "SELECT string_agg(status, ' ' ORDER BY status) FROM notifications";
        let states: Option<String> = post.client().await.query_one(sql, &[]).await.unwrap().get(0);
        states.as_deref() == Some("sent unknown")
    })
    .await;
}

#[tokio::test]
async fn serial_a_process_that_dies_while_the_provider_answers_sends_no_second_mail() {
    let mut post = Post::open().await;
    post.fault("sendgrid", "latency", json!({"ms": 1200, "times": 20})).await;
    for number in 0..20 {
        post.push(&credited(&format!("cashback:{number}"), &format!("asha{number}@example.in"))).await;
    }
    let client = post.client().await;
    eventually_true("all are being sent", SOON, async || {
        let sql = "SELECT count(*) FROM notifications WHERE status = 'sending'";
        client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 20
    })
    .await;
    post.kill();
    post.launch().await;
    // The jobs come back when the dead worker's lease is over, and find their messages in doubt.
    eventually_true("nothing is in hand", SOON, async || {
        let stats = queue::admin::stats(&post.kv, Queue::Email).await.unwrap();
        stats.waiting + stats.in_flight == 0 && stats.delayed == 20
    })
    .await;
    for number in 0..20 {
        assert!(post.inbox(&format!("asha{number}@example.in")).await.len() <= 1, "mail {number}");
    }
    assert_eq!(post.dead(Queue::Email).await, 0);
}

#[tokio::test]
async fn what_a_provider_refuses_for_good_is_a_dead_letter_with_its_reason() {
    let post = Post::open().await;
    let body = json!({"errors": [{"message": "The subject is required", "field": "subject"}]}).to_string();
    post.fault("sendgrid", "status", json!({"status": 400, "body": body, "times": 1})).await;
    post.push(&credited("cashback:5", "asha@example.in")).await;
    post.becomes("cashback:5", "failed").await;
    let (_, reason) = post.status("cashback:5").await.unwrap();
    assert!(reason.contains("subject"), "{reason}");
    eventually_true("one dead letter", SOON, async || post.dead(Queue::Email).await == 1).await;
}
