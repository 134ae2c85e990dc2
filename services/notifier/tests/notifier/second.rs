//! The second mail provider: when it steps in, when it must not, and who is told.

use std::cell::Cell;

use domain::job::Queue;
use serde_json::{Value, json};
use store::notifications::Channel;
use store::suppressions::{self, AddressHash};
use testkit::{eventually_true, http};

use crate::post::{Post, SOON, credited};

const OUT_OF_CREDITS: &str = r#"{"errors":[{"message":"Maximum credits exceeded","field":null,"help":null}]}"#;

async fn provider_of(post: &Post, event: &str) -> String {
    let sql = "SELECT provider FROM notifications WHERE event_key = $1";
    post.client().await.query_one(sql, &[&event]).await.unwrap().get(0)
}

/// The titles of the mails to admins, oldest first.
async fn told(post: &Post) -> Vec<String> {
    let sql =
        "SELECT payload #>> '{message,title}' FROM outbox WHERE payload ->> 'to' = 'ops@shop.example.in' ORDER BY id";
    let rows = post.client().await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn smtp_only(mails: &[Value]) -> bool {
    mails.iter().all(|mail| mail["provider"] == "smtp")
}

#[tokio::test]
async fn when_the_credits_are_out_mails_go_by_smtp_and_admins_are_told_once_each_way() {
    let mut post = Post::open_with_second(&[]).await;
    let second_replica = post.replica().await;
    post.fault("sendgrid", "status", json!({"status": 401, "body": OUT_OF_CREDITS})).await;
    for number in 0..12 {
        post.push(&credited(&format!("cashback:{number}"), &format!("asha{number}@example.in"))).await;
    }
    for number in 0..12 {
        post.becomes(&format!("cashback:{number}"), "sent").await;
        let mails = post.inbox(&format!("asha{number}@example.in")).await;
        assert!(mails.len() == 1 && smtp_only(&mails), "{mails:?}");
    }
    let mail = &post.inbox("asha0@example.in").await[0];
    assert_eq!(mail["subject"], "₹120.00 cashback is in your wallet", "{mail}");
    assert!(mail["html"].as_str().unwrap().contains("Asha &#60;b&#62;Rao"), "{mail}");
    assert!(mail["text"].as_str().unwrap().contains("₹1,23,456.50"), "{mail}");
    assert!(mail["headers"]["X-Entity-Ref-ID"].is_string(), "{mail}");
    assert_eq!(provider_of(&post, "cashback:0").await, "smtp");
    eventually_true("admins are told", SOON, async || !told(&post).await.is_empty()).await;

    post.sim.delete("/_sim/faults?provider=sendgrid").await;
    let number = Cell::new(12);
    // The circuit lets a mail through after a while; until then they go by SMTP.
    eventually_true("SendGrid is back, and admins know", SOON * 2, async || {
        number.set(number.get() + 1);
        let later = number.get();
        post.push(&credited(&format!("cashback:{later}"), &format!("later{later}@example.in"))).await;
        told(&post).await.len() > 1
    })
    .await;
    let title = "Mails go by the second provider".to_owned();
    assert_eq!(told(&post).await, [title.clone(), format!("Over: {title}")], "once each, from two replicas");
    let metrics = [second_replica.ops(), post.service.as_ref().unwrap().ops()].map(|ops| format!("{ops}/metrics"));
    let mut taken = 0;
    for url in metrics {
        let text = http().get(url).send().await.unwrap().text().await.unwrap();
        taken += usize::from(text.contains("mails_by_second_provider_total{outcome=\"accepted\""));
    }
    assert!(taken > 0, "the metric counts");
    let logs = post.service.as_mut().unwrap().logs() + &second_replica.logs();
    for secret in ["planted-smtp-password", "asha0@example.in"] {
        assert!(!logs.contains(secret), "{secret} is in the logs");
    }
}

#[tokio::test]
async fn a_refused_connection_leads_to_smtp_but_silence_does_not() {
    // Nobody listens there.
    let post = Post::open_with_second(&[("SENDGRID_BASE_URL", "http://127.0.0.1:9")]).await;
    post.push(&credited("cashback:1", "asha@example.in")).await;
    post.becomes("cashback:1", "sent").await;
    assert!(smtp_only(&post.inbox("asha@example.in").await));

    let post = Post::open_with_second(&[]).await;
    post.fault("sendgrid", "accept_then_timeout", json!({"ms": 4000, "times": 1})).await;
    post.push(&credited("cashback:2", "asha@example.in")).await;
    post.becomes("cashback:2", "unknown").await;
    post.fault("sendgrid", "cut_body", json!({"times": 1})).await;
    post.fault("sendgrid", "html", json!({"status": 502, "times": 1})).await;
    post.push(&credited("cashback:3", "asha@example.in")).await;
    post.push(&credited("cashback:4", "asha@example.in")).await;
    // What SendGrid's gateway answers may hide a mail that was taken: it is asked again, nobody else is.
    eventually_true("both have been answered", SOON, async || {
        let sql = "SELECT count(*) FROM notifications WHERE event_key IN ('cashback:3', 'cashback:4')
                   AND status IN ('sent', 'unknown')";
        post.client().await.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 2
    })
    .await;
    let mails = post.inbox("asha@example.in").await;
    assert!(mails.iter().all(|mail| mail["provider"] == "sendgrid"), "{mails:?}");
    assert_eq!(mails.len(), 3, "one each");
    assert_eq!(told(&post).await.len(), 0);
}

#[tokio::test]
async fn too_many_requests_wait_for_their_minute_instead() {
    let post = Post::open_with_second(&[]).await;
    post.fault("sendgrid", "rate_limit", json!({"times": 1})).await;
    post.push(&credited("cashback:1", "asha@example.in")).await;
    eventually_true("it is sent in the next minute", SOON * 3, async || {
        post.status("cashback:1").await.is_some_and(|(status, _)| status == "sent")
    })
    .await;
    assert_eq!(provider_of(&post, "cashback:1").await, "sendgrid");
}

#[tokio::test]
async fn what_the_mail_server_says_is_understood_at_every_step() {
    let post = Post::open_with_second(&[]).await;
    post.fault("sendgrid", "status", json!({"status": 503})).await;
    // Each of them is over after one; the mail goes in the end, once.
    for (number, (step, fault, more)) in [
        ("CONNECT", "reset", json!({})),
        ("CONNECT", "status", json!({"status": 421})),
        ("AUTH", "status", json!({"status": 454, "body": "4.7.0 not now"})),
        ("MAIL", "status", json!({"status": 451, "body": "4.3.0 not now"})),
        ("RCPT", "status", json!({"status": 450, "body": "4.2.1 mailbox busy"})),
        ("DATA", "status", json!({"status": 451})),
        ("DATA", "reset", json!({})),
        ("MESSAGE", "status", json!({"status": 452, "body": "4.3.1 no space"})),
    ]
    .into_iter()
    .enumerate()
    {
        let mut order = json!({"path_contains": step, "times": 1});
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        post.fault("smtp", fault, order).await;
        let (event, to) = (format!("cashback:{number}"), format!("asha{number}@example.in"));
        post.push(&credited(&event, &to)).await;
        post.becomes(&event, "sent").await;
        assert_eq!(post.inbox(&to).await.len(), 1, "{step} {fault}");
    }
    assert_eq!(post.dead(Queue::Email).await, 0);
}

#[tokio::test]
async fn a_mail_server_that_falls_silent_after_the_mail_is_asked_no_second_time() {
    let post = Post::open_with_second(&[]).await;
    post.fault("sendgrid", "status", json!({"status": 503})).await;
    for (number, fault) in ["cut_body", "accept_then_timeout"].into_iter().enumerate() {
        post.fault("smtp", fault, json!({"path_contains": "MESSAGE", "times": 1, "ms": 4000})).await;
        let (event, to) = (format!("cashback:{number}"), format!("asha{number}@example.in"));
        post.push(&credited(&event, &to)).await;
        post.becomes(&event, "unknown").await;
        post.push(&credited(&event, &to)).await;
        post.push(&credited(&format!("after:{number}"), &to)).await;
        post.becomes(&format!("after:{number}"), "sent").await;
        assert_eq!(post.inbox(&to).await.len(), 2, "one each: {fault}");
    }
}

#[tokio::test]
async fn a_mail_server_that_is_slow_all_along_is_left_before_the_mail_and_asked_again() {
    // Each reply is in time; all of them together take longer than the half minute of a job.
    let post = Post::open_with_second(&[("SMTP_TIMEOUT_MS", "9000")]).await;
    post.fault("sendgrid", "status", json!({"status": 503})).await;
    for step in ["CONNECT", "AUTH", "MAIL", "RCPT"] {
        post.fault("smtp", "latency", json!({"path_contains": step, "times": 1, "ms": 8000})).await;
    }
    post.push(&credited("cashback:1", "asha@example.in")).await;
    eventually_true("it is sent by the next try", SOON * 2, async || {
        post.status("cashback:1").await.is_some_and(|(status, _)| status == "sent")
    })
    .await;
    assert_eq!(post.inbox("asha@example.in").await.len(), 1);
}

#[tokio::test]
async fn an_address_that_does_not_exist_fails_for_good_and_is_not_tried_again() {
    let post = Post::open_with_second(&[]).await;
    post.fault("sendgrid", "status", json!({"status": 503})).await;
    let refusal =
        json!({"path_contains": "RCPT", "times": 1, "status": 550, "body": "5.1.1 <gone@example.in> no such user"});
    post.fault("smtp", "status", refusal).await;
    post.push(&credited("cashback:1", "gone@example.in")).await;
    post.becomes("cashback:1", "failed").await;
    let (_, reason) = post.status("cashback:1").await.unwrap();
    assert!(reason.contains("550") && reason.contains("no such user"), "{reason}");
    assert!(!reason.contains("gone@"), "{reason}");
    let address = AddressHash::from(&"gone@example.in".parse().unwrap());
    let suppressed = suppressions::of_address(&post.client().await, Channel::Email, &address).await.unwrap();
    assert_eq!(suppressed.len(), 1, "{suppressed:?}");
    assert_eq!((suppressed[0].category.as_str(), suppressed[0].reason.as_str()), ("all", "invalid"));
    post.push(&credited("cashback:2", "gone@example.in")).await;
    post.becomes("cashback:2", "suppressed").await;
}

#[tokio::test]
async fn a_mail_server_is_spoken_to_under_tls_and_only_if_it_is_the_right_one() {
    for tls in ["starttls", "implicit"] {
        let post = Post::open_with_secure_second(tls, true).await;
        post.fault("sendgrid", "status", json!({"status": 503})).await;
        for number in 0..3 {
            let (event, to) = (format!("cashback:{number}"), format!("asha{number}@example.in"));
            post.push(&credited(&event, &to)).await;
            post.becomes(&event, "sent").await;
            let mails = post.inbox(&to).await;
            assert!(mails.len() == 1 && smtp_only(&mails), "{tls}: {mails:?}");
        }

        let mut post = Post::open_with_secure_second(tls, false).await;
        post.fault("sendgrid", "status", json!({"status": 503})).await;
        post.push(&credited("cashback:1", "asha@example.in")).await;
        post.becomes("cashback:1", "retry").await;
        eventually_true("the certificate is named as the reason", SOON, async || {
            post.status("cashback:1").await.is_some_and(|(_, reason)| reason.contains("certificate"))
        })
        .await;
        assert_eq!(post.inbox("asha@example.in").await.len(), 0, "{tls}: nothing is said to a stranger");
        assert!(!post.service.as_mut().unwrap().logs().contains("planted-smtp-password"));
    }
}
