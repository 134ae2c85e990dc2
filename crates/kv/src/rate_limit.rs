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

/// A token bucket shared by all replicas: `per_second` tokens flow in, up to `burst` lie in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// How many tokens a second.
    pub per_second: f64,
    /// How many tokens it holds at most; at least 1.
    pub burst: u32,
}

/// What a bucket gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// All that was asked for.
    Granted,
    /// Nothing; there will be enough after this long.
    Wait(Duration),
}

static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
         local now = time[1] * 1000 + time[2] / 1000
         local rate, burst, asked = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
         local at = tonumber(redis.call('HGET', KEYS[1], 'at') or now)
         local tokens = tonumber(redis.call('HGET', KEYS[1], 'tokens') or burst)
         tokens = math.min(burst, tokens + math.max(0, now - at) * rate / 1000)
         local wait = 0
         if tokens >= asked then tokens = tokens - asked else wait = math.ceil((asked - tokens) * 1000 / rate) end
         redis.call('HSET', KEYS[1], 'at', string.format('%.3f', now), 'tokens', string.format('%.6f', tokens))
         redis.call('PEXPIRE', KEYS[1], math.ceil(burst * 1000 / rate) + 1000)
         return wait",
    )
});

/// Takes `tokens` from the bucket under `key`, all or none. More than `burst` can never be had and counts as `burst`.
pub async fn take(kv: &Kv, key: &str, bucket: Bucket, tokens: u32) -> Result<Taken, KvError> {
    let burst = bucket.burst.max(1);
    let wait: u64 = TAKE
        .key(key)
        .arg(bucket.per_second.max(0.001))
        .arg(burst)
        .arg(tokens.min(burst))
        .invoke_async(&mut kv.commands())
        .await
        .map_err(tried("taking from a token bucket"))?;
    Ok(if wait == 0 { Taken::Granted } else { Taken::Wait(Duration::from_millis(wait)) })
}
