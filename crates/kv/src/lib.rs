//! Redis: one multiplexed connection for commands, connections of their own for calls that block, and every key of the
//! system in one place ([`keys`]). Jobs are the business of the queue crate.
//!
//! The same code runs against one server, a primary named by Sentinels, and Redis Cluster ([`Mode`]).

pub mod cache;
mod connection;
pub mod keys;
mod listener;
pub mod once;
pub mod rate_limit;
mod settings;

use std::sync::Arc;
use std::time::Duration;

pub use deadpool_redis::redis;
pub use redis::{RedisError, Script};

pub use crate::connection::Connection;
use crate::connection::Way;
pub use crate::listener::Listener;
pub use crate::settings::{Mode, Settings, UnknownMode};

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
    way: Arc<Way>,
    commands: Connection,
    settings: Arc<Settings>,
}

impl Kv {
    /// Prepares the way; the connection is made at the first command, so a service starts while Redis is down. It
    /// reconnects by itself.
    pub fn connect(settings: &Settings) -> Result<Self, KvError> {
        let way = Arc::new(Way::new(settings).map_err(tried("opening REDIS_URL"))?);
        let commands = Connection::new(way.clone(), Duration::ZERO);
        Ok(Self { way, commands, settings: Arc::new(settings.clone()) })
    }

    /// The shared command connection. Do not block on it: everybody else would wait too.
    #[must_use]
    pub fn commands(&self) -> Connection {
        self.commands.clone()
    }

    /// A connection of one's own, on which a command may block for `block`. It lives on the runtime that first uses it.
    #[must_use]
    pub fn dedicated(&self, block: Duration) -> Connection {
        Connection::new(self.way.clone(), block)
    }

    /// A bare connection, made now, for callers that mend it themselves. Not in a cluster; [`Kv::dedicated`] is the way that
    /// works everywhere.
    pub async fn bare(&self) -> Result<redis::aio::MultiplexedConnection, KvError> {
        self.way.bare(settings::RESPONSE_LIMIT).await.map_err(tried("connecting"))
    }

    /// How the servers are arranged.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.settings.mode
    }

    /// How many replicas must have a pushed job before the push counts as done (`REDIS_WAIT_REPLICAS`).
    #[must_use]
    pub fn wait_replicas(&self) -> u32 {
        self.settings.replicas
    }

    /// How many bytes of memory the waiting jobs of one queue may take (`QUEUE_MAX_BYTES`).
    #[must_use]
    pub fn queue_bytes(&self) -> u64 {
        self.settings.queue_bytes
    }

    /// How big one job may be, in bytes, its envelope included (`QUEUE_MAX_JOB_BYTES`).
    #[must_use]
    pub fn job_bytes(&self) -> usize {
        self.settings.payload_bytes
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), KvError> {
        redis::cmd("PING").query_async::<()>(&mut self.commands()).await.map_err(tried("PING"))
    }
}
