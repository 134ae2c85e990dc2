//! Ten thousand jobs while workers are killed twice a second and servers go away: none is lost, each effect is made once.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::job::Queue;
use queue::Producer;
use rand::Rng;
use testkit::{Process, Redis, eventually_true};

use crate::errand::Act;
use crate::stage::{SOON, Stage, always, now};

const QUEUE: Queue = Queue::Payments;
const JOBS: u64 = 10_000;

/// Pushes jobs over some twenty seconds. A chunk whose push failed is pushed again: nobody knows whether it was taken, and
/// an effect has a key. What this counts, Redis has acknowledged. Each job takes 40 ms, so that whoever is killed mostly has
/// some in hand.
async fn push_all(producer: Producer, jobs: u64, pushed: Arc<AtomicU64>) {
    let jobs: Vec<_> = (0..jobs).map(|number| always(number, Act::Succeed(40))).collect();
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    for chunk in jobs.chunks(jobs.len() / 200) {
        pace.tick().await;
        while producer.enqueue_many(chunk).await.is_err() {
            pace.tick().await;
        }
        pushed.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    }
}

/// Runs the storm; `trouble` comes once, when half is pushed.
pub(crate) async fn storm(stage: &Stage, jobs: u64, trouble: impl AsyncFnOnce()) {
    let begin = Instant::now();
    let quiet = [("CONCURRENCY", "16"), ("RUST_LOG", "error")];
    let mut workers: Vec<Process> = (0..3).map(|_| stage.worker_that_starts(&quiet)).collect();
    let pushed = Arc::new(AtomicU64::new(0));
    let pushing = tokio::spawn(push_all(Producer::new(stage.kv.clone()), jobs, pushed.clone()));
    let (mut trouble, mut kills) = (Some(trouble), 0);
    // A quick machine is through in seconds: a kill each half second makes a storm there too.
    let mut beat = tokio::time::interval(Duration::from_millis(500));
    while !pushing.is_finished() {
        beat.tick().await;
        // At any moment between two chunks: always at a chunk's beginning, nobody would have anything in hand.
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..100))).await;
        let victim = rand::rng().random_range(0..workers.len());
        workers[victim].kill();
        workers[victim] = stage.worker_that_starts(&quiet);
        kills += 1;
        if pushed.load(Ordering::Relaxed) >= jobs / 2
            && let Some(trouble) = trouble.take()
        {
            trouble().await;
        }
    }
    pushing.await.unwrap();
    eventually_true("everything has ended", Duration::from_secs(90), async || {
        let Ok(stats) = queue::admin::stats(&stage.kv, QUEUE).await else { return false };
        stats.waiting + stats.urgent + stats.in_flight + stats.delayed + stats.suspects == 0
    })
    .await;
    let (stats, effects, begun) = (stage.stats(QUEUE).await, stage.effects(), stage.begun().len());
    println!(
        "{jobs} jobs, {kills} workers killed, {:.0?}: {} effects, {} runs that repeated one, {} dead, {} handed on",
        begin.elapsed(),
        effects.len(),
        begun as u64 - jobs,
        stats.dead,
        stats.counts.get("handed_on").unwrap_or(&0)
    );
    assert_eq!(effects.len() as u64, jobs, "lost: {:?}", (0..jobs).find(|number| !effects.contains(number)));
    assert_eq!((stats.dead, stats.unaccounted), (0, 0), "{:?}", stats.counts);
    assert!(kills >= 10 && stats.counts.contains_key("handed_on"), "that was no storm");
}

#[tokio::test(flavor = "multi_thread")]
async fn serial_ten_thousand_jobs_survive_killed_workers_and_a_killed_redis() {
    let mut redis = Redis::durable();
    let stage = Stage::new(&[("REDIS_URL", &redis.url())]);
    storm(&stage, JOBS, async || {
        redis.kill();
        redis.start_again();
    })
    .await;
}

/// With `appendfsync everysec` Redis answers before the disk has it. Killing Redis loses nothing, since the kernel has it;
/// what a machine's end can take is the last second before it (two, when a sync hangs). Here the file is cut there by hand.
#[tokio::test(flavor = "multi_thread")]
async fn serial_a_power_cut_takes_what_was_pushed_in_the_last_two_seconds_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let mut redis =
        Redis::with_options(&["--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--dir", dir]);
    let file = folder.path().join("appendonlydir/appendonly.aof.1.incr.aof");
    let size = |file: &Path| std::fs::metadata(file).unwrap().len();
    let stage = Stage::new(&[("REDIS_URL", &redis.url())]);
    let producer = Producer::new(stage.kv.clone());
    let mut worker = stage.worker(&[("CONCURRENCY", "4")]);

    // More than the worker gets done, for five seconds.
    let mut pushed: Vec<(i64, u64)> = Vec::new();
    let mut pace = tokio::time::interval(Duration::from_millis(3));
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        pace.tick().await;
        producer.enqueue_many(&[always(pushed.len() as u64, Act::Succeed(20))]).await.unwrap();
        pushed.push((now(), size(&file)));
    }
    redis.kill();
    let end = now();
    let kept = pushed.iter().take_while(|(at, _)| end - at > 2_000_000).count();
    let cut = pushed[kept - 1].1;
    println!(
        "killed with {} bytes written, cut to {cut}, {} of {} jobs pushed before",
        size(&file),
        kept,
        pushed.len()
    );
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(cut).unwrap();
    let done_before = stage.effects().len();
    redis.start_again();

    // The worker lives on, without a restart. What it had reported done within the cut is in its hand again.
    let ended = async || {
        let Ok(stats) = queue::admin::stats(&stage.kv, QUEUE).await else { return false };
        stats.waiting + stats.in_flight + stats.delayed + stats.suspects == 0
    };
    eventually_true("what is left is done", Duration::from_secs(60), ended).await;
    assert!(worker.ended().is_none());
    let effects = stage.effects();
    let numbers = |numbers: std::ops::Range<usize>| numbers.map(|number| number as u64).collect::<HashSet<_>>();
    let lost: HashSet<_> = numbers(0..pushed.len()).difference(&effects).copied().collect();
    let runs = stage.begun().len();
    println!(
        "{done_before} done before, {} after; {} lost, all pushed within the cut; {} ran twice",
        effects.len(),
        lost.len(),
        runs - effects.len()
    );
    assert!(numbers(0..kept).is_subset(&effects), "older jobs were lost");
    assert!(!lost.is_empty() && runs > effects.len(), "the cut had no consequence, so nothing is proved");
    assert_eq!(stage.stats(QUEUE).await.unaccounted, 0);

    // Who has pushed them knows them (an outbox row, a sweep), and pushes the last two seconds again.
    let again: Vec<_> = (kept..pushed.len()).map(|number| always(number as u64, Act::Succeed(0))).collect();
    producer.enqueue_many(&again).await.unwrap();
    eventually_true("every effect is there", SOON, async || stage.effects().len() == pushed.len()).await;
}
