//! The worker's sign of life and its leases, kept by a thread of its own that no handler can stall.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::clock::{Clock, SystemClock};
use domain::ids::WorkerId;
use domain::job::Queue;
use kv::{Kv, keys, redis};
use serde::{Deserialize, Serialize};

use crate::scripts::RENEW;

/// How long a lease holds without renewal, and how often it is renewed.
pub(crate) const LEASE: Duration = Duration::from_secs(5);
const BEAT: Duration = Duration::from_secs(1);

/// What a worker tells of itself, under `worker:heartbeat:{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The worker; fresh at every start.
    pub id: WorkerId,
    /// The service it runs in.
    pub service: String,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The version of the service.
    pub version: String,
    /// The queues it serves.
    pub queues: Vec<Queue>,
    /// Jobs in hand.
    pub in_flight: u64,
    /// Jobs ended in the last minute.
    pub jobs_per_minute: u64,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When this was written.
    pub beat_at: DateTime<Utc>,
}

/// What lanes and the thread share.
pub(crate) struct Vitals {
    pub(crate) id: WorkerId,
    pub(crate) service: String,
    pub(crate) queues: Vec<Queue>,
    pub(crate) in_flight: AtomicU64,
    pub(crate) ended: AtomicU64,
    /// The lease of each queue as it is named now; a lane that lost its lease takes one with a new name.
    pub(crate) leases: Mutex<Vec<(Queue, String)>>,
    pub(crate) last_beat_ms: AtomicI64,
    stop: AtomicBool,
}

impl Vitals {
    pub(crate) fn new(id: WorkerId, service: String, queues: Vec<Queue>) -> Self {
        Self {
            id,
            service,
            queues,
            in_flight: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            leases: Mutex::new(Vec::new()),
            last_beat_ms: AtomicI64::new(SystemClock.now().timestamp_millis()),
            stop: AtomicBool::new(false),
        }
    }

    /// From now on the lease of `queue` is `name`.
    pub(crate) fn hold(&self, queue: Queue, name: &str) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.retain(|(held, _)| *held != queue);
        leases.push((queue, name.to_owned()));
    }

    /// The lease of `queue` is not renewed any more.
    pub(crate) fn let_go(&self, queue: Queue) {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).retain(|(held, _)| *held != queue);
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Takes a lease, or renews it; `false` when it was lost.
pub(crate) async fn renew(
    redis: &mut kv::Connection,
    queue: Queue,
    lease: &str,
    take: bool,
) -> Result<bool, redis::RedisError> {
    let held: i64 = RENEW
        .key(keys::of_queue(queue, "leases"))
        .arg(lease)
        .arg(u64::try_from(LEASE.as_millis()).unwrap_or(5_000))
        .arg(if take { "1" } else { "0" })
        .invoke_async(redis)
        .await?;
    Ok(held == 1)
}

/// Starts the thread. It ends after [`Vitals::stop`] and removes the sign of life.
pub(crate) fn keep_alive(kv: Kv, vitals: Arc<Vitals>) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name("lease".to_owned()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            tracing::error!("the lease thread has no runtime; the watchdog will see it");
            return;
        };
        runtime.block_on(beat_until_stopped(&kv, &vitals));
    })
}

async fn beat_until_stopped(kv: &Kv, vitals: &Vitals) {
    let started_at = SystemClock.now();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned());
    let key = keys::heartbeat(vitals.id);
    let mut ended_by_second = std::collections::VecDeque::from([0_u64; 60]);
    let mut ended_before = 0;
    // A connection of its own: the shared one lives on the other runtime.
    let mut connection = None;
    while !vitals.stop.load(Ordering::Relaxed) {
        let ended = vitals.ended.load(Ordering::Relaxed);
        ended_by_second.pop_front();
        ended_by_second.push_back(ended.saturating_sub(ended_before));
        ended_before = ended;
        let heartbeat = Heartbeat {
            id: vitals.id,
            service: vitals.service.clone(),
            host: host.clone(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            queues: vitals.queues.clone(),
            in_flight: vitals.in_flight.load(Ordering::Relaxed),
            jobs_per_minute: ended_by_second.iter().sum(),
            started_at,
            beat_at: SystemClock.now(),
        };
        if connection.is_none() {
            connection = kv.blocking(Duration::ZERO).await.ok();
        }
        if let Some(redis) = &mut connection {
            if let Err(error) = beat(redis, vitals, &key, &heartbeat).await {
                tracing::warn!(%error, "the sign of life could not be written");
                connection = None;
            } else {
                vitals.last_beat_ms.store(SystemClock.now().timestamp_millis(), Ordering::Relaxed);
            }
        }
        for _ in 0..20 {
            if vitals.stop.load(Ordering::Relaxed) {
                break;
            }
            tokio::time::sleep(BEAT / 20).await;
        }
    }
    if let Some(redis) = &mut connection {
        let _gone_by_itself_in_5_s: Result<(), _> = redis::cmd("DEL").arg(&key).query_async(redis).await;
    }
}

async fn beat(
    redis: &mut redis::aio::MultiplexedConnection,
    vitals: &Vitals,
    key: &str,
    heartbeat: &Heartbeat,
) -> Result<(), redis::RedisError> {
    let text = serde_json::to_string(heartbeat).unwrap_or_default();
    redis::cmd("SET").arg(key).arg(text).arg("EX").arg(LEASE.as_secs()).query_async::<()>(redis).await?;
    let leases = vitals.leases.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (queue, lease) in leases {
        // A lost lease is the lane's to notice, in its next turn.
        let _held: i64 = RENEW
            .key(keys::of_queue(queue, "leases"))
            .arg(&lease)
            .arg(u64::try_from(LEASE.as_millis()).unwrap_or(5_000))
            .arg("0")
            .invoke_async(redis)
            .await?;
    }
    Ok(())
}
