//! How to reach Redis: one server, the primary that Sentinels name, or a cluster.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use config::{ExposeSecret, Reader, SecretString};
use redis::IntoConnectionInfo;

use crate::redis;

/// How the servers are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// One server, or an address that always leads to the primary.
    #[default]
    Single,
    /// Sentinels name the primary; a fail-over is followed.
    Sentinel,
    /// Redis Cluster: keys are spread by hash slot.
    Cluster,
}

/// A word that names no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a mode (one of single, sentinel, cluster)")]
pub struct UnknownMode(String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        match text {
            "single" => Ok(Self::Single),
            "sentinel" => Ok(Self::Sentinel),
            "cluster" => Ok(Self::Cluster),
            other => Err(UnknownMode(other.chars().take(64).collect())),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "single",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
        })
    }
}

/// How to reach Redis, and how much of it a queue may take.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) mode: Mode,
    pub(crate) url: SecretString,
    pub(crate) primary: String,
    pub(crate) sentinel_password: Option<SecretString>,
    pub(crate) certificates: Option<Vec<u8>>,
    pub(crate) replicas: u32,
    pub(crate) queue_bytes: u64,
    pub(crate) payload_bytes: usize,
}

impl Settings {
    /// Reads `REDIS_URL`, `REDIS_MODE` and the rest of the `REDIS_*` and `QUEUE_*` family.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let mode = reader.default(
            "REDIS_MODE",
            Mode::Single,
            "single, sentinel (REDIS_URL lists the Sentinels), or cluster (REDIS_URL lists some nodes)",
        );
        let url = reader.secret(
            "REDIS_URL",
            "Redis, as redis://user:password@host:6379/0 (rediss:// for TLS); several addresses by comma",
        );
        for one in addresses(&url) {
            if one.into_connection_info().is_err() {
                reader.problem("REDIS_URL: not a Redis URL (redis://host:6379/0)");
            }
        }
        let primary = reader.default(
            "REDIS_SENTINEL_PRIMARY",
            "mymaster".to_owned(),
            "the name under which the Sentinels know the primary",
        );
        let sentinel_password =
            reader.optional_secret("REDIS_SENTINEL_PASSWORD", "the Sentinels' own password, where they have one");
        let certificates = reader
            .optional("REDIS_CA_FILE", "certificates (PEM) of a private authority that signed Redis' certificate")
            .and_then(|path| match std::fs::read(&path) {
                Ok(pem) => Some(pem),
                Err(error) => {
                    reader.problem(format!("REDIS_CA_FILE: {path} cannot be read: {error}"));
                    None
                }
            });
        let replicas = reader.default(
            "REDIS_WAIT_REPLICAS",
            0,
            "how many replicas must have a pushed job before the push counts as done",
        );
        if mode == Mode::Cluster && replicas > 0 {
            reader.problem("REDIS_WAIT_REPLICAS: a cluster cannot be asked for this; leave it at 0");
        }
        let queue_bytes = reader.default(
            "QUEUE_MAX_BYTES",
            512 * 1024 * 1024,
            "how much memory the waiting jobs of one queue may take before pushes are refused",
        );
        let payload_bytes =
            reader.default("QUEUE_MAX_JOB_BYTES", 256 * 1024, "how big one job may be, envelope included");
        Self { mode, url, primary, sentinel_password, certificates, replicas, queue_bytes, payload_bytes }
    }
}

/// The single addresses of a list.
pub(crate) fn addresses(url: &SecretString) -> impl Iterator<Item = &str> {
    url.expose_secret().split(',').map(str::trim).filter(|one| !one.is_empty())
}

/// How long making a connection may take.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// How long a command may take before it counts as failed.
pub(crate) const RESPONSE_LIMIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use config::Map;

    use super::*;

    #[test]
    fn modes_and_lists_are_read_and_what_is_wrong_is_said() {
        let source = Map::from([
            ("REDIS_MODE", "cluster"),
            ("REDIS_URL", "redis://a:7000, redis://b:7000"),
            ("QUEUE_MAX_BYTES", "1000"),
        ]);
        let mut reader = Reader::new(&source);
        let settings = Settings::read(&mut reader);
        let settings = reader.finish(settings).unwrap();
        assert_eq!((settings.mode, settings.queue_bytes), (Mode::Cluster, 1_000));
        assert_eq!(addresses(&settings.url).collect::<Vec<_>>(), ["redis://a:7000", "redis://b:7000"]);

        let source = Map::from([("REDIS_MODE", "clustered"), ("REDIS_URL", "http://a"), ("REDIS_CA_FILE", "/nowhere")]);
        let mut reader = Reader::new(&source);
        let settings = Settings::read(&mut reader);
        assert_eq!(reader.finish(settings).unwrap_err().list().len(), 3);
    }
}
