//! Fast checks for "seen before". They save work; the unique index in Postgres is what decides.

use std::time::Duration;

use crate::{Kv, KvError, redis, tried};

/// Marks `key` for `ttl`; says whether this call was the first.
pub async fn first(kv: &Kv, key: &str, ttl: Duration) -> Result<bool, KvError> {
    let answer: Option<String> = redis::cmd("SET")
        .arg(key)
        .arg("1")
        .arg("NX")
        .arg("EX")
        .arg(ttl.as_secs().max(1))
        .query_async(&mut kv.commands())
        .await
        .map_err(tried("marking a key as seen"))?;
    Ok(answer.is_some())
}
