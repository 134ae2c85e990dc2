//! A connection on which clicks go.

use std::time::Duration;

use kv::redis::aio::{ConnectionLike, MultiplexedConnection};
use kv::redis::{self, RedisError, Value};
use kv::{Mode, keys};

use super::Route;

/// How long a cluster may take to answer for the first time.
const CLUSTER_LIMIT: Duration = Duration::from_secs(2);
const SLOW: (redis::ErrorKind, &str) = (redis::ErrorKind::Io, "no answer in time");

/// To the one server that takes writes, or to a cluster.
#[derive(Clone)]
pub(super) enum Line {
    One(MultiplexedConnection),
    /// With the time that an answer may take: a cluster's client would ask on and on for longer.
    Cluster(kv::Connection, Duration),
}

/// Why a connection is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("no connection to Redis")]
    Connect(#[from] kv::KvError),
    #[error("Redis did not say how it is")]
    Answer(#[from] RedisError),
    #[error("it is a replica")]
    Replica,
    #[error("it has too few replicas")]
    TooFewReplicas,
}

impl Line {
    /// A connection that has shown that it takes writes: a replica would refuse the next click. Where replicas are waited for,
    /// enough of them are there. `wait` asks for those, and `list` is where clicks go.
    pub(super) async fn dial(route: &Route, wait: Option<&redis::Cmd>, list: &str) -> Result<Self, Unfit> {
        if route.kv.mode() == Mode::Cluster {
            let mut connection = route.kv.dedicated(Duration::ZERO);
            // Whoever has the list answers, so somebody has it.
            let mut ask = redis::cmd("LLEN");
            let length = ask.arg(list).query_async::<u64>(&mut connection);
            tokio::time::timeout(CLUSTER_LIMIT, length).await.unwrap_or_else(|_elapsed| Err(SLOW.into()))?;
            return Ok(Self::Cluster(connection, route.patience));
        }
        let mut connection = route.kv.bare().await?;
        connection.set_response_timeout(route.patience);
        let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
        if matches!(role.first(), Some(Value::BulkString(role)) if role == b"slave") {
            return Err(Unfit::Replica);
        }
        if let Some(wait) = wait {
            // A replica that stands still is connected all the same. What is published goes to it, and only one that goes on says so.
            let publish = redis::cmd("PUBLISH").arg(keys::REDIRECT_REPLICAS).arg("").take();
            publish.exec_async(&mut connection).await?;
            let have: Value = wait.query_async(&mut connection).await?;
            if !route.is_replicated(Some(&have)) {
                return Err(Unfit::TooFewReplicas);
            }
        }
        Ok(Self::One(connection))
    }

    /// Sends commands; gives the answer to each of them.
    pub(super) async fn send(&mut self, pipe: &redis::Pipeline) -> Result<Vec<Value>, RedisError> {
        let expected = pipe.len();
        match self {
            Self::One(connection) => connection.send_packed_commands(pipe, 0, expected).await,
            Self::Cluster(connection, patience) => {
                let answers = connection.req_packed_commands(pipe, 0, expected);
                tokio::time::timeout(*patience, answers).await.unwrap_or_else(|_elapsed| Err(SLOW.into()))
            }
        }
    }
}
