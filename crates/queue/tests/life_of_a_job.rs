//! The life of a job, on a real Redis.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::ids::WithdrawalId;
use domain::job::Queue;
use domain::jobs::payment::StartPayout;
use kv::Kv;
use queue::{BatchHandler, BatchPolicy, Enqueue, Handler, JobContext, JobError, Outcome, Producer, Worker, admin};
use testkit::{Redis, eventually, eventually_true};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(10);
const QUEUE: Queue = Queue::Payments;

type Decide = dyn Fn(&StartPayout, &JobContext) -> Outcome + Send + Sync;

#[derive(Clone)]
struct Recorder {
    seen: Arc<Mutex<HashMap<WithdrawalId, Vec<u32>>>>,
    decide: Arc<Decide>,
}

impl Recorder {
    fn new(decide: impl Fn(&StartPayout, &JobContext) -> Outcome + Send + Sync + 'static) -> Self {
        Self { seen: Arc::default(), decide: Arc::new(decide) }
    }

    fn attempts(&self, id: WithdrawalId) -> Vec<u32> {
        self.seen.lock().unwrap().get(&id).cloned().unwrap_or_default()
    }
}

impl Handler<StartPayout> for Recorder {
    async fn handle(&self, job: StartPayout, context: JobContext) -> Outcome {
        self.seen.lock().unwrap().entry(job.withdrawal_id).or_default().push(context.attempt);
        (self.decide)(&job, &context)
    }
}

struct Running {
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(kv: &Kv, handler: Recorder) -> Self {
        let worker = Worker::builder(kv.clone(), "test").queue(QUEUE, 64).register(handler).build().unwrap();
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        Self { shutdown, task: tokio::spawn(async move { worker.run(token).await.unwrap() }) }
    }

    async fn stop(self) -> Duration {
        let begin = Instant::now();
        self.shutdown.cancel();
        self.task.await.unwrap();
        begin.elapsed()
    }
}

