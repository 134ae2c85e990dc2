//! Networks' access tokens in Redis, so that replicas share one.

use std::time::Duration;

use async_trait::async_trait;
use config::{ExposeSecret, SecretString};
use domain::ids::JobId;
use kv::{Kv, KvError, Script, keys, redis, tried};
use outbound::oauth::{Fence, TokenStore, TokenStoreError};

const UNLOCK: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// See the module.
pub(crate) struct RedisTokens {
    kv: Kv,
    unlock: Script,
}

impl RedisTokens {
    pub(crate) fn new(kv: Kv) -> Self {
        Self { kv, unlock: Script::new(UNLOCK) }
    }
}

fn millis(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn lock_key(key: &str) -> String {
    format!("{}:lock", keys::network_token(key))
}

fn lost(error: KvError) -> TokenStoreError {
    TokenStoreError::new(error)
}

#[async_trait]
impl TokenStore for RedisTokens {
    async fn get(&self, key: &str) -> Result<Option<SecretString>, TokenStoreError> {
        let value = kv::cache::get(&self.kv, &keys::network_token(key)).await.map_err(lost)?;
        Ok(value.map(SecretString::from))
    }

    async fn set(&self, key: &str, value: &SecretString, life: Duration) -> Result<(), TokenStoreError> {
        redis::cmd("SET")
            .arg(keys::network_token(key))
            .arg(value.expose_secret())
            .arg("PX")
            .arg(millis(life))
            .query_async(&mut self.kv.commands())
            .await
            .map_err(tried("keeping an access token"))
            .map_err(lost)
    }

    async fn lock(&self, key: &str, life: Duration) -> Result<Option<Fence>, TokenStoreError> {
        let fence = JobId::generate().to_string();
        let taken: Option<String> = redis::cmd("SET")
            .arg(lock_key(key))
            .arg(&fence)
            .arg("NX")
            .arg("PX")
            .arg(millis(life))
            .query_async(&mut self.kv.commands())
            .await
            .map_err(tried("locking an access token"))
            .map_err(lost)?;
        Ok(taken.map(|_| Fence(fence)))
    }

    async fn unlock(&self, key: &str, fence: &Fence) -> Result<(), TokenStoreError> {
        self.unlock
            .key(lock_key(key))
            .arg(&fence.0)
            .invoke_async(&mut self.kv.commands())
            .await
            .map_err(tried("unlocking an access token"))
            .map_err(lost)
    }
}
