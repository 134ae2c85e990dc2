//! In a cluster a click's list and its client's counter lie in slots of their own.

use std::collections::HashSet;
use std::time::Duration;

use kv::redis::AsyncCommands;
use testkit::{Redis, eventually_true};

use crate::outages::segments;
use crate::shop::{Shop, click_in};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn clicks_and_counts_go_to_a_cluster_and_after_its_outage_too() {
    let mut shop = Shop::open().await;
    shop.redis = Redis::cluster_of_one().await;
    // So low a limit that Redis hears of every click.
    let service = shop.redirector(&[("REDIS_MODE", "cluster"), ("REDIRECT_LIMIT", "30")]);
    let mut sent = HashSet::new();
    for client in ["192.0.2.7", "192.0.2.8"] {
        let answer = shop.click(&service, shop.offer.id, client).send().await.unwrap();
        assert_eq!(answer.status(), 302);
        sent.insert(click_in(&answer));
        assert_eq!(shop.click_ids().await, sent, "on the list before the answer");
        let key = format!("ratelimit:redirect:{client}");
        let (counted, lives): (u64, i64) =
            (shop.connection().await.get(&key).await.unwrap(), shop.connection().await.pttl(&key).await.unwrap());
        assert!(counted == 1 && (1..=60_000).contains(&lives), "{counted} {lives}");
    }
    assert!(segments(&shop).is_empty());

    shop.redis.stop();
    let answer = shop.click(&service, shop.offer.id, "192.0.2.9").send().await.unwrap();
    assert_eq!(answer.status(), 302);
    sent.insert(click_in(&answer));
    assert!(!segments(&shop).is_empty());
    shop.redis.start_again();
    eventually_true("an empty spool", SOON, async || segments(&shop).is_empty()).await;
    assert_eq!(shop.click_ids().await, sent);
}
