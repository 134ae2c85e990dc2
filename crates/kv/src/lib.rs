//! Redis: one multiplexed connection for commands, connections of their own for calls that block, and every key of the
//! system in one place ([`keys`]). Jobs are the business of the queue crate.

pub mod cache;
pub mod keys;
pub mod once;
pub mod rate_limit;

use std::time::Duration;

use config::{ExposeSecret, Reader, SecretString};
pub use deadpool_redis::redis;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
pub use redis::{RedisError, Script};

/// A handle on the shared command connection. Cheap to clone; commands of many tasks share round trips.
pub type Connection = ConnectionManager;

/// How to reach Redis.
#[derive(Debug, Clone)]
pub struct Settings {
    url: SecretString,
}

impl Settings {
    /// Reads `REDIS_URL`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let url = reader.secret("REDIS_URL", "Redis, as redis://user:password@host:6379/0 (rediss:// for TLS)");
        let text = url.expose_secret();
        if !text.is_empty() && redis::Client::open(text).is_err() {
            reader.problem("REDIS_URL: not a Redis URL (redis://host:6379/0)");
        }
        Self { url }
    }
}

/// Redis did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("Redis did not carry out {tried}")]
pub struct KvError {
    /// What was tried.
    pub tried: &'static str,
    /// Redis' answer.
    #[source]
    pub source: RedisError,
}

/// For `map_err`: notes what was tried.
pub fn tried(what: &'static str) -> impl FnOnce(RedisError) -> KvError {
    move |source| KvError { tried: what, source }
}

/// The way to Redis. Cheap to clone.
#[derive(Clone)]
pub struct Kv {
    client: redis::Client,
    commands: ConnectionManager,
}

/// How long a command may take before it counts as failed.
const RESPONSE_LIMIT: Duration = Duration::from_secs(2);

impl Kv {
    /// Prepares the way; the connection is made at the first command, so a service starts while Redis is down. It
    /// reconnects by itself.
    pub fn connect(settings: &Settings) -> Result<Self, KvError> {
        let client = redis::Client::open(settings.url.expose_secret()).map_err(tried("opening REDIS_URL"))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(1)))
            .set_response_timeout(Some(RESPONSE_LIMIT))
            .set_number_of_retries(2)
            .set_min_delay(Duration::from_millis(20))
            .set_max_delay(Duration::from_millis(500));
        let commands = client.get_connection_manager_lazy(config).map_err(tried("preparing the connection"))?;
        Ok(Self { client, commands })
    }

    /// The shared command connection.
    #[must_use]
    pub fn commands(&self) -> Connection {
        self.commands.clone()
    }

    /// A connection of one's own, on which a command may block for `block`. The library gives up on an answer after its
    /// response time-out while the server may already have moved an element, so the time-out is longer than the block.
    pub async fn blocking(&self, block: Duration) -> Result<MultiplexedConnection, KvError> {
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_response_timeout(Some(block + RESPONSE_LIMIT));
        self.client.get_multiplexed_async_connection_with_config(&config).await.map_err(tried("connecting"))
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), KvError> {
        redis::cmd("PING").query_async::<()>(&mut self.commands()).await.map_err(tried("PING"))
    }
}
