//! Publish and subscribe: what one replica says, all others hear, if they listen at that moment. What must not be missed is kept
//! elsewhere.

use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::{PubSubSink, PubSubStream};

use crate::connection::Way;
use crate::settings::RESPONSE_LIMIT;
use crate::{Kv, KvError, redis, tried};

/// How often a connection on which nothing is said is tried. A half-open one would be silent for ever.
const TRY: Duration = Duration::from_secs(10);

/// Hears one channel on a connection of its own.
pub struct Listener {
    messages: PubSubStream,
    line: PubSubSink,
}

impl Kv {
    /// Listens from now on. Whoever loses a listener makes a new one, and asks what was said meanwhile.
    pub async fn listen(&self, channel: &str) -> Result<Listener, KvError> {
        let connecting = async {
            let (mut line, messages) = self.way.pubsub().await?.split();
            line.subscribe(channel).await?;
            Ok(Listener { messages, line })
        };
        let limit = crate::settings::CONNECT_LIMIT * 4;
        let timed_out = |_elapsed| Err((redis::ErrorKind::Io, "subscribing took too long").into());
        tokio::time::timeout(limit, connecting).await.unwrap_or_else(timed_out).map_err(tried("SUBSCRIBE"))
    }
}

impl Listener {
    /// What is said next; `None` when the connection is broken. It may be dropped and asked for again.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            tokio::select! {
                message = self.messages.next() => return message?.get_payload().ok(),
                () = tokio::time::sleep(TRY) => {
                    let answer = tokio::time::timeout(RESPONSE_LIMIT, self.line.ping::<redis::Value>()).await;
                    answer.ok()?.ok()?;
                }
            }
        }
    }
}

impl Way {
    /// A connection for subscribing. In a cluster any node will do: they tell each other.
    async fn pubsub(&self) -> redis::RedisResult<redis::aio::PubSub> {
        match self {
            Self::Single(client) => client.get_async_pubsub().await,
            Self::Sentinel(client) => {
                let primary = client.lock().await.async_get_client().await?;
                primary.get_async_pubsub().await
            }
            Self::Cluster { nodes, certificates } => {
                let mut last = redis::RedisError::from((redis::ErrorKind::InvalidClientConfig, "no node"));
                for node in nodes {
                    let client = match certificates {
                        Some(certificates) => redis::Client::build_with_tls(node.clone(), certificates.clone())?,
                        None => redis::Client::open(node.clone())?,
                    };
                    match client.get_async_pubsub().await {
                        Ok(connection) => return Ok(connection),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }
}
