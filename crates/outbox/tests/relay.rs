//! Promises reach their lists, also past an outage of Redis.

use std::time::Duration;

use config::{Map, Reader};
use domain::ids::WithdrawalId;
use domain::job::Queue;
use domain::jobs::payment::StartPayout;
use outbox::Relay;
use queue::{Producer, admin};
use store::outbox::{Lane, lag, push};
use testkit::{Database, Redis, eventually_true};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn promises_made_while_redis_is_down_arrive_once_by_three_relays() {
    let (database, mut redis) = (Database::start().await, Redis::durable());
    let url = redis.url();
    let source = Map::from([("REDIS_URL", url.as_str())]);
    let mut reader = Reader::new(&source);
    let settings = kv::Settings::read(&mut reader);
    let kv = kv::Kv::connect(&reader.finish(settings).unwrap()).unwrap();
    let pool = database.pool();
    let shutdown = CancellationToken::new();
    let relays: Vec<_> = (0..3)
        .map(|_| tokio::spawn(Relay::new(pool.clone(), Producer::new(kv.clone())).run(shutdown.clone())))
        .collect();
    let promise = async |lane| {
        let job = StartPayout { withdrawal_id: WithdrawalId::generate() };
        push(&pool.get().await.unwrap(), &job, lane).await.unwrap();
    };

    promise(Lane::Normal).await;
    promise(Lane::Urgent).await;
    let depths = async || {
        admin::stats(&kv, Queue::Payments).await.map(|stats| (stats.waiting, stats.urgent)).unwrap_or_default()
    };
    eventually_true("both lanes have one", Duration::from_secs(2), async || depths().await == (1, 1)).await;

    redis.stop();
    for _ in 0..300 {
        promise(Lane::Normal).await;
    }
    redis.start_again();
    eventually_true("all arrived", SOON, async || depths().await.0 >= 301).await;
    eventually_true("all marked", SOON, async || lag(&pool.get().await.unwrap()).await.unwrap().0 == 0).await;
    assert_eq!(depths().await, (301, 1), "each once");
    shutdown.cancel();
    for relay in relays {
        relay.await.unwrap();
    }
}
