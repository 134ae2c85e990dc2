//! A Redis that answers, slowly: whoever waits for it is alive.

use std::time::Duration;

use config::{Map, Reader};
use domain::job::Queue;
use domain::jobs::payment::StartPayout;
use kv::{Kv, keys};
use queue::{Handler, JobContext, Outcome, Worker, admin};
use testkit::{Redis, eventually_true};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const QUEUE: Queue = Queue::Payments;

fn connect(url: &str) -> Kv {
    let source = Map::from([("REDIS_URL", url)]);
    let mut reader = Reader::new(&source);
    let settings = kv::Settings::read(&mut reader);
    Kv::connect(&reader.finish(settings).unwrap()).unwrap()
}

struct Idle;

impl Handler<StartPayout> for Idle {
    async fn handle(&self, _job: StartPayout, _context: JobContext) -> Outcome {
        Ok(())
    }
}

/// Stands before Redis and keeps whatever names `slow` waiting for `pause`. Gives its port.
async fn slow_for(redis: &Redis, slow: &'static str, pause: Duration) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (own, behind) = (listener.local_addr().unwrap().port(), redis.port());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (mut asked, mut answer) = client.into_split();
            let (mut answered, mut ask) = TcpStream::connect(("127.0.0.1", behind)).await.unwrap().into_split();
            tokio::spawn(async move { tokio::io::copy(&mut answered, &mut answer).await });
            tokio::spawn(async move {
                let mut chunk = vec![0; 65_536];
                while let Ok(count @ 1..) = asked.read(&mut chunk).await {
                    if chunk[..count].windows(slow.len()).any(|part| part == slow.as_bytes()) {
                        tokio::time::sleep(pause).await;
                    }
                    if ask.write_all(&chunk[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    own
}

#[tokio::test(flavor = "multi_thread")]
async fn serial_a_loop_that_hands_on_much_at_a_slow_redis_does_not_stand_still() {
    let redis = Redis::start();
    let kv = connect(&redis.url());
    // A worker died with so much in hand that one round of handing it on takes longer than a loop may stand still.
    let mut held = kv::redis::cmd("HSET");
    held.arg(keys::of_queue(QUEUE, "inflight:gone"));
    for number in 1..=10_500 {
        held.arg(number).arg("no job");
    }
    held.query_async::<()>(&mut kv.commands()).await.unwrap();
    let mut lease = kv::redis::cmd("ZADD");
    lease.arg(keys::of_queue(QUEUE, "leases")).arg(1).arg("gone");
    lease.query_async::<()>(&mut kv.commands()).await.unwrap();

    let port = slow_for(&redis, "inflight:gone", Duration::from_millis(1_400)).await;
    let worker = Worker::builder(connect(&format!("redis://127.0.0.1:{port}")), "test")
        .queue(QUEUE, 4)
        .register(Idle)
        .build()
        .unwrap();
    let (health, shutdown) = (worker.health(), CancellationToken::new());
    let task = tokio::spawn(worker.run(shutdown.clone()));
    eventually_true("twenty calls are done", Duration::from_secs(90), async || {
        assert_eq!(health.turning(), Ok(()));
        admin::stats(&kv, QUEUE).await.unwrap().counts.get("handed_on").is_some_and(|jobs| *jobs >= 10_000)
    })
    .await;
    shutdown.cancel();
    task.await.unwrap().unwrap();
}
