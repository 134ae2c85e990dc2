//! The worker's sign of life and its leases, kept by a thread of its own that no handler can stall.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::clock::{Clock, SystemClock};
use domain::ids::WorkerId;
use domain::job::Queue;
use kv::redis::RedisError;
use kv::{Connection, Kv};
use tokio::sync::Semaphore;

use crate::heartbeat::Heartbeat;
use crate::scripts::{RENEW, call, run};
use crate::settings::WorkerSettings;
use crate::verdict::millis;

/// What one lane shows of itself.
struct LaneVitals {
    queue: Queue,
    in_hand: AtomicU64,
    /// When the lane's loop last went round, and when Redis last answered it; milliseconds since the epoch.
    looped_ms: AtomicI64,
    answered_ms: AtomicI64,
    stuck: AtomicBool,
    /// The key of the queue's leases and the lease as it is named now; a lane that lost its lease takes one with a new name.
    lease: Mutex<Option<(String, String)>>,
}

/// What lanes and the thread share.
pub(crate) struct Vitals {
    pub(crate) id: WorkerId,
    pub(crate) service: String,
    lanes: Vec<LaneVitals>,
    ended: AtomicU64,
    last_beat_ms: AtomicI64,
    stop: AtomicBool,
    /// The right to run a suspect: one in the whole process, so that a crash is blamed on the right job.
    pub(crate) suspect: Arc<Semaphore>,
}

/// How long a lane's loop may take to go round before a new start is better. One call to Redis has limits far below it.
const STILL_MS: i64 = 25_000;

fn now_ms() -> i64 {
    SystemClock.now().timestamp_millis()
}

impl Vitals {
    pub(crate) fn new(id: WorkerId, service: String, queues: &[Queue]) -> Self {
        let lane = |queue: &Queue| LaneVitals {
            queue: *queue,
            in_hand: AtomicU64::new(0),
            looped_ms: AtomicI64::new(now_ms()),
            answered_ms: AtomicI64::new(now_ms()),
            stuck: AtomicBool::new(false),
            lease: Mutex::new(None),
        };
        Self {
            id,
            service,
            lanes: queues.iter().map(lane).collect(),
            ended: AtomicU64::new(0),
            last_beat_ms: AtomicI64::new(now_ms()),
            stop: AtomicBool::new(false),
            suspect: Arc::new(Semaphore::new(1)),
        }
    }

    pub(crate) fn queues(&self) -> Vec<Queue> {
        self.lanes.iter().map(|lane| lane.queue).collect()
    }

    fn lane(&self, slot: usize, act: impl FnOnce(&LaneVitals)) {
        if let Some(lane) = self.lanes.get(slot) {
            act(lane);
        }
    }

    /// From now on the lane's lease is `name`.
    pub(crate) fn hold(&self, slot: usize, leases: &str, name: &str) {
        let held = Some((leases.to_owned(), name.to_owned()));
        self.lane(slot, |lane| *lane.lease.lock().unwrap_or_else(PoisonError::into_inner) = held);
    }

    /// The lane's lease is not renewed any more.
    pub(crate) fn let_go(&self, slot: usize) {
        self.lane(slot, |lane| *lane.lease.lock().unwrap_or_else(PoisonError::into_inner) = None);
    }

    pub(crate) fn in_hand(&self, slot: usize, jobs: usize) {
        self.lane(slot, |lane| lane.in_hand.store(u64::try_from(jobs).unwrap_or(u64::MAX), Ordering::Relaxed));
    }

    pub(crate) fn looped(&self, slot: usize) {
        self.lane(slot, |lane| lane.looped_ms.store(now_ms(), Ordering::Relaxed));
    }

    pub(crate) fn answered(&self, slot: usize) {
        self.lane(slot, |lane| lane.answered_ms.store(now_ms(), Ordering::Relaxed));
    }

    pub(crate) fn stuck(&self, slot: usize, stuck: bool) {
        self.lane(slot, |lane| lane.stuck.store(stuck, Ordering::Relaxed));
    }

