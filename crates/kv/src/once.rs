//! Fast checks for "seen before". They save work; the unique index in Postgres is what decides.

use std::time::Duration;

use crate::{Kv, KvError, redis, tried};

/// Which of `keys` are marked, in one round trip.
pub async fn marked(kv: &Kv, keys: &[String]) -> Result<Vec<bool>, KvError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    // One EXISTS a key in one pipeline: for several keys together it gives a sum.
    let mut pipe = redis::pipe();
    for key in keys {
        pipe.exists(key);
    }
    pipe.query_async(&mut kv.commands()).await.map_err(tried("asking which keys were seen"))
}

/// Marks `keys` for `ttl`, in one round trip.
pub async fn mark(kv: &Kv, keys: &[String], ttl: Duration) -> Result<(), KvError> {
    if keys.is_empty() {
        return Ok(());
    }
    let mut pipe = redis::pipe();
    for key in keys {
        pipe.set_ex(key, 1, ttl.as_secs().max(1)).ignore();
    }
    pipe.query_async(&mut kv.commands()).await.map_err(tried("marking keys as seen"))
}
