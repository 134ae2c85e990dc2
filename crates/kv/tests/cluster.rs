//! Many keys at once, in a cluster as on one server.

use std::time::Duration;

use config::{Map, Reader};
use kv::{Kv, cache, once};
use testkit::Redis;

const MINUTE: Duration = Duration::from_secs(60);

fn connect(mode: &str, redis: &Redis) -> Kv {
    let url = redis.url();
    let source = Map::from([("REDIS_MODE", mode), ("REDIS_URL", url.as_str())]);
    let mut reader = Reader::new(&source);
    let settings = kv::Settings::read(&mut reader);
    Kv::connect(&reader.finish(settings).unwrap()).unwrap()
}

async fn keys_are_kept_marked_and_forgotten(kv: &Kv) {
    let keys: Vec<String> = (0..50).map(|number| format!("key:{number}")).collect();
    let kept: Vec<_> = keys.iter().enumerate().map(|(number, key)| (key.clone(), number.to_string(), MINUTE)).collect();
    cache::set_many(kv, &kept).await.unwrap();
    let values = cache::get_many(kv, &keys).await.unwrap();
    assert!(values.iter().enumerate().all(|(number, value)| value.as_deref() == Some(&*number.to_string())));
    cache::forget(kv, &keys).await.unwrap();
    assert_eq!(cache::get_many(kv, &keys).await.unwrap(), vec![None::<String>; 50]);

    let (some, others) = keys.split_at(20);
    once::mark(kv, some, MINUTE).await.unwrap();
    assert_eq!(once::marked(kv, some).await.unwrap(), [true; 20]);
    assert_eq!(once::marked(kv, others).await.unwrap(), [false; 30]);
}

#[tokio::test]
async fn many_keys_are_asked_for_at_once_on_one_server() {
    let redis = Redis::start();
    keys_are_kept_marked_and_forgotten(&connect("single", &redis)).await;
}

#[tokio::test]
async fn many_keys_are_asked_for_at_once_in_a_cluster_whatever_slots_they_lie_in() {
    let redis = Redis::cluster_of_one().await;
    keys_are_kept_marked_and_forgotten(&connect("cluster", &redis)).await;
}
