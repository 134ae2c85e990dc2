//! The sign of life of a process: of a worker, or of a service that works on no queue.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::clock::{Clock, SystemClock};
use domain::ids::WorkerId;
use domain::job::Queue;
use kv::redis::RedisError;
use kv::{Connection, keys, redis};
use serde::{Deserialize, Serialize};

use crate::verdict::millis;

/// Who has given no sign for this long, in milliseconds, is listed no more.
const LISTED_MS: i64 = 60_000;

/// What a process tells of itself, under `worker:heartbeat:{id}`.
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

impl Heartbeat {
    /// The sign of this process, which starts now.
    pub(crate) fn begin(id: WorkerId, service: &str, queues: Vec<Queue>) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned());
        let now = SystemClock.now();
        Self {
            id,
            service: service.to_owned(),
            host,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            queues,
            in_flight: 0,
            jobs_per_minute: 0,
            started_at: now,
            beat_at: now,
        }
    }

    /// Writes it down as it is now, for `life`.
    pub(crate) async fn beat(&mut self, redis: &mut Connection, life: Duration) -> Result<(), RedisError> {
        self.beat_at = SystemClock.now();
        let text = serde_json::to_string(self).unwrap_or_default();
        let mut set = redis::cmd("SET");
        set.arg(keys::heartbeat(self.id)).arg(text).arg("PX").arg(millis(life)).query_async::<()>(redis).await?;
        // The list is for the console; those that ended without a word leave it by and by.
        let now = self.beat_at.timestamp_millis();
        let mut note = redis::cmd("ZADD");
        note.arg(keys::WORKERS).arg(now).arg(self.id.to_string()).query_async::<()>(redis).await?;
        let mut forget = redis::cmd("ZREMRANGEBYSCORE");
        forget.arg(keys::WORKERS).arg("-inf").arg(now - LISTED_MS).query_async(redis).await
    }

    /// Takes it away.
    pub(crate) async fn end(&self, redis: &mut Connection) {
        let _gone_by_itself: Result<(), _> = redis::cmd("DEL").arg(keys::heartbeat(self.id)).query_async(redis).await;
        let _gone_by_itself_too: Result<(), _> =
            redis::cmd("ZREM").arg(keys::WORKERS).arg(self.id.to_string()).query_async(redis).await;
    }
}