    pub(crate) fn ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn jobs_ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// The loops that stand still, for liveness: what Redis does or does not do is nothing to it.
    pub(crate) fn turning(&self) -> Result<(), String> {
        let now = now_ms();
        let still = |lane: &LaneVitals| {
            let age = now.saturating_sub(lane.looped_ms.load(Ordering::Relaxed));
            (age > STILL_MS).then(|| format!("queue {}: has not gone round for {} s", lane.queue, age / 1_000))
        };
        let stuck: Vec<_> = self.lanes.iter().filter_map(still).collect();
        if stuck.is_empty() { Ok(()) } else { Err(stuck.join(", ")) }
    }

    /// What is not well, for readiness.
    pub(crate) fn check(&self) -> Result<(), String> {
        let now = now_ms();
        let late = |since: &AtomicI64| {
            let age = now.saturating_sub(since.load(Ordering::Relaxed));
            (age > 10_000).then_some(age / 1_000)
        };
        if let Some(seconds) = late(&self.last_beat_ms) {
            return Err(format!("no sign of life written for {seconds} s"));
        }
        for lane in &self.lanes {
            let queue = lane.queue;
            if let Some(seconds) = late(&lane.looped_ms) {
                return Err(format!("queue {queue}: the worker's loop has not gone round for {seconds} s"));
            }
            if let Some(seconds) = late(&lane.answered_ms) {
                return Err(format!("queue {queue}: Redis has not answered for {seconds} s"));
            }
            if lane.stuck.load(Ordering::Relaxed) {
                return Err(format!("queue {queue}: jobs wait and none is claimed"));
            }
        }
        Ok(())
    }
}

/// Takes a lease, or renews it; `false` when it was lost.
pub(crate) async fn renew(
    redis: &mut Connection,
    leases: &str,
    lease: &str,
    time: Duration,
    take: bool,
) -> Result<bool, RedisError> {
    let mut cmd = call(&RENEW, &[leases]);
    cmd.arg(lease).arg(millis(time)).arg(u8::from(take));
    Ok(run::<i64>(redis, &RENEW, &cmd).await? == 1)
}

/// Starts the thread. It ends after [`Vitals::stop`] and removes the sign of life.
pub(crate) fn keep_alive(
    kv: Kv,
    vitals: Arc<Vitals>,
    settings: WorkerSettings,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name("lease".to_owned()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            tracing::error!("the lease thread has no runtime; the watchdog will see it");
            return;
        };
        runtime.block_on(beat_until_stopped(&kv, &vitals, &settings));
    })
}

async fn beat_until_stopped(kv: &Kv, vitals: &Vitals, settings: &WorkerSettings) {
    // A connection of its own: the shared ones live on the other runtime.
    let mut redis = kv.dedicated(Duration::ZERO);
    let mut heartbeat = Heartbeat::begin(vitals.id, &vitals.service, vitals.queues());
    let mut ended_by_beat = VecDeque::from([0_u64; 60]);
    let mut ended_before = 0;
    while !vitals.stop.load(Ordering::Relaxed) {
        let ended = vitals.jobs_ended();
        ended_by_beat.pop_front();
        ended_by_beat.push_back(ended.saturating_sub(ended_before));
        ended_before = ended;
        heartbeat.in_flight = vitals.lanes.iter().map(|lane| lane.in_hand.load(Ordering::Relaxed)).sum();
        heartbeat.jobs_per_minute = ended_by_beat.iter().sum();
        // After a failure it tries sooner, so that leases are renewed well within the grace that follows an outage.
        let pause = match beat(&mut redis, vitals, &mut heartbeat, settings).await {
            Ok(()) => {
                vitals.last_beat_ms.store(now_ms(), Ordering::Relaxed);
                settings.beat
            }
            Err(error) => {
                tracing::warn!(%error, "the sign of life could not be written");
                settings.beat / 4
            }
        };
        for _ in 0..20 {
            if vitals.stop.load(Ordering::Relaxed) {
                break;
            }
            tokio::time::sleep(pause / 20).await;
        }
    }
    heartbeat.end(&mut redis).await;
}

async fn beat(
    redis: &mut Connection,
    vitals: &Vitals,
    heartbeat: &mut Heartbeat,
    settings: &WorkerSettings,
) -> Result<(), RedisError> {
    // Leases first: they are what matters.
    for lane in &vitals.lanes {
        let held = lane.lease.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((leases, lease)) = held {
            // A lost lease is the lane's to notice, in its next turn.
            let _held = renew(redis, &leases, &lease, settings.lease, false).await?;
        }
    }
    heartbeat.beat(redis, settings.lease).await
}
