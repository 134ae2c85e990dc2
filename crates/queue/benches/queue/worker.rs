//! The worker process: a handler that does nothing but count, and tells what it took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use config::{Environment, Reader};
use domain::job::{Job, Queue};
use kv::Kv;
use queue::{Handler, JobContext, Outcome, Worker};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// A job of about 200 bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Idle {
    pub(crate) id: u64,
    /// When it was pushed, in nanoseconds since the epoch; 0 where nobody asks.
    pub(crate) ts: u64,
    pub(crate) user: String,
    pub(crate) pad: String,
}

impl Idle {
    pub(crate) fn new(id: u64, ts: u64) -> Self {
        Self { id, ts, user: format!("user-{id:08}"), pad: "x".repeat(120) }
    }
}

impl Job for Idle {
    const KIND: &'static str = "bench.idle";
    const QUEUE: Queue = Queue::Email;
}

pub(crate) fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos()).unwrap()
}

/// What the worker process says at its end.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Told {
    /// From the first job to the last, in seconds.
    pub(crate) seconds: f64,
    /// CPU time of the process in between, in microseconds.
    pub(crate) cpu_us: f64,
    /// Times from push to handler, in microseconds.
    pub(crate) waits_us: Vec<u64>,
}

struct Count {
    jobs: u64,
    seen: AtomicU64,
    begun: Mutex<Option<(Instant, f64)>>,
    told: Mutex<Told>,
    all: CancellationToken,
}

struct Counter(Arc<Count>);

impl Handler<Idle> for Counter {
    async fn handle(&self, job: Idle, _context: JobContext) -> Outcome {
        let count = &self.0;
        let place = count.seen.fetch_add(1, Ordering::Relaxed);
        if place == 0 {
            *count.begun.lock().unwrap() = Some((Instant::now(), cpu_us()));
        }
        if job.ts > 0 {
            count.told.lock().unwrap().waits_us.push(now_ns().saturating_sub(job.ts) / 1_000);
        }
        if place + 1 == count.jobs {
            let (begun, cpu) = count.begun.lock().unwrap().unwrap();
            let mut told = count.told.lock().unwrap();
            (told.seconds, told.cpu_us) = (begun.elapsed().as_secs_f64(), cpu_us() - cpu);
            count.all.cancel();
        }
        Ok(())
    }
}

/// CPU time of this process so far: the kernel keeps it for each thread, in nanoseconds.
fn cpu_us() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let nanos: u64 = threads
        .filter_map(|thread| {
            let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        })
        .sum();
    nanos as f64 / 1e3
}

pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut reader = Reader::new(&Environment);
        let jobs: u64 = reader.default("JOBS", 0, "how many jobs to wait for");
        let concurrency: usize = reader.default("CONCURRENCY", 1_000, "handlers at a time");
        let settings = kv::Settings::read(&mut reader);
        let kv = Kv::connect(&reader.finish(settings).unwrap()).unwrap();
        let count = Arc::new(Count {
            jobs,
            seen: AtomicU64::new(0),
            begun: Mutex::default(),
            told: Mutex::default(),
            all: CancellationToken::new(),
        });
        let worker =
            Worker::builder(kv, "bench").queue(Queue::Email, concurrency).register(Counter(count.clone())).build();
        let stop = count.all.clone();
        let run = tokio::spawn(worker.unwrap().run(stop));
        println!("ready");
        let _stopped = tokio::time::timeout(Duration::from_secs(120), run).await.unwrap();
        println!("told {}", serde_json::to_string(&*count.told.lock().unwrap()).unwrap());
    });
}
