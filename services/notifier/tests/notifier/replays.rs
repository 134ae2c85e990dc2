//! Dead mails that an operator puts back.

use chrono::{TimeDelta, Utc};
use domain::job::Queue;
use queue::admin::{self, DeadLetter};
use serde_json::json;
use testkit::eventually;

use crate::post::{Post, SOON, credited};

/// Waits for the dead letter whose error says this.
async fn died(post: &Post, error: &str) -> DeadLetter {
    eventually("a dead letter", SOON, async || {
        let letters = admin::dead_letters(&post.kv, Queue::Email, 0, 10).await.unwrap();
        letters.into_iter().find(|letter| letter.error.contains(error))
    })
    .await
}

async fn put_back(post: &Post, letter: &DeadLetter) {
    assert!(admin::replay(&post.kv, Queue::Email, &letter.id, "asha").await.unwrap());
}

#[tokio::test]
async fn a_mail_that_was_refused_for_good_is_tried_again_for_an_operator() {
    let post = Post::open().await;
    for (status, event) in [(400, "cashback:400"), (413, "cashback:413")] {
        post.fault("sendgrid", "status", json!({"status": status, "times": 2})).await;
        post.push(&credited(event, "asha@example.in")).await;
        post.becomes(event, "failed").await;
        let letter = died(&post, &status.to_string()).await;
        // It is refused once more, with a death of its own.
        put_back(&post, &letter).await;
        let again = eventually("the second death", SOON, async || {
            let letter = admin::dead_letter(&post.kv, Queue::Email, &letter.id).await.unwrap()?;
            (letter.replays.len() == 1).then_some(letter)
        })
        .await;
        assert_eq!(post.inbox("asha@example.in").await.len(), usize::from(status == 413), "{event} is not there yet");
        put_back(&post, &again).await;
        post.becomes(event, "sent").await;
        post.idle(Queue::Email).await;
        assert_eq!(post.dead(Queue::Email).await, 0);
    }
    assert_eq!(post.inbox("asha@example.in").await.len(), 2, "one for each event");
}

#[tokio::test]
async fn a_mail_that_the_provider_may_have_is_not_sent_again_and_says_so() {
    let post = Post::open().await;
    // A gateway that gave up knows nothing of the mail behind it; the day for which it is tried is over.
    post.fault("sendgrid", "status", json!({"status": 504, "times": 1})).await;
    post.push_as_of(&credited("cashback:504", "asha@example.in"), Utc::now() - TimeDelta::hours(25)).await;
    post.becomes("cashback:504", "failed").await;
    let letter = died(&post, "504").await;
    put_back(&post, &letter).await;
    let again = died(&post, "had this message or may have it").await;
    assert_eq!(again.id, letter.id);
    assert_eq!(post.status("cashback:504").await.unwrap().0, "failed");

    // One that was taken without an answer is in doubt, and no operator's replay of its event changes that.
    post.fault("sendgrid", "accept_then_timeout", json!({"ms": 4000, "times": 1})).await;
    post.push(&credited("cashback:taken", "ravi@example.in")).await;
    post.becomes("cashback:taken", "unknown").await;
    post.push_replayed(&credited("cashback:taken", "ravi@example.in")).await;
    post.push(&credited("cashback:next", "ravi@example.in")).await;
    post.becomes("cashback:next", "sent").await;
    assert_eq!(post.status("cashback:taken").await.unwrap().0, "unknown");
    assert_eq!(post.inbox("ravi@example.in").await.len(), 2, "one each");
    assert_eq!(post.inbox("asha@example.in").await.len(), 0);
}
