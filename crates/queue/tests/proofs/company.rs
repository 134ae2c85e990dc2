//! The same under Sentinels and in a cluster, where servers come and go.

use std::time::{Duration, Instant};

use domain::job::Queue;
use queue::{Enqueue, Producer, admin};
use testkit::{ask_redis, eventually_true};

use crate::errand::{Act, Parcel};
use crate::servers::{Cluster, Watched};
use crate::stage::{SOON, Stage, always};
use crate::storm::storm;

const QUEUE: Queue = Queue::Payments;

#[tokio::test(flavor = "multi_thread")]
async fn serial_ten_thousand_jobs_survive_killed_workers_and_a_fail_over() {
    let mut servers = Watched::start().await;
    // A push counts when the replica has it: replication runs behind, so without this a fail-over can take what was
    // acknowledged in its last moment.
    let stage = Stage::new(&[("REDIS_MODE", "sentinel"), ("REDIS_URL", &servers.url()), ("REDIS_WAIT_REPLICAS", "1")]);
    let replica = servers.replica.port();
    storm(&stage, 10_000, async || {
        let begin = Instant::now();
        servers.primary.kill();
        eventually_true("the replica leads", SOON, async || servers.named() == replica).await;
        println!("fail-over after {:.1?}", begin.elapsed());
        // The old primary comes back, as a replica.
        servers.primary.start_again();
        let follows =
            async || ask_redis(servers.primary.port(), &["info", "replication"]).contains("master_link_status:up");
        eventually_true("the old primary follows", Duration::from_secs(60), follows).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn serial_ten_thousand_jobs_survive_killed_workers_and_a_killed_node_of_a_cluster() {
    let mut cluster = Cluster::start().await;
    let stage = Stage::new(&[("REDIS_MODE", "cluster"), ("REDIS_URL", &cluster.url())]);
    storm(&stage, 10_000, async || {
        let home = cluster.home("queue:payments");
        home.kill();
        home.start_again();
        eventually_true("the cluster is whole", SOON, async || cluster.is_whole()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn serial_a_cluster_takes_every_kind_of_push_and_of_steering() {
    let mut cluster = Cluster::start().await;
    let stage = Stage::new(&[("REDIS_MODE", "cluster"), ("REDIS_URL", &cluster.url())]);
    let producer = Producer::new(stage.kv.clone());
    let mut worker = stage.worker(&[("LINGER_MS", "20")]);
    producer.enqueue(Enqueue::new(&always(0, Act::Succeed(0))).urgent()).await.unwrap();
    producer.enqueue(Enqueue::new(&always(1, Act::Succeed(0))).delay(Duration::from_millis(100))).await.unwrap();
    let once = always(2, Act::Succeed(0));
    assert!(producer.enqueue(Enqueue::new(&once).dedupe("two", SOON)).await.unwrap().is_some());
    assert!(producer.enqueue(Enqueue::new(&once).dedupe("two", SOON)).await.unwrap().is_none());
    producer.enqueue_many(&[Parcel { number: 3 }]).await.unwrap();
    // Foreign producers push where the contract says, on any list, in whatever slot it lies.
    for (number, list) in [(4, "queue:payments"), (5, "queue:payments:urgent")] {
        let body = format!(
            r#"{{"kind":"proof.errand","payload":{{"number":{number},"first":{{"Succeed":0}},"again":{{"Succeed":0}}}}}}"#
        );
        assert_eq!(ask_redis(cluster.home(list).port(), &["rpush", list, &body]), "1");
    }
    eventually_true("all is done", SOON, async || stage.effects().len() == 6).await;
    producer.enqueue_many(&[always(6, Act::Fail(0))]).await.unwrap();
    eventually_true("one is dead", SOON, async || stage.stats(QUEUE).await.dead == 1).await;
    let letter = admin::dead_letters(&stage.kv, QUEUE, 0, 1).await.unwrap().remove(0);
    assert!(admin::replay(&stage.kv, QUEUE, &letter.id, "proof").await.unwrap());
    eventually_true("it died again", SOON, async || stage.stats(QUEUE).await.counts.get("dead") == Some(&2)).await;
    admin::pause(&stage.kv, QUEUE, "proof").await.unwrap();
    producer.enqueue_many(&[always(7, Act::Succeed(0))]).await.unwrap();
    eventually_true("it waits", SOON, async || {
        let stats = stage.stats(QUEUE).await;
        stats.paused && stats.waiting == 1
    })
    .await;
    admin::resume(&stage.kv, QUEUE).await.unwrap();
    eventually_true("it runs", SOON, async || stage.effects().contains(&7)).await;
    assert_eq!(admin::workers(&stage.kv).await.unwrap().len(), 1);
    assert_eq!(worker.terminate(SOON).0, Some(0));
    assert_eq!(stage.stats(QUEUE).await.unaccounted, 0);
}
