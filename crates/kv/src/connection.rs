//! A connection that is made at the first command, shared by many tasks, and mended by itself.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use config::ExposeSecret;
use futures_util::future::try_join_all;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    Arg, AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, Pipeline, RedisError,
    RedisFuture, RedisResult, ServerErrorKind, TlsCertificates, TlsMode, Value,
};

use crate::redis;
use crate::settings::{CONNECT_LIMIT, Mode, RESPONSE_LIMIT, Settings, addresses};

/// After a failed attempt nobody tries again for this long, so that a thousand waiting tasks are not a thousand attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// The way to the servers.
pub(crate) enum Way {
    Single(Client),
    /// The Sentinels are asked anew for each connection, so a fail-over is followed.
    Sentinel(tokio::sync::Mutex<SentinelClient>),
    Cluster {
        nodes: Vec<redis::ConnectionInfo>,
        certificates: Option<TlsCertificates>,
    },
}

impl Way {
    /// Looks at the settings; connects to nothing.
    pub(crate) fn new(settings: &Settings) -> RedisResult<Self> {
        let certificates = settings
            .certificates
            .clone()
            .map(|root_cert| TlsCertificates { client_tls: None, root_cert: Some(root_cert) });
        let infos: Vec<_> =
            addresses(&settings.url).map(IntoConnectionInfo::into_connection_info).collect::<RedisResult<_>>()?;
        let no_address = || RedisError::from((ErrorKind::InvalidClientConfig, "REDIS_URL names no server"));
        let first = infos.first().cloned().ok_or_else(no_address)?;
        match settings.mode {
            Mode::Single => Ok(Self::Single(match certificates {
                Some(certificates) => Client::build_with_tls(first, certificates)?,
                None => Client::open(first)?,
            })),
            Mode::Sentinel => {
                let sentinels = infos.iter().map(|info| info.addr().clone());
                let mut builder = SentinelClientBuilder::new(sentinels, &settings.primary, SentinelServerType::Master)?
                    .set_client_to_redis_db(first.redis_settings().db());
                if let Some(user) = first.redis_settings().username() {
                    builder = builder.set_client_to_redis_username(user);
                }
                if let Some(password) = first.redis_settings().password() {
                    builder = builder.set_client_to_redis_password(password);
                }
                if let Some(password) = &settings.sentinel_password {
                    builder = builder.set_client_to_sentinel_password(password.expose_secret());
                }
                if matches!(first.addr(), ConnectionAddr::TcpTls { .. }) {
                    builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
                    builder = builder.set_client_to_sentinel_tls_mode(TlsMode::Secure);
                }
                if let Some(certificates) = certificates {
                    builder = builder.set_client_to_redis_certificates(certificates.clone());
                    builder = builder.set_client_to_sentinel_certificates(certificates);
                }
                Ok(Self::Sentinel(tokio::sync::Mutex::new(builder.build()?)))
            }
            Mode::Cluster => Ok(Self::Cluster { nodes: infos, certificates }),
        }
    }

    /// A bare connection to the one server that takes writes. A cluster has several, and none.
    pub(crate) async fn bare(&self, response_limit: Duration) -> RedisResult<MultiplexedConnection> {
        match self.connect(response_limit).await? {
            Live::One(connection) => Ok(connection),
            Live::Many(_) => Err((ErrorKind::InvalidClientConfig, "a cluster has no single connection").into()),
        }
    }

    async fn connect(&self, response_limit: Duration) -> RedisResult<Live> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(Some(response_limit));
        match self {
            Self::Single(client) => client.get_multiplexed_async_connection_with_config(&config).await.map(Live::One),
            Self::Sentinel(client) => {
                client.lock().await.get_async_connection_with_config(&config).await.map(Live::One)
            }
            Self::Cluster { nodes, certificates } => {
                let mut builder = ClusterClient::builder(nodes.clone())
                    .connection_timeout(CONNECT_LIMIT)
                    .response_timeout(response_limit)
                    .retries(3);
                if let Some(certificates) = certificates {
                    builder = builder.certs(certificates.clone());
                }
                builder.build()?.get_async_connection().await.map(|connection| Live::Many(Box::new(connection)))
            }
        }
    }
}

#[derive(Clone)]
enum Live {
    One(MultiplexedConnection),
    Many(Box<ClusterConnection>),
}

#[derive(Default)]
struct State {
    live: Option<Live>,
    /// Counts connections, so that an old one's error does not close a new one.
    generation: u64,
    failed: Option<(Instant, RedisError)>,
}

struct Shared {
    way: Arc<Way>,
    response_limit: Duration,
    state: RwLock<State>,
    connecting: tokio::sync::Mutex<()>,
}

/// A handle on a connection. Clones share it: commands of many tasks share round trips. It is made at the first command,
/// and made anew after it broke, after a command that got no answer in time, and after a fail-over; the command that met
/// the trouble fails and is not repeated, since nobody knows whether it was carried out.
#[derive(Clone)]
pub struct Connection(Arc<Shared>);

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("response_limit", &self.0.response_limit).finish_non_exhaustive()
    }
}