fn payout() -> StartPayout {
    StartPayout { withdrawal_id: WithdrawalId::generate() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_runs_once_and_leaves_redis_empty() {
    let redis = Redis::start();
    let kv = testkit::kv(&redis.url());
    let jobs: Vec<_> = (0..5_000).map(|_| payout()).collect();
    Producer::new(kv.clone()).enqueue_many(&jobs).await.unwrap();
    let handler = Recorder::new(|_, _| Ok(()));
    let running = Running::start(&kv, handler.clone());
    eventually_true("all done", SOON, async || {
        admin::stats(&kv, QUEUE).await.unwrap().counts.get("done") == Some(&5_000)
    })
    .await;
    running.stop().await;
    assert!(jobs.iter().all(|job| handler.attempts(job.withdrawal_id) == [1]));
    let stats = admin::stats(&kv, QUEUE).await.unwrap();
    assert_eq!((stats.waiting, stats.in_flight, stats.delayed, stats.dead), (0, 0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_job_is_tried_three_times_then_buried_then_replayed_twice() {
    let redis = Redis::start();
    let kv = testkit::kv(&redis.url());
    let fixed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let switch = fixed.clone();
    let handler = Recorder::new(move |_, _| {
        if switch.load(std::sync::atomic::Ordering::Relaxed) {
            Ok(())
        } else {
            Err(JobError::RetryAfter(
                Duration::from_millis(10),
                anyhow::anyhow!("inner").context("the provider is down"),
            ))
        }
    });
    let running = Running::start(&kv, handler.clone());
    let job = payout();
    let id = Producer::new(kv.clone()).enqueue(Enqueue::new(&job)).await.unwrap().unwrap().to_string();
    for round in 0..2 {
        let letter =
            eventually("a dead letter", SOON, async || admin::dead_letter(&kv, QUEUE, &id).await.unwrap()).await;
        assert_eq!(
            (letter.reason.as_str(), letter.error.as_str()),
            ("attempts-used-up", "the provider is down: inner")
        );
        assert_eq!((letter.attempt, letter.failures.len()), (3, 2 + 2 * round));
        assert!(admin::replay(&kv, QUEUE, &id, "asha").await.unwrap());
    }
    eventually("the third death", SOON, async || admin::dead_letter(&kv, QUEUE, &id).await.unwrap()).await;
    assert_eq!(handler.attempts(job.withdrawal_id), [1, 2, 3, 1, 2, 3, 1, 2, 3]);
    fixed.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(admin::replay(&kv, QUEUE, &id, "asha").await.unwrap());
    eventually_true("success", SOON, async || admin::stats(&kv, QUEUE).await.unwrap().counts.get("done") == Some(&1))
        .await;
    assert!(!admin::replay(&kv, QUEUE, &id, "asha").await.unwrap(), "it is no dead letter any more");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_job_becomes_a_dead_letter_with_its_exact_bytes() {
    let redis = Redis::start();
    let kv = testkit::kv(&redis.url());
    let bad: [&[u8]; 5] = [
        b"hello",
        b"\xff\x00\xfe",
        br#"{"kind":"no.such","payload":{}}"#,
        br#"{"kind":"payout.start","payload":{"withdrawal_id":"seven"}}"#,
        br#"{"kind":"payout.start","v":9,"payload":{"withdrawal_id":"01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f"}}"#,
    ];
    let bodies: Vec<_> = bad.iter().map(|body| body.to_vec()).collect();
    Producer::new(kv.clone()).push_bodies(QUEUE, false, &bodies).await.unwrap();
    let running = Running::start(&kv, Recorder::new(|_, _| Ok(())));
    eventually_true("all buried", SOON, async || admin::stats(&kv, QUEUE).await.unwrap().dead == 5).await;
    let mut found: Vec<_> = admin::dead_letters(&kv, QUEUE, 0, 50)
        .await
        .unwrap()
        .into_iter()
        .map(|letter| (letter.bytes(), letter.reason))
        .collect();
    found.sort();
    let mut expected: Vec<_> = bodies
        .into_iter()
        .zip(["unreadable", "unreadable", "unknown-kind", "unreadable", "unknown-version"].map(str::to_owned))
        .collect();
    expected.sort();
    assert_eq!(found, expected);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_failure_and_the_worker_lives_on() {
    let redis = Redis::start();
    let kv = testkit::kv(&redis.url());
    let bad = payout();
    let bad_id = bad.withdrawal_id;
    let handler = Recorder::new(move |job, _| {
        assert!(job.withdrawal_id != bad_id, "boom");
        Ok(())
    });
    let running = Running::start(&kv, handler.clone());
    let producer = Producer::new(kv.clone());
    producer.enqueue(Enqueue::new(&bad)).await.unwrap();
    producer.enqueue(Enqueue::new(&payout())).await.unwrap();
    eventually_true("one done, one waits for its second try", SOON, async || {
        let stats = admin::stats(&kv, QUEUE).await.unwrap();
        stats.counts.get("done") == Some(&1) && stats.counts.get("retried").is_some()
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delayed_expired_deduplicated_and_paused_jobs_do_as_told() {
    let redis = Redis::start();
    let kv = testkit::kv(&redis.url());
    let producer = Producer::new(kv.clone());
    let handler = Recorder::new(|_, _| Ok(()));
    let (late, old, once) = (payout(), payout(), payout());
    admin::pause(&kv, QUEUE, "test").await.unwrap();
    let running = Running::start(&kv, handler.clone());
    let past = domain::clock::Clock::now(&domain::clock::SystemClock) - chrono::TimeDelta::seconds(1);
    producer.enqueue(Enqueue::new(&old).not_after(past)).await.unwrap();
    producer.enqueue(Enqueue::new(&late).delay(Duration::from_millis(300))).await.unwrap();
    assert!(producer.enqueue(Enqueue::new(&once).dedupe("k", SOON)).await.unwrap().is_some());
    assert!(producer.enqueue(Enqueue::new(&once).dedupe("k", SOON)).await.unwrap().is_none());
    eventually_true("the delayed job is due", SOON, async || {
        let stats = admin::stats(&kv, QUEUE).await.unwrap();
        stats.paused && stats.waiting == 3 && stats.delayed == 0
    })
    .await;
    assert!(handler.seen.lock().unwrap().is_empty(), "nothing runs while paused");
    admin::resume(&kv, QUEUE).await.unwrap();
    eventually_true("two done, one expired", SOON, async || {
        let counts = admin::stats(&kv, QUEUE).await.unwrap().counts;
        counts.get("done") == Some(&2) && counts.get("expired") == Some(&1)
    })
    .await;
    assert!(handler.attempts(old.withdrawal_id).is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_wakes_at_once_and_ends_at_once() {
    let redis = Redis::start();
    let kv = testkit::kv(&redis.url());
    let started = Arc::new(Mutex::new(Vec::new()));
    let notes = started.clone();
    let handler = Recorder::new(move |_, _| {
        notes.lock().unwrap().push(Instant::now());
        Ok(())
    });
    let running = Running::start(&kv, handler);
    let producer = Producer::new(kv.clone());
    let mut waits = Vec::new();
    for round in 0..50 {
        let job = payout();
        let begin = Instant::now();
        let enqueue = if round % 2 == 0 { Enqueue::new(&job) } else { Enqueue::new(&job).urgent() };
        producer.enqueue(enqueue).await.unwrap();
        eventually_true("it started", SOON, async || started.lock().unwrap().len() == round + 1).await;
        waits.push(started.lock().unwrap()[round] - begin);
    }
    waits.sort();
    assert!(waits[25] < Duration::from_millis(20), "median {:?}", waits[25]);
    assert!(running.stop().await < Duration::from_millis(500));
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_fill_or_linger_and_each_job_has_its_own_outcome() {
    struct Batches(Arc<Mutex<Vec<usize>>>);
    impl BatchHandler<StartPayout> for Batches {
        async fn handle(&self, jobs: Vec<(StartPayout, JobContext)>) -> Vec<Outcome> {
            self.0.lock().unwrap().push(jobs.len());
            jobs.iter()
                .enumerate()
                .map(|(index, _)| if index == 3 { Err(JobError::Fail(anyhow::anyhow!("the fourth"))) } else { Ok(()) })
                .collect()
        }
    }
    let redis = Redis::start();
    let kv = testkit::kv(&redis.url());
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let policy = BatchPolicy { max: 100, linger: Duration::from_millis(100) };
    Producer::new(kv.clone()).enqueue_many(&(0..250).map(|_| payout()).collect::<Vec<_>>()).await.unwrap();
    let worker = Worker::builder(kv.clone(), "test")
        .queue(QUEUE, 1)
        .register_batch(Batches(sizes.clone()), policy)
        .build()
        .unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(worker.run(shutdown.clone()));
    eventually_true("all ended", SOON, async || {
        let counts = admin::stats(&kv, QUEUE).await.unwrap().counts;
        counts.get("done") == Some(&247) && counts.get("dead") == Some(&3)
    })
    .await;
    shutdown.cancel();
    task.await.unwrap().unwrap();
    let sizes = sizes.lock().unwrap().clone();
    assert_eq!(sizes.iter().sum::<usize>(), 250);
    assert!(sizes.iter().filter(|size| **size == 100).count() == 2, "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_restart_stops_nobody_for_long() {
    let mut redis = Redis::durable();
    let kv = testkit::kv(&redis.url());
    let handler = Recorder::new(|_, _| Ok(()));
    let running = Running::start(&kv, handler.clone());
    let producer = Producer::new(kv.clone());
    producer.enqueue(Enqueue::new(&payout())).await.unwrap();
    eventually_true("the first", SOON, async || handler.seen.lock().unwrap().len() == 1).await;
    redis.stop();
    redis.start_again();
    let job = payout();
    eventually_true("a push works again", SOON, async || producer.enqueue(Enqueue::new(&job)).await.is_ok()).await;
    let begin = Instant::now();
    eventually_true("the second", SOON, async || !handler.attempts(job.withdrawal_id).is_empty()).await;
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    running.stop().await;
}
