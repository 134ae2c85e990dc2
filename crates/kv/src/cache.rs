//! Values kept for a while.

use std::time::Duration;

use redis::AsyncCommands;

use crate::{Kv, KvError, redis, tried};

/// The value under `key`.
pub async fn get(kv: &Kv, key: &str) -> Result<Option<String>, KvError> {
    kv.commands().get(key).await.map_err(tried("reading a cached value"))
}

/// The values under `keys`, in their order, in one round trip.
pub async fn get_many(kv: &Kv, keys: &[String]) -> Result<Vec<Option<String>>, KvError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    // One GET a key in one pipeline: keys of a cluster may live in several slots.
    let mut pipe = redis::Pipeline::with_capacity(keys.len());
    for key in keys {
        pipe.get(key);
    }
    pipe.query_async(&mut kv.commands()).await.map_err(tried("reading cached values"))
}

/// Keeps many values, each under its key for its time, in one round trip.
pub async fn set_many(kv: &Kv, values: &[(String, String, Duration)]) -> Result<(), KvError> {
    if values.is_empty() {
        return Ok(());
    }
    // One SETEX a key in one pipeline: keys of a cluster may live in several slots.
    let mut pipe = redis::Pipeline::with_capacity(values.len());
    for (key, value, ttl) in values {
        pipe.set_ex(key, value, ttl.as_secs().max(1)).ignore();
    }
    pipe.query_async(&mut kv.commands()).await.map_err(tried("caching values"))
}

/// Forgets `keys`, in one round trip.
pub async fn forget(kv: &Kv, keys: &[String]) -> Result<(), KvError> {
    if keys.is_empty() {
        return Ok(());
    }
    // One DEL a key in one pipeline: keys of a cluster may live in several slots.
    let mut pipe = redis::pipe();
    for key in keys {
        pipe.del(key).ignore();
    }
    pipe.query_async(&mut kv.commands()).await.map_err(tried("forgetting cached values"))
}
