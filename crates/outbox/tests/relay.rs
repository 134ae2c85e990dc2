//! Promises reach their lists, also past an outage of Redis, a queue that is full, a promise that is too big and one that is for a
//! newer version.

use std::time::Duration;

use config::{Map, Reader};
use domain::ids::{WebhookId, WithdrawalId};
use domain::job::Queue;
use domain::jobs::Language;
use domain::jobs::email::{EmailMessage, SendEmail};
use domain::jobs::payment::StartPayout;
use domain::jobs::receipt::ProcessReceipts;
use kv::{Kv, keys, redis};
use outbox::Relay;
use queue::{Producer, admin};
use store::outbox::{Lane, lag, push};
use testkit::{Database, Redis, eventually_true};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(10);

fn connect(server: &Redis, limit: (&str, &str)) -> Kv {
    let url = server.url();
    let source = Map::from([("REDIS_URL", url.as_str()), limit]);
    let mut reader = Reader::new(&source);
    let settings = kv::Settings::read(&mut reader);
    Kv::connect(&reader.finish(settings).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_made_while_redis_is_down_arrive_once_by_three_relays() {
    let (database, mut redis) = (Database::start().await, Redis::durable());
    let kv = connect(&redis, ("QUEUE_MAX_BYTES", "10000000"));
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

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_full_keeps_no_promise_for_another_one_waiting_and_nothing_is_pushed_twice() {
    let (database, server) = (Database::start().await, Redis::start());
    let (kv, pool) = (connect(&server, ("QUEUE_MAX_BYTES", "20000")), database.pool());
    let full = keys::ready(Queue::Receipts);
    let mut fill = redis::cmd("RPUSH");
    fill.arg(&full).arg(vec![b'x'; 50_000]).query_async::<()>(&mut kv.commands()).await.unwrap();
    let waiting = async |queue| admin::stats(&kv, queue).await.unwrap().waiting;
    let client = pool.get().await.unwrap();
    let payout = async || {
        let job = StartPayout { withdrawal_id: WithdrawalId::generate() };
        push(&client, &job, Lane::Normal).await.unwrap();
    };
    payout().await;
    push(&client, &ProcessReceipts { webhook_id: WebhookId::generate() }, Lane::Normal).await.unwrap();
    payout().await;

    let shutdown = CancellationToken::new();
    let relay = Relay::new(pool.clone(), Producer::new(kv.clone())).run(shutdown.clone());
    let story = async {
        eventually_true("both payouts are there", SOON, async || waiting(Queue::Payments).await == 2).await;
        eventually_true("only the reports wait", SOON, async || lag(&client).await.unwrap().0 == 1).await;
        // Announced, so it is looked at once more at least.
        payout().await;
        eventually_true("the next one is there too", SOON, async || waiting(Queue::Payments).await >= 3).await;
        redis::cmd("DEL").arg(&full).query_async::<()>(&mut kv.commands()).await.unwrap();
        eventually_true("the reports are there", SOON, async || waiting(Queue::Receipts).await == 1).await;
        eventually_true("nothing waits", SOON, async || lag(&client).await.unwrap().0 == 0).await;
        assert_eq!(waiting(Queue::Payments).await, 3, "each once");
        shutdown.cancel();
    };
    tokio::join!(relay, story);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_is_too_big_keeps_no_other_waiting() {
    let (database, server) = (Database::start().await, Redis::start());
    let (kv, pool) = (connect(&server, ("QUEUE_MAX_JOB_BYTES", "2000")), database.pool());
    let client = pool.get().await.unwrap();
    let alert = SendEmail {
        event_key: "alert:1".parse().unwrap(),
        to: "ops@example.in".parse().unwrap(),
        name: None,
        user_id: None,
        lang: Language::En,
        message: EmailMessage::AdminAlert { title: "Too long".to_owned(), detail: "x".repeat(3_000) },
    };
    push(&client, &alert, Lane::Normal).await.unwrap();
    push(&client, &StartPayout { withdrawal_id: WithdrawalId::generate() }, Lane::Normal).await.unwrap();

    let shutdown = CancellationToken::new();
    let relay = Relay::new(pool.clone(), Producer::new(kv.clone())).run(shutdown.clone());
    let story = async {
        let waiting = async |queue| admin::stats(&kv, queue).await.unwrap().waiting;
        eventually_true("the payout is there", SOON, async || waiting(Queue::Payments).await == 1).await;
        eventually_true("only the mail waits", SOON, async || lag(&client).await.unwrap().0 == 1).await;
        assert_eq!(waiting(Queue::Email).await, 0);
        shutdown.cancel();
    };
    tokio::join!(relay, story);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_for_a_queue_of_a_newer_version_is_left_to_that_and_keeps_no_other_waiting() {
    let (database, server) = (Database::start().await, Redis::start());
    let (kv, pool) = (connect(&server, ("QUEUE_MAX_BYTES", "10000000")), database.pool());
    let client = pool.get().await.unwrap();
    let newer = "ALTER TABLE outbox DROP CONSTRAINT outbox_queue_check;
                 INSERT INTO outbox (id, queue, kind, payload) VALUES (uuid_v7(), 'parcels', 'parcel.track', '{}')";
    client.batch_execute(newer).await.unwrap();
    push(&client, &StartPayout { withdrawal_id: WithdrawalId::generate() }, Lane::Normal).await.unwrap();

    let shutdown = CancellationToken::new();
    let relay = Relay::new(pool.clone(), Producer::new(kv.clone())).run(shutdown.clone());
    let story = async {
        let waiting = async |queue| admin::stats(&kv, queue).await.unwrap().waiting;
        eventually_true("the payout is there", SOON, async || waiting(Queue::Payments).await == 1).await;
        eventually_true("only the newer one waits", SOON, async || lag(&client).await.unwrap().0 == 1).await;
        shutdown.cancel();
    };
    tokio::join!(relay, story);
}
