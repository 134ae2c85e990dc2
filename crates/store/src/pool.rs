//! The pool of connections.

mod listener;

use std::net::IpAddr;
use std::time::Duration;

pub use listener::{Listener, Notification};

use config::{ExposeSecret, Reader, SecretString};
use deadpool_postgres::{ClientWrapper, Hook, HookError, Manager, ManagerConfig, RecyclingMethod, Runtime};
use domain::offer::{InvalidHost, TemplateProblems};
use rustls::pki_types::CertificateDer;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::tls;

/// A pooled connection. It derefs to [`tokio_postgres::Client`] and caches prepared statements.
pub type Client = deadpool_postgres::Object;

/// How to reach Postgres.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `postgres://user:password@host:port/database?sslmode=…`. Without a word about TLS it is used where the server has it, but
    /// not within a machine.
    pub url: SecretString,
    /// The most connections.
    pub max_connections: usize,
    /// A private authority that signed Postgres' certificate.
    certificates: Vec<CertificateDer<'static>>,
}

impl Settings {
    /// Reads `DATABASE_URL`, `DATABASE_MAX_CONNECTIONS` and `DATABASE_CA_FILE`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let certificates = reader
            .optional("DATABASE_CA_FILE", "certificates (PEM) of a private authority that signed Postgres' certificate")
            .map(|path| {
                let found = std::fs::read(&path).map_err(|error| error.to_string());
                found.and_then(|pem| tls::certificates(&pem)).map_err(|error| format!("{path} cannot be used: {error}"))
            })
            .transpose()
            .unwrap_or_else(|problem| {
                reader.problem(format!("DATABASE_CA_FILE: {problem}"));
                None
            });
        let settings = Self {
            certificates: certificates.unwrap_or_default(),
            url: reader.secret("DATABASE_URL", "Postgres, as postgres://user:password@host:5432/database"),
            max_connections: reader.default(
                "DATABASE_MAX_CONNECTIONS",
                16,
                "the most connections of one process to Postgres",
            ),
        };
        let url = settings.url.expose_secret();
        // The driver's own message may repeat the URL with its password, so it is not shown.
        if !url.is_empty() && parse(&settings.url).is_err() {
            reader.problem("DATABASE_URL: not a Postgres URL (postgres://user:password@host:5432/database)");
        }
        settings
    }
}

/// Why a statement had no effect.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection could be had.
    #[error("no connection to Postgres")]
    Connect(#[source] deadpool_postgres::PoolError),
    /// Postgres said nothing in this time.
    #[error("Postgres did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// Postgres refused or the connection broke.
    #[error("Postgres did not carry out the statement")]
    Statement(#[from] tokio_postgres::Error),
    /// The URL or TLS could not be used.
    #[error("the way to Postgres cannot be set up: {0}")]
    Setup(String),
    /// A payload cannot be written as JSON.
    #[error("a payload cannot be written as JSON")]
    Payload(#[from] serde_json::Error),
    /// A row holds what its type forbids.
    #[error("a row holds a wrong value: {0}")]
    WrongRow(String),
    /// A merchant with this template would lose clicks; nothing was written.
    #[error("the merchant was not saved")]
    Template(#[from] TemplateProblems),
    /// A merchant's list of hosts is wrong; nothing was written.
    #[error("the merchant was not saved")]
    Hosts(#[from] InvalidHost),
}

impl From<deadpool_postgres::PoolError> for StoreError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        Self::Connect(error)
    }
}

impl StoreError {
    /// Whether the same call may succeed later: connection trouble, a serialisation failure or a deadlock.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Silent(_) => true,
            Self::Statement(error) => match error.code() {
                None => {
                    error.is_closed()
                        || std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
                }
                Some(code) => {
                    matches!(*code, SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED)
                        || ["08", "53", "57"].iter().any(|class| code.code().starts_with(class))
                }
            },
            Self::Setup(_) | Self::Payload(_) | Self::WrongRow(_) | Self::Template(_) | Self::Hosts(_) => false,
        }
    }

    /// Whether Postgres refused a value: a NUL in a text, a number or a time out of its range.
    #[must_use]
    pub fn is_bad_value(&self) -> bool {
        match self {
            Self::Statement(error) => error.code().is_some_and(|code| code.code().starts_with("22")),
            _ => false,
        }
    }

    /// The constraint that was violated, if that is what happened.
    #[must_use]
    pub fn violated(&self) -> Option<&str> {
        match self {
            Self::Statement(error) => error.as_db_error()?.constraint(),
            _ => None,
        }
    }
}

