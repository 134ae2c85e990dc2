//! Signs of life of services that work on no queue, in the same form as those of workers.

use std::time::Duration;

use domain::clock::{Clock as _, SystemClock};
use domain::ids::WorkerId;
use kv::{Kv, keys, redis};
use tokio_util::sync::CancellationToken;

use crate::lease::Heartbeat;

const BEAT: Duration = Duration::from_secs(2);
/// A sign that is not renewed is gone after this long.
const LIFE: Duration = Duration::from_secs(10);

/// Shows until `end` that one process of `service` lives, beside the workers in [`crate::admin::workers`].
pub async fn show(kv: Kv, service: &'static str, end: CancellationToken) {
    let id = WorkerId::generate();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "unknown".to_owned());
    let mut sign = Heartbeat {
        id,
        service: service.to_owned(),
        host: host.trim().to_owned(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        queues: Vec::new(),
        in_flight: 0,
        jobs_per_minute: 0,
        started_at: SystemClock.now(),
        beat_at: SystemClock.now(),
    };
    loop {
        sign.beat_at = SystemClock.now();
        let text = serde_json::to_string(&sign).unwrap_or_default();
        let life = u64::try_from(LIFE.as_millis()).unwrap_or(u64::MAX);
        let mut set = redis::cmd("SET");
        set.arg(keys::heartbeat(id)).arg(text).arg("PX").arg(life);
        let written: Result<(), _> = set.query_async(&mut kv.commands()).await;
        let listed: Result<(), _> = redis::cmd("ZADD")
            .arg(keys::WORKERS)
            .arg(sign.beat_at.timestamp_millis())
            .arg(id.to_string())
            .query_async(&mut kv.commands())
            .await;
        if let Some(error) = written.err().or(listed.err()) {
            tracing::debug!(%error, "the sign of life could not be written");
        }
        tokio::select! {
            () = end.cancelled() => break,
            () = tokio::time::sleep(BEAT) => {}
        }
    }
    let _gone_by_itself_too: Result<(), _> =
        redis::cmd("DEL").arg(keys::heartbeat(id)).query_async(&mut kv.commands()).await;
    let _gone_by_itself: Result<(), _> =
        redis::cmd("ZREM").arg(keys::WORKERS).arg(id.to_string()).query_async(&mut kv.commands()).await;
}