impl Connection {
    /// A connection of its own whose commands may block for `block`. The library gives up on an answer after its response
    /// time-out while the server may already have moved an element, so the time-out is longer than the block.
    pub(crate) fn new(way: Arc<Way>, block: Duration) -> Self {
        Self(Arc::new(Shared {
            way,
            response_limit: block + RESPONSE_LIMIT,
            state: RwLock::default(),
            connecting: tokio::sync::Mutex::new(()),
        }))
    }

    /// Closes it; the next command makes a new one. For those who know better, such as a watchdog.
    pub fn reset(&self) {
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        state.live = None;
        state.generation += 1;
    }

    fn current(&self) -> Option<RedisResult<(Live, u64)>> {
        let state = self.0.state.read().unwrap_or_else(PoisonError::into_inner);
        match (&state.live, &state.failed) {
            (Some(live), _) => Some(Ok((live.clone(), state.generation))),
            (None, Some((when, error))) if when.elapsed() < PAUSE => Some(Err(error.clone())),
            (None, _) => None,
        }
    }

    async fn live(&self) -> RedisResult<(Live, u64)> {
        if let Some(current) = self.current() {
            return current;
        }
        let _one_at_a_time = self.0.connecting.lock().await;
        if let Some(current) = self.current() {
            return current;
        }
        // Sentinels that cannot be reached one after the other must not hold us up for ever.
        let attempt = tokio::time::timeout(CONNECT_LIMIT * 4, self.0.way.connect(self.0.response_limit)).await;
        let made = attempt.unwrap_or_else(|_elapsed| Err((ErrorKind::Io, "connecting took too long").into()));
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        match made {
            Ok(live) => {
                state.generation += 1;
                state.failed = None;
                state.live = Some(live.clone());
                Ok((live, state.generation))
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Closes the connection after an error that it will not get over.
    fn heed<T>(&self, answer: &RedisResult<T>, generation: u64) {
        let Err(error) = answer else { return };
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        let one = matches!(state.live, Some(Live::One(_)));
        if state.generation == generation && is_broken(error, one) {
            state.live = None;
        }
    }
}

/// Whether the connection is of no more use. A cluster's connection mends its single nodes by itself.
fn is_broken(error: &RedisError, one: bool) -> bool {
    let demoted = matches!(error.code(), Some("READONLY" | "MASTERDOWN" | "UNBLOCKED"));
    if one {
        error.is_unrecoverable_error() || error.is_timeout() || error.is_io_error() || demoted
    } else {
        matches!(error.kind(), ErrorKind::ClusterConnectionNotFound)
    }
}

/// Whether keys of a pipeline lie in several slots. A cluster's client says so before it has sent anything.
fn crosses_slots(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::CrossSlot))
}

/// Sends the commands of a pipeline to where their keys lie, without waiting in between. Those of one key that follow each other
/// go together, so that they are carried out in their order.
async fn key_by_key(connection: &ClusterConnection, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
    let mut parts: Vec<Pipeline> = Vec::new();
    let mut last = None;
    for cmd in pipeline.cmd_iter() {
        let key = key_of(cmd);
        if let Some(part) = parts.last_mut().filter(|_| key == last) {
            part.add_command(cmd.clone());
        } else {
            let mut part = Pipeline::with_capacity(1);
            part.add_command(cmd.clone());
            parts.push(part);
        }
        last = key;
    }
    let mut answers = Vec::with_capacity(parts.len());
    for part in &parts {
        let mut connection = connection.clone();
        answers.push(async move { connection.req_packed_commands(part, 0, part.len()).await });
    }
    Ok(try_join_all(answers).await?.into_iter().flatten().collect())
}

/// The first word after a command's name, which is its key.
fn key_of(cmd: &Cmd) -> Option<&[u8]> {
    let Arg::Simple(word) = cmd.args_iter().nth(1)? else { return None };
    Some(word)
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let (live, generation) = self.live().await?;
            let answer = match live {
                Live::One(mut connection) => connection.send_packed_command(cmd).await,
                Live::Many(mut connection) => connection.req_packed_command(cmd).await,
            };
            self.heed(&answer, generation);
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let (live, generation) = self.live().await?;
            let answer = match live {
                Live::One(mut connection) => connection.send_packed_commands(pipeline, offset, count).await,
                Live::Many(mut connection) => {
                    let answer = connection.req_packed_commands(pipeline, offset, count).await;
                    match answer {
                        Err(error) if crosses_slots(&error) && !pipeline.is_transaction() => {
                            key_by_key(&connection, pipeline).await
                        }
                        answer => answer,
                    }
                }
            };
            self.heed(&answer, generation);
            // A pipeline hides its commands' errors among the answers.
            if let Ok(values) = &answer {
                for value in values {
                    if let Value::ServerError(error) = value {
                        self.heed::<()>(&Err(RedisError::from(error.clone())), generation);
                    }
                }
            }
            answer
        })
    }

    fn get_db(&self) -> i64 {
        match &self.0.state.read().unwrap_or_else(PoisonError::into_inner).live {
            Some(Live::One(connection)) => connection.get_db(),
            _ => 0,
        }
    }
}
