//! Our own figures.

use std::process::Command;
use std::time::{Duration, Instant};

use domain::job::Queue;
use kv::Kv;
use queue::{Enqueue, Producer, admin};
use testkit::{Process, Redis, eventually_true};

use crate::table::{Row, Table};
use crate::worker::{Idle, Told, now_ns};
use crate::{connect, redis_cpu, redis_memory};

const LONG: Duration = Duration::from_secs(120);

pub(crate) async fn push(kv: &Kv, jobs: u64) -> f64 {
    let producer = Producer::new(kv.clone());
    let jobs: Vec<_> = (0..jobs).map(|id| Idle::new(id, 0)).collect();
    let begin = Instant::now();
    producer.enqueue_many(&jobs).await.unwrap();
    jobs.len() as f64 / begin.elapsed().as_secs_f64()
}

/// Starts a worker process that ends after `jobs`.
fn worker(url: &str, jobs: u64) -> Process {
    start("worker", url, jobs)
}

fn start(what: &str, url: &str, jobs: u64) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(what).env("REDIS_URL", url).env("JOBS", jobs.to_string());
    Process::start("bench-worker", &mut command)
}

fn told(worker: &mut Process) -> Told {
    worker.wait_for_line("what it took", LONG, |line| serde_json::from_str(line.strip_prefix("told ")?).ok())
}

/// Drains `jobs` that wait. The Redis figure includes the worker's start and end.
async fn drain(kv: &Kv, url: &str, jobs: u64) -> Row {
    let before = redis_cpu(kv).await;
    let told = told(&mut worker(url, jobs));
    let redis_us = (redis_cpu(kv).await - before) / jobs as f64;
    Row {
        rate: Some(jobs as f64 / told.seconds),
        redis_us: Some(redis_us),
        worker_us: Some(told.cpu_us / jobs as f64),
        waits_us: None,
    }
}

/// The run with the median rate of three.
async fn drain_of_three(redis: &Redis, jobs: u64) -> Row {
    let kv = connect(&redis.url());
    let mut rows = Vec::new();
    for _ in 0..3 {
        push(&kv, jobs).await;
        rows.push(drain(&kv, &redis.url(), jobs).await);
        eventually_true("all are done", LONG, async || {
            let stats = admin::stats(&kv, Queue::Email).await.unwrap();
            stats.waiting + stats.in_flight == 0 && stats.unaccounted == 0
        })
        .await;
    }
    rows.sort_by(|a, b| a.rate.unwrap().total_cmp(&b.rate.unwrap()));
    rows[1]
}

pub(crate) async fn ours(table: &mut Table, jobs: u64, waiting: u64) {
    let redis = Redis::start();
    let row = drain_of_three(&redis, jobs).await;
    table.drain = row.rate.unwrap();
    table.add("queue: drain, one worker process", ">= 150,000; <= 3; <= 5", row);
    drop(redis);

    let row = drain_of_three(&Redis::durable(), jobs).await;
    table.add("queue: drain, appendonly everysec", "", row);

    backlog(table, jobs, waiting).await;
    enqueue(table, jobs).await;
    latency(table).await;
}

async fn backlog(table: &mut Table, jobs: u64, waiting: u64) {
    let redis = Redis::start();
    let kv = connect(&redis.url());
    push(&kv, 1_000).await;
    let (before, begin) = (redis_memory(&kv).await, Instant::now());
    let rate = push(&kv, waiting).await;
    let each = (redis_memory(&kv).await - before) as f64 / waiting as f64;
    let envelope = admin::peek(&kv, Queue::Email, 1).await.unwrap()[0].len();
    table.note(format!(
        "{waiting} jobs waiting: {each:.0} bytes of Redis memory each, envelope {envelope} bytes, ratio {:.2} (target <= 1.3); pushed at {rate:.0}/s in {:.1?}",
        each / envelope as f64,
        begin.elapsed()
    ));
    let row = drain(&kv, &redis.url(), jobs.min(waiting)).await;
    table.add(&format!("queue: drain with {waiting} waiting"), "as above", row);
}

async fn enqueue(table: &mut Table, jobs: u64) {
    let redis = Redis::start();
    let kv = connect(&redis.url());
    let mut rates = Vec::new();
    let before = redis_cpu(&kv).await;
    for _ in 0..3 {
        rates.push(push(&kv, jobs).await);
    }
    let redis_us = Some((redis_cpu(&kv).await - before) / (3 * jobs) as f64);
    rates.sort_by(f64::total_cmp);
    table.add("queue: bulk enqueue", ">= 600,000", Row { rate: Some(rates[1]), redis_us, ..Row::default() });

    let producer = Producer::new(kv.clone());
    let singles = 10_000;
    let begin = Instant::now();
    for id in 0..singles {
        producer.enqueue(Enqueue::new(&Idle::new(id, 0))).await.unwrap();
    }
    let rate = Some(singles as f64 / begin.elapsed().as_secs_f64());
    table.add("queue: enqueue one by one", "the round trip", Row { rate, ..Row::default() });
    let begin = Instant::now();
    for _ in 0..singles {
        kv.ping().await.unwrap();
    }
    let rate = Some(singles as f64 / begin.elapsed().as_secs_f64());
    table.add("raw: PING one by one, same connection", "", Row { rate, ..Row::default() });

    let begin = Instant::now();
    let tasks: Vec<_> = (0..100)
        .map(|task| {
            let producer = producer.clone();
            tokio::spawn(async move {
                for id in 0..500 {
                    producer.enqueue(Enqueue::new(&Idle::new(task * 500 + id, 0))).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let rate = Some(50_000.0 / begin.elapsed().as_secs_f64());
    table.add("queue: enqueue one by one, 100 tasks", "", Row { rate, ..Row::default() });
}

/// At 500 jobs a second: the queue, then what Redis alone takes for the same way.
async fn latency(table: &mut Table) {
    let redis = Redis::start();
    let producer = Producer::new(connect(&redis.url()));
    let push = async |job: Idle| {
        producer.enqueue(Enqueue::new(&job)).await.unwrap();
    };
    let waits_us = offer(worker(&redis.url(), OFFERED), push).await;
    table.add("queue: push to handler, 500 jobs/s", "0.15 / 0.5", Row { waits_us, ..Row::default() });

    let redis = Redis::start();
    let connection = connect(&redis.url()).commands();
    let push = async |job: Idle| {
        let (body, mut connection) = (serde_json::to_vec(&job).unwrap(), connection.clone());
        let pushed = kv::redis::cmd("RPUSH").arg("raw").arg(body).exec_async(&mut connection).await;
        pushed.unwrap();
    };
    let waits_us = offer(start("listener", &redis.url(), OFFERED), push).await;
    table.add("raw: RPUSH to BLPOP, 500 jobs/s, loses jobs", "", Row { waits_us, ..Row::default() });
}

/// Jobs that the measure of latency offers.
const OFFERED: u64 = 4_000;

/// Offers a job each 2 ms and hears how long they waited: median and 99th percentile, without the first half second.
async fn offer(mut worker: Process, push: impl AsyncFn(Idle)) -> Option<(u64, u64)> {
    worker.wait_for_line("its start", LONG, |line| (line == "ready").then_some(()));
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    for id in 0..OFFERED {
        pace.tick().await;
        push(Idle::new(id, now_ns())).await;
    }
    let mut waits = told(&mut worker).waits_us.split_off(250);
    waits.sort_unstable();
    Some((waits[waits.len() / 2], waits[waits.len() * 99 / 100]))
}
