//! `kill -9` between any two steps of a message: whatever was left undone, nobody gets it twice.
//!
//! The process is held at a step from outside (by locks in Postgres, by the provider's silence, by a Redis that stands still)
//! and killed there; another one takes over.

use domain::job::Queue;
use serde_json::json;
use testkit::eventually_true;

use crate::post::{Post, SOON, credited, text};

const EVENTS: [&str; 2] = ["mail:1", "sms:1"];

/// One mail and one text message are asked for.
async fn ask(post: &Post) {
    post.push(&credited("mail:1", "asha@example.in")).await;
    post.push(&text("sms:1", "9800000001")).await;
}

async fn taken(post: &Post) -> [usize; 2] {
    [post.inbox("asha@example.in").await.len(), post.inbox("919800000001").await.len()]
}

async fn both_are(post: &Post, status: &str) {
    for event in EVENTS {
        post.becomes(event, status).await;
    }
}

/// Waits until the jobs of the dead process were looked at by its successor: each is done, or waits in doubt.
async fn both_came_back(post: &Post) {
    for queue in [Queue::Email, Queue::Sms] {
        eventually_true("the job of the dead process came back", SOON, async || {
            let stats = queue::admin::stats(&post.kv, queue).await.unwrap();
            stats.waiting + stats.in_flight == 0
        })
        .await;
    }
}

/// Waits until the notifier stands at a lock of ours; both messages may share a statement.
async fn stands_at_a_lock(post: &Post) {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually_true("the notifier waits for our lock", SOON, async || {
        post.client().await.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) >= 1
    })
    .await;
}

#[tokio::test]
async fn before_the_claim_it_is_sent_by_the_next_process() {
    let mut post = Post::open().await;
    let mut locker = post.client().await;
    let lock = locker.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE notifications IN ACCESS EXCLUSIVE MODE").await.unwrap();
    ask(&post).await;
    stands_at_a_lock(&post).await;
    post.kill();
    lost_statements(&post).await;
    lock.rollback().await.unwrap();
    assert_eq!(taken(&post).await, [0, 0]);
    post.launch().await;
    both_are(&post, "sent").await;
    assert_eq!(taken(&post).await, [1, 1]);
}

/// Ends what the dead process had left running in Postgres, so that it has no effect any more.
async fn lost_statements(post: &Post) {
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let ended: i64 = post.client().await.query_one(sql, &[]).await.unwrap().get(0);
    assert!(ended > 0, "a statement of the dead process was under way");
}

#[tokio::test]
async fn between_the_providers_taking_it_and_its_answer_it_is_not_sent_again() {
    let mut post = Post::open().await;
    for provider in ["sendgrid", "msg91"] {
        post.fault(provider, "accept_then_timeout", json!({"ms": 20_000, "times": 1})).await;
    }
    ask(&post).await;
    eventually_true("both providers have their message", SOON, async || taken(&post).await == [1, 1]).await;
    post.kill();
    both_are(&post, "sending").await;
    post.launch().await;
    both_came_back(&post).await;
    assert_eq!(taken(&post).await, [1, 1]);
}

#[tokio::test]
async fn between_the_answer_and_its_writing_down_it_is_not_sent_again() {
    let mut post = Post::open().await;
    for provider in ["sendgrid", "msg91"] {
        post.fault(provider, "latency", json!({"ms": 1_000, "times": 1})).await;
    }
    ask(&post).await;
    both_are(&post, "sending").await;
    let mut locker = post.client().await;
    let lock = locker.transaction().await.unwrap();
    lock.batch_execute("SELECT FROM notifications FOR UPDATE").await.unwrap();
    eventually_true("both providers have their message", SOON, async || taken(&post).await == [1, 1]).await;
    stands_at_a_lock(&post).await;
    post.kill();
    lost_statements(&post).await;
    lock.rollback().await.unwrap();
    post.launch().await;
    both_came_back(&post).await;
    assert_eq!(taken(&post).await, [1, 1]);
}

#[tokio::test]
async fn between_its_writing_down_and_the_jobs_end_it_is_not_sent_again() {
    let mut post = Post::open().await;
    for provider in ["sendgrid", "msg91"] {
        post.fault(provider, "latency", json!({"ms": 1_000, "times": 1})).await;
    }
    ask(&post).await;
    both_are(&post, "sending").await;
    post.redis.signal("STOP");
    both_are(&post, "sent").await;
    post.kill();
    post.redis.signal("CONT");
    let in_hand = queue::admin::stats(&post.kv, Queue::Email).await.unwrap().in_flight;
    assert_eq!(in_hand, 1, "the job had no end yet");
    post.launch().await;
    for queue in [Queue::Email, Queue::Sms] {
        post.idle(queue).await;
    }
    assert_eq!(taken(&post).await, [1, 1]);
    both_are(&post, "sent").await;
}
