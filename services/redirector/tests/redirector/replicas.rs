//! Where replicas are waited for (`REDIS_WAIT_REPLICAS`), a click is safe when they have it, or the disk.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use domain::ids::ClickId;
use kv::redis::{self, AsyncCommands};
use testkit::{Redis, Service, eventually_true};

use crate::outages::segments;
use crate::shop::{Shop, click_in};

const SOON: Duration = Duration::from_secs(30);

async fn redirected(shop: &Shop, service: &Service) -> ClickId {
    let answer = shop.click(service, shop.offer.id, "192.0.2.7").send().await.unwrap();
    assert_eq!(answer.status(), 302);
    click_in(&answer)
}

/// What a replica has on its list now.
async fn texts_of(replica: &Redis) -> Vec<String> {
    let client = redis::Client::open(replica.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    connection.lrange("queue:clicks", 0, -1).await.unwrap()
}

#[tokio::test]
async fn a_click_is_on_disk_until_replicas_have_it() {
    let shop = Shop::open().await;
    let mut redis = shop.connection().await;
    let at_once = redis::cmd("CONFIG").arg(&["SET", "repl-diskless-sync-delay", "0"]).take();
    let _: () = at_once.query_async(&mut redis).await.unwrap();

    let service = shop.redirector(&[("REDIS_WAIT_REPLICAS", "1")]);
    let first = redirected(&shop, &service).await;
    assert!(shop.clicks().await.is_empty() && !segments(&shop).is_empty(), "without a replica the disk has it");

    let port = shop.redis.port().to_string();
    let replica = Redis::with_options(&["--save", "", "--replicaof", "127.0.0.1", &port]);
    eventually_true("clicks go to Redis", SOON, async || service.logs().contains("Redis takes clicks again")).await;
    eventually_true("an empty spool", SOON, async || segments(&shop).is_empty()).await;
    let second = redirected(&shop, &service).await;
    assert!(texts_of(&replica).await.iter().any(|text| text.contains(&second.to_string())), "before the answer");
    assert!(segments(&shop).is_empty());

    replica.signal("STOP");
    let begin = Instant::now();
    let third = redirected(&shop, &service).await;
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(!segments(&shop).is_empty(), "a replica that says nothing does not have it");
    replica.signal("CONT");
    eventually_true("an empty spool", SOON, async || segments(&shop).is_empty()).await;
    assert_eq!(shop.click_ids().await, HashSet::from([first, second, third]));
}