/// Connections to Postgres, made when first needed. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    inner: deadpool_postgres::Pool,
    url: SecretString,
    tls: MakeRustlsConnect,
}

/// How long a connection may take. Loops that must go round wait for one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Compiling is for statements that take long, and would seem worth it at the price that reading a whole table has here.
/// Statements that take many rows as arrays would be planned again for each call, which takes longer than carrying them out.
const BY_KEY: &str = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; \
                      SET plan_cache_mode = force_generic_plan";

impl Pool {
    /// A pool. It does not connect yet, so a service starts while Postgres is down and says so by its readiness.
    pub fn connect(settings: &Settings) -> Result<Self, StoreError> {
        Self::build(settings, None)
    }

    /// A pool for work that finds each of its rows by a key. A statement is planned once a connection, and at the start, when
    /// tables are empty, reading one in whole looks cheapest; by the time that it has grown, each batch of messages or webhooks
    /// reads all of it. (Until statistics are renewed, that is. Of a notifier's burst it was half of what Postgres did.) On these
    /// connections rows are looked up by their index whatever the statistics say.
    pub fn connect_by_key(settings: &Settings) -> Result<Self, StoreError> {
        let by_key = Hook::async_fn(|client: &mut ClientWrapper, _| {
            Box::pin(async move { client.batch_execute(BY_KEY).await.map_err(HookError::Backend) })
        });
        Self::build(settings, Some(by_key))
    }

    fn build(settings: &Settings, made: Option<Hook>) -> Result<Self, StoreError> {
        let mut config = parse(&settings.url)?;
        config.connect_timeout(PATIENCE);
        let tls = tls::connector(&settings.certificates).map_err(|error| StoreError::Setup(error.to_string()))?;
        let manager =
            Manager::from_config(config, tls.clone(), ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let mut builder = deadpool_postgres::Pool::builder(manager)
            .max_size(settings.max_connections)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .runtime(Runtime::Tokio1);
        if let Some(made) = made {
            builder = builder.post_create(made);
        }
        let inner = builder.build().map_err(|error| StoreError::Setup(error.to_string()))?;
        show_use(inner.clone());
        Ok(Self { inner, url: settings.url.clone(), tls })
    }

    /// A connection; waits up to five seconds for one.
    pub async fn get(&self) -> Result<Client, StoreError> {
        Ok(self.inner.get().await?)
    }

    /// Whether Postgres answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.get().await?.simple_query("SELECT 1").await?;
        Ok(())
    }

    /// A connection of its own that listens on `channels`; waits up to five seconds for it.
    pub async fn listen(&self, channels: &[&str]) -> Result<Listener, StoreError> {
        let listening = listener::listen(parse(&self.url)?, self.tls.clone(), channels);
        tokio::time::timeout(PATIENCE, listening).await.map_err(|_elapsed| StoreError::Silent(PATIENCE))?
    }
}

/// Shows how much of the pool is in use.
fn show_use(pool: deadpool_postgres::Pool) {
    let _kept_by_the_meter = telemetry::metrics::meter()
        .u64_observable_gauge("postgres_connections")
        .with_description("Connections to Postgres: in use, idle, the most allowed, and callers that wait for one")
        .with_callback(move |observer| {
            let status = pool.status();
            let used = status.size.saturating_sub(status.available);
            for (state, count) in
                [("used", used), ("idle", status.available), ("most", status.max_size), ("waiting", status.waiting)]
            {
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                observer.observe(count, &[telemetry::metrics::KeyValue::new("state", state)]);
            }
        })
        .build();
}

/// What a server that was replaced without a word may cost: a fail-over closes nothing.
const SILENCE: Duration = Duration::from_secs(20);

fn parse(url: &SecretString) -> Result<tokio_postgres::Config, StoreError> {
    // Whoever asks for TLS here gets a verified server; the driver does not know the word for it.
    let known = url.expose_secret().replace("sslmode=verify-full", "sslmode=require");
    let mut config: tokio_postgres::Config = known.parse().map_err(|_names_the_password: tokio_postgres::Error| {
        StoreError::Setup("DATABASE_URL is not a Postgres URL".to_owned())
    })?;
    // Distributions give their Postgres a certificate that nobody can verify; within a machine there is nothing to hide.
    if !known.contains("sslmode=") && config.get_hosts().iter().all(is_here) {
        config.ssl_mode(SslMode::Disable);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE);
        config.keepalives_idle(SILENCE / 2).keepalives_interval(SILENCE / 4).keepalives_retries(2);
    }
    Ok(config)
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
    }
}
