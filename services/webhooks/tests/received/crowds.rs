//! Webhooks that come together share a transaction; another one begins beside it only for a crowd, or when it is held up.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use testkit::eventually_true;

use crate::events::{event, payment};
use crate::shop::{SOON, Shop};

/// Backends that wait for a table which the test holds.
const HELD: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// After which another transaction is due for whoever waits.
const HELD_UP: Duration = Duration::from_millis(200);

fn body(number: usize) -> String {
    event("payment.authorized", &[("payment", payment(&format!("pay_{number}"), "order_1", 49_900, "authorized"))])
}

/// Holds the first webhook of a round up, sends a crowd after it, and lets go once a second transaction has begun. Gives how many of
/// the crowd were in that one; `None` where the first had been held up for so long that a second was due without any crowd.
async fn crowd(shop: &Shop, round: usize) -> Option<i64> {
    let before = shop.count("SELECT count(*) FROM webhook_receipts").await;
    let mut holder = shop.client().await;
    let hold = holder.transaction().await.unwrap();
    hold.batch_execute("LOCK TABLE webhook_receipts IN EXCLUSIVE MODE").await.unwrap();
    let bodies: Vec<_> = (0..=150).map(|number| body(1_000 * round + number)).collect();
    let begin = Instant::now();
    let first = shop.razorpay(&bodies[0]);
    let others = async {
        eventually_true("the first is held up", SOON, async || shop.count(HELD).await == 1).await;
        let others = join_all(bodies[1..].iter().map(|body| shop.razorpay(body)));
        let release = async {
            eventually_true("the crowd is held up beside it", SOON, async || shop.count(HELD).await == 2).await;
            let took = begin.elapsed();
            hold.commit().await.unwrap();
            took
        };
        tokio::join!(others, release)
    };
    let (first, (others, took)) = tokio::join!(first, others);
    assert!(first == 200 && others.iter().all(|status| *status == 200), "{first} {others:?}");
    assert_eq!(shop.count("SELECT count(*) FROM webhook_receipts").await, before + 151);
    let together = format!(
        "SELECT count(*) FROM webhook_receipts WHERE xmin::text = \
         (SELECT xmin::text FROM webhook_receipts ORDER BY webhook_id OFFSET {} LIMIT 1)",
        before + 1
    );
    (took < HELD_UP).then_some(shop.count(&together).await)
}

#[tokio::test]
async fn serial_a_second_transaction_begins_only_for_a_crowd() {
    let shop = Shop::open().await;
    // The first round opens connections, and takes longer.
    for round in 0..20 {
        if let Some(together) = crowd(&shop, round).await {
            assert!(together >= 64, "those who came next went {together} at a time");
            return;
        }
    }
    panic!("the crowd never came before the first one had been held up for {HELD_UP:?}");
}

#[tokio::test]
async fn who_comes_after_one_that_is_held_up_does_not_wait_for_it() {
    let shop = Shop::open().await;
    let mut holder = shop.client().await;
    let hold = holder.transaction().await.unwrap();
    let same_key = "INSERT INTO webhook_receipts (source, event_id, body_key, webhook_id)
                    VALUES ('razorpay', 'evt-held', sha256('another'), gen_random_uuid())";
    hold.batch_execute(same_key).await.unwrap();
    let (held, other) = (body(0), body(1));
    let held = shop.razorpay_as("evt-held", &held);
    let rest = async {
        eventually_true("the first is held up", SOON, async || shop.count(HELD).await == 1).await;
        let status = shop.razorpay_as("evt-free", &other).await;
        let is_held = shop.count(HELD).await == 1;
        hold.rollback().await.unwrap();
        (status, is_held)
    };
    let (held, (free, was_held)) = tokio::join!(held, rest);
    assert_eq!((held.as_u16(), free.as_u16(), was_held), (200, 200, true));
}
