//! Runs that pull a network's transactions: who may, how far they are, what they came to.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::SyncRunId;
use domain::money::Paise;
use domain::network::Network;
use serde_json::Value;
use tokio_postgres::Row;

use crate::cashback::Settled;
use crate::statements::{column, execute, query, query_opt, word};
use crate::{Client, Pool, StoreError, sql};

/// The right to pull a network. It lasts as long as this value, and ends with its connection if the process dies.
pub struct PullLock {
    _connection: deadpool_postgres::ClientWrapper,
}

/// Takes the right to pull a network; `None` while another process has it.
pub async fn lock(pool: &Pool, network: Network) -> Result<Option<PullLock>, StoreError> {
    // The connection leaves the pool: the lock is the session's, and the session must end with it.
    let connection = Client::take(pool.get().await?);
    let row = connection.query_one(sql!("sync/lock.sql"), &[&network.slug()]).await?;
    Ok(row.try_get::<_, bool>(0)?.then_some(PullLock { _connection: connection }))
}

/// A run in the hands of one process. Whoever takes it up has the next turn, and then nothing counts that the one before still
/// writes: its [`PullLock`] may have gone with a connection without its knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The run.
    pub run: SyncRunId,
    /// How often it had been taken up by then.
    pub number: i32,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was read and agrees with the network's own sums.
    Succeeded,
    /// It was not; the cursor stays.
    Failed,
    /// It was cut off and something else was asked for.
    Abandoned,
}

impl Outcome {
    /// The word in tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The run.
    pub id: SyncRunId,
    /// The network.
    pub network: Network,
    /// What was asked for, as JSON.
    pub requested: Value,
    /// What that came to, as JSON: concrete bounds.
    pub window: Value,
    /// Who asked.
    pub requested_by: String,
    /// `running`, `succeeded`, `failed` or `abandoned`.
    pub status: String,
    /// The next page, in the network's words.
    pub cursor: Option<String>,
    /// Pages read.
    pub pages: i32,
    /// Rows read.
    pub rows_read: i64,
    /// Transactions seen for the first time.
    pub rows_new: i64,
    /// Transactions that changed.
    pub rows_changed: i64,
    /// Transactions that found their click.
    pub rows_matched: i64,
    /// New or changed transactions without a click.
    pub rows_unmatched: i64,
    /// Rows that were not understood.
    pub rows_quarantined: i64,
    /// What the rows say we get, in all.
    pub commission: Paise,
    /// How often it was taken up again.
    pub resumed: i32,
    /// Why it failed.
    pub error: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Run {
    /// The turn of whoever has it now.
    #[must_use]
    pub const fn turn(&self) -> Turn {
        Turn { run: self.id, number: self.resumed }
    }
}

fn run(row: &Row) -> Result<Run, StoreError> {
    Ok(Run {
        id: row.try_get(0)?,
        network: word(row.try_get(1)?)?,
        requested: row.try_get(2)?,
        window: row.try_get(3)?,
        requested_by: row.try_get(4)?,
        status: row.try_get(5)?,
        cursor: row.try_get(6)?,
        pages: row.try_get(7)?,
        rows_read: row.try_get(8)?,
        rows_new: row.try_get(9)?,
        rows_changed: row.try_get(10)?,
        rows_matched: row.try_get(11)?,
        rows_unmatched: row.try_get(12)?,
        rows_quarantined: row.try_get(13)?,
        commission: row.try_get(14)?,
        resumed: row.try_get(15)?,
        error: row.try_get(16)?,
        started_at: row.try_get(17)?,
        finished_at: row.try_get(18)?,
    })
}

/// Begins a run. The caller has the network's [`PullLock`].
pub async fn begin(
    client: &impl GenericClient,
    network: Network,
    requested: &Value,
    window: &Value,
    requested_by: &str,
) -> Result<Turn, StoreError> {
    let id = SyncRunId::generate();
    execute(client, sql!("sync/begin.sql"), &[&id, &network.slug(), &requested, &window, &requested_by]).await?;
    Ok(Turn { run: id, number: 0 })
}

/// The run of a network that has not ended. Whoever has the [`PullLock`] knows that it was cut off.
pub async fn running(client: &impl GenericClient, network: Network) -> Result<Option<Run>, StoreError> {
    query_opt(client, sql!("sync/running.sql"), &[&network.slug()]).await?.as_ref().map(run).transpose()
}

/// The newest runs, of one network or all.
pub async fn list(client: &impl GenericClient, network: Option<Network>, limit: i64) -> Result<Vec<Run>, StoreError> {
    let network = network.map(Network::slug);
    query(client, sql!("sync/list.sql"), &[&network, &limit]).await?.iter().map(run).collect()
}

/// Takes a run up after it was cut off, and gives it as it is then; `None` when it has ended.
pub async fn resume(client: &impl GenericClient, id: SyncRunId) -> Result<Option<Run>, StoreError> {
    query_opt(client, sql!("sync/resume.sql"), &[&id]).await?.as_ref().map(run).transpose()
}

/// What one row adds to a run's sums: the network's id if it has one, currency and commission as text where they can be
/// read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRow {
    /// The network's id.
    pub external_id: Option<String>,
    /// Currency and commission.
    pub commission: Option<(String, String)>,
}

