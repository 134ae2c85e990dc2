//! Push, claim and settle while jobs wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::job::{Job, Queue};
use kv::Kv;
use queue::{Enqueue, Handler, JobContext, Outcome, Producer, Worker, admin};
use serde::{Deserialize, Serialize};
use testkit::Redis;
use tokio_util::sync::CancellationToken;

use super::{Curve, median_ms};

/// Jobs that a round takes, and rounds a size.
const TAKEN: usize = 2_000;
const ROUNDS: usize = 7;
const PUSHES: usize = 500;

/// A job of about 200 bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Idle {
    id: usize,
    pad: String,
}

impl Job for Idle {
    const KIND: &'static str = "bench.idle";
    const QUEUE: Queue = Queue::Email;
}

pub(crate) async fn measure(sizes: &[usize]) -> Vec<Curve> {
    let redis = Redis::start();
    let kv = connect(&redis.url());
    let mut pushed = Curve::new("push of one job", "ms");
    let mut taken = Curve::new("claim and settle of a job", "us");
    let mut server = Curve::new("the same, Redis' processor time", "us");
    for size in sizes {
        fill(&kv, *size).await;
        let producer = Producer::new(kv.clone());
        let push = async |id| {
            producer.enqueue(Enqueue::new(&job(id))).await.unwrap();
        };
        pushed.add(*size, median_ms(PUSHES, push).await);
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            fill(&kv, size + TAKEN).await;
            rounds.push(take(&kv).await);
        }
        let median = |pick: fn(&(f64, f64)) -> f64| {
            let mut values: Vec<_> = rounds.iter().map(pick).collect();
            values.sort_by(f64::total_cmp);
            values[ROUNDS / 2]
        };
        taken.add(*size, median(|(worker, _)| *worker));
        server.add(*size, median(|(_, redis)| *redis));
    }
    vec![pushed, taken, server]
}

fn connect(url: &str) -> Kv {
    let source = config::Map::from([("REDIS_URL", url), ("QUEUE_MAX_BYTES", "4000000000")]);
    let mut reader = config::Reader::new(&source);
    let settings = kv::Settings::read(&mut reader);
    Kv::connect(&reader.finish(settings).unwrap()).unwrap()
}

fn job(id: usize) -> Idle {
    Idle { id, pad: "x".repeat(150) }
}

/// Pushes until so many wait.
async fn fill(kv: &Kv, size: usize) {
    let waiting = admin::stats(kv, Queue::Email).await.unwrap().waiting;
    let missing = size.saturating_sub(usize::try_from(waiting).unwrap());
    let producer = Producer::new(kv.clone());
    for part in (0..missing).collect::<Vec<_>>().chunks(20_000) {
        producer.enqueue_many(&part.iter().map(|id| job(*id)).collect::<Vec<_>>()).await.unwrap();
    }
}

/// A worker that takes [`TAKEN`] jobs and some that it had in hand: microseconds a job, and of Redis' processor.
async fn take(kv: &Kv) -> (f64, f64) {
    let counter = Arc::new(Counter::default());
    let worker = Worker::builder(kv.clone(), "bench").queue(Queue::Email, 500).register(Counting(counter.clone()));
    let (worker, before) = (worker.build().unwrap(), processor_us(kv).await);
    let running = worker.run(counter.all.clone());
    tokio::time::timeout(Duration::from_secs(60), running).await.unwrap().unwrap();
    let all = f64::from(u32::try_from(counter.seen.load(Ordering::Relaxed)).unwrap());
    let each = counter.took.lock().unwrap().as_secs_f64() * 1e6 / f64::from(u32::try_from(TAKEN).unwrap());
    (each, (processor_us(kv).await - before) / all)
}

/// What Redis' main thread has used.
async fn processor_us(kv: &Kv) -> f64 {
    let text: String = kv::redis::cmd("INFO").arg("cpu").query_async(&mut kv.commands()).await.unwrap();
    let field =
        |name: &str| -> f64 { text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap() };
    (field("used_cpu_user_main_thread:") + field("used_cpu_sys_main_thread:")) * 1e6
}

#[derive(Default)]
struct Counter {
    seen: AtomicUsize,
    begun: Mutex<Option<Instant>>,
    took: Mutex<Duration>,
    all: CancellationToken,
}

struct Counting(Arc<Counter>);

impl Handler<Idle> for Counting {
    async fn handle(&self, _job: Idle, _context: JobContext) -> Outcome {
        let counter = &self.0;
        let place = counter.seen.fetch_add(1, Ordering::Relaxed);
        let begun = *counter.begun.lock().unwrap().get_or_insert_with(Instant::now);
        if place + 1 == TAKEN {
            *counter.took.lock().unwrap() = begun.elapsed();
            counter.all.cancel();
        }
        Ok(())
    }
}
