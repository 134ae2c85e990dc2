//! What a cron job is, and what it works with.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kv::Kv;
use serde_json::{Map, Value};
use store::cron_runs::{self, Held};
use store::{Client, Pool};

use crate::plan::Plan;
use crate::settings::Settings;

/// One job. It takes no input: it reads how things stand and puts them right, so running it twice does no harm.
#[async_trait]
pub(crate) trait CronJob: Send + Sync {
    /// Its name, for ever.
    fn name(&self) -> &'static str;
    /// What it does, in a line.
    fn about(&self) -> &'static str;
    /// How it is run.
    fn plan(&self) -> Plan;
    /// Does it.
    async fn run(&self, context: &Context) -> anyhow::Result<Report>;
}

/// What a run did, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report(Map<String, Value>);

impl Report {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a number.
    pub(crate) fn count(mut self, what: &str, number: impl Into<Value>) -> Self {
        self.0.insert(what.to_owned(), number.into());
        self
    }

    pub(crate) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// What a run works with.
pub(crate) struct Context {
    /// Postgres.
    pub(crate) pool: Pool,
    /// Redis.
    pub(crate) kv: Kv,
    /// The settings.
    pub(crate) settings: Arc<Settings>,
    /// The nominal time: what keys of effects are made of.
    pub(crate) scheduled_for: DateTime<Utc>,
    /// The time by the scheduler's clock when the attempt began.
    pub(crate) now: DateTime<Utc>,
    /// Whether nothing may be changed.
    pub(crate) dry_run: bool,
    pub(crate) held: Held,
}

impl Context {
    /// A connection.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        Ok(self.pool.get().await?)
    }

    /// Begins a transaction that Postgres ends when this process is paused in it, so that it blocks nobody.
    pub(crate) async fn begin<'a>(&self, client: &'a mut Client) -> anyhow::Result<store::Transaction<'a>> {
        let transaction = client.transaction().await.context("a transaction could not begin")?;
        transaction.batch_execute("SET LOCAL idle_in_transaction_session_timeout = '10s'").await?;
        Ok(transaction)
    }

    /// Commits if this run is still ours; undoes everything in a dry run.
    pub(crate) async fn commit(&self, transaction: store::Transaction<'_>) -> anyhow::Result<()> {
        if self.dry_run {
            transaction.rollback().await.context("the dry run could not be undone")?;
            return Ok(());
        }
        cron_runs::commit(transaction, self.held).await.context("the run's writes were not committed")
    }
}
