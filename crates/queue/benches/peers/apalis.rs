//! apalis-redis, measured as the queue is: `apalis push|drain URL JOBS`. Prints one line of JSON.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Idle {
    id: u64,
    ts: u64,
    user: String,
    pad: String,
}

#[derive(Clone)]
struct Count {
    jobs: u64,
    seen: Arc<AtomicU64>,
    begun: Arc<std::sync::Mutex<Option<(Instant, f64)>>>,
}

fn cpu_us() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let nanos = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    nanos.sum::<u64>() as f64 / 1e3
}

async fn idle(_task: Idle, count: Data<Count>) -> Result<(), BoxDynError> {
    let place = count.seen.fetch_add(1, Ordering::Relaxed);
    if place == 0 {
        *count.begun.lock().unwrap() = Some((Instant::now(), cpu_us()));
    }
    if place + 1 == count.jobs {
        let (begun, cpu) = count.begun.lock().unwrap().unwrap();
        let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cpu_us() - cpu);
        println!("told {{\"seconds\":{seconds},\"cpu_us\":{cpu}}}");
        std::process::exit(0);
    }
    Ok(())
}

#[tokio::main]
async fn main() {
    let words: Vec<_> = std::env::args().collect();
    let jobs: u64 = words[3].parse().unwrap();
    let connection = apalis_redis::connect(words[2].clone()).await.unwrap();
    // The fastest settings that were found: large batches, no lock a job.
    let config = Config::default().queue("bench").batch_size(1_000).lock_tasks(words[1] == "locked");
    let mut storage = RedisStorage::<Idle>::new(connection).with_config(config);
    if words[1] == "push" {
        let begin = Instant::now();
        for from in (0..jobs).step_by(1_000) {
            let chunk = (from..jobs.min(from + 1_000))
                .map(|id| Idle { id, ts: 0, user: format!("user-{id:08}"), pad: "x".repeat(120) })
                .collect();
            storage.push_bulk(chunk).await.unwrap();
        }
        println!("told {{\"seconds\":{}}}", begin.elapsed().as_secs_f64());
        return;
    }
    let count = Count { jobs, seen: Arc::default(), begun: Arc::default() };
    let worker = WorkerBuilder::new("bench").backend(storage).data(count).concurrency(1_000).build(idle);
    let ended = tokio::time::timeout(Duration::from_secs(60), worker.run()).await;
    println!("failed: {ended:?}");
}
