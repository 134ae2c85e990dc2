//! Counters shared by all replicas.

use std::sync::LazyLock;
use std::time::Duration;

use crate::{Kv, KvError, Script, tried};

/// What a counter says after one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// How many in this window, this one included.
    pub used: u64,
    /// How long the window still lasts.
    pub resets_in: Duration,
}

static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local n = redis.call('INCR', KEYS[1])
         local left = redis.call('PTTL', KEYS[1])
         if left < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]); left = tonumber(ARGV[1]) end
         return {n, left}",
    )
});

/// Counts one more under `key`; the window begins with the first.
pub async fn count(kv: &Kv, key: &str, window: Duration) -> Result<Count, KvError> {
    let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    let (used, left): (u64, u64) =
        COUNT.key(key).arg(window).invoke_async(&mut kv.commands()).await.map_err(tried("counting"))?;
    Ok(Count { used, resets_in: Duration::from_millis(left) })
}