/// Notes a page, in the transaction that applied its rows: the run goes on behind it, whatever happens. Says whether it was this
/// turn's to note; when not, the transaction must not commit.
pub async fn page_done(
    client: &impl GenericClient,
    turn: Turn,
    next: Option<&str>,
    settled: &Settled,
    quarantined: u64,
    commission: Paise,
    checks: &[CheckRow],
) -> Result<bool, StoreError> {
    let figure = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
    let changed = execute(
        client,
        sql!("sync/page_done.sql"),
        &[
            &turn.run,
            &next,
            &figure(settled.read.saturating_add(quarantined)),
            &figure(settled.new),
            &figure(settled.changed),
            &figure(settled.matched),
            &figure(settled.unmatched),
            &figure(quarantined),
            &commission,
            &turn.number,
        ],
    )
    .await?;
    if changed != 1 || checks.is_empty() {
        return Ok(changed == 1);
    }
    let nameless = || format!("nameless:{}", SyncRunId::generate());
    let ids = column!(checks, check => check.external_id.clone().unwrap_or_else(nameless));
    let named = column!(checks, check => check.external_id.is_some());
    let currencies = column!(checks, check => check.commission.as_ref().map(|commission| commission.0.as_str()));
    let commissions = column!(checks, check => check.commission.as_ref().map(|commission| commission.1.as_str()));
    execute(client, sql!("sync/add_rows.sql"), &[&turn.run, &ids, &named, &currencies, &commissions]).await?;
    Ok(true)
}

/// What a run's rows add to its sums, each transaction once.
pub async fn check_rows(client: &impl GenericClient, id: SyncRunId) -> Result<Vec<CheckRow>, StoreError> {
    let rows = query(client, sql!("sync/rows.sql"), &[&id]).await?;
    rows.iter()
        .map(|row| {
            let (currency, commission): (Option<String>, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
            Ok(CheckRow { external_id: row.try_get(0)?, commission: currency.zip(commission) })
        })
        .collect()
}

/// Ends a run; says whether it was this turn's to end.
pub async fn finish(
    client: &impl GenericClient,
    turn: Turn,
    outcome: Outcome,
    error: Option<&str>,
) -> Result<bool, StoreError> {
    let ended =
        execute(client, sql!("sync/finish.sql"), &[&turn.run, &outcome.word(), &error, &turn.number]).await? == 1;
    if ended {
        execute(client, sql!("sync/forget_rows.sql"), &[&turn.run]).await?;
    }
    Ok(ended)
}

/// Up to which status change a network was read and tied out.
pub async fn cursor(client: &impl GenericClient, network: Network) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(query_opt(client, sql!("sync/cursor.sql"), &[&network.slug()]).await?.map(|row| row.try_get(0)).transpose()?)
}

/// Moves a network's cursor forward; never back.
pub async fn set_cursor(
    client: &impl GenericClient,
    network: Network,
    read_up_to: DateTime<Utc>,
    run: SyncRunId,
) -> Result<(), StoreError> {
    execute(client, sql!("sync/set_cursor.sql"), &[&network.slug(), &read_up_to, &run]).await?;
    Ok(())
}
