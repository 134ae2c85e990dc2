//! What no job asks for: matches that a crash left behind, ended holding periods, the ledger's chain. Every step looks at
//! the state and makes it right, so it may be done by several replicas at once, and again.

use std::time::Duration;

use chrono::NaiveDate;
use domain::clock::india_day;
use store::wallet::chain;
use store::{StoreError, cashback, transactions};
use telemetry::metrics::Gauge;
use tokio_util::sync::CancellationToken;

use crate::apply::{ApplyError, rematch};
use crate::parts::Parts;

const BATCH: i64 = 500;

/// Works every `interval` until `shutdown`.
pub(crate) async fn run(parts: Parts, interval: Duration, shutdown: CancellationToken) {
    let waiting = Waiting::new();
    let mut mailed = None;
    while !shutdown.is_cancelled() {
        // Each by itself: what stops one of them must not stop the others.
        note("matching", sweep(&parts).await);
        note("releasing", release(&parts).await.map_err(ApplyError::from));
        note("sealing", seal(&parts, &waiting).await.map_err(ApplyError::from));
        note("mailing the ledger's head", mail_head(&parts, &mut mailed).await.map_err(ApplyError::from));
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(interval) => {}
        }
    }
}

fn note(step: &'static str, outcome: Result<(), ApplyError>) {
    if let Err(error) = outcome {
        tracing::warn!(step, error.chain = format!("{:#}", anyhow::Error::from(error)), "the upkeep is put off");
    }
}

async fn sweep(parts: &Parts) -> Result<(), ApplyError> {
    let waiting = transactions::sweep(&parts.pool.get().await?, BATCH).await?;
    for (network, ids) in waiting {
        let settled = rematch(parts, network, &ids).await?;
        tracing::info!(%network, matched = settled.matched, "transactions were matched late");
    }
    Ok(())
}

/// Seals, and shows how old the oldest row is that is not sealed. Each head goes to the log, which is kept elsewhere than
/// the database: `admin ledger verify --head` compares.
async fn seal(parts: &Parts, waiting: &Waiting) -> Result<(), StoreError> {
    let mut client = parts.pool.get().await?;
    let sealed = chain::seal(&mut client).await;
    let (rows, since) = chain::unsealed(&client).await?;
    waiting.rows.record(u64::try_from(rows).unwrap_or_default(), &[]);
    let age = since.map_or(0, |since| (parts.clock.now() - since).num_seconds());
    waiting.seconds.record(u64::try_from(age).unwrap_or_default(), &[]);
    let sealed = sealed?;
    if let Some(head) = sealed.head {
        tracing::info!(rows = sealed.rows, ledger.head = %head.keep(), "ledger rows were sealed");
    }
    Ok(())
}

/// Once a day the head goes to the admins by mail, where nobody who can write to the database can change it.
async fn mail_head(parts: &Parts, mailed: &mut Option<NaiveDate>) -> Result<(), StoreError> {
    let today = india_day(parts.clock.now());
    if *mailed == Some(today) {
        return Ok(());
    }
    let client = parts.pool.get().await?;
    let head = chain::last(&client).await?;
    if head.number == 0 {
        return Ok(());
    }
    let head = head.keep();
    let title = format!("The head of the ledger's chain on {today}");
    let detail = format!(
        "{head}\n\nKeep this mail. `admin ledger verify --head {head}` tells whether anything that the ledger held at this \
         time was altered, removed, added or reordered since."
    );
    parts.alarm.keep(&client, &format!("ledger-head:{today}"), &title, &detail).await?;
    *mailed = Some(today);
    Ok(())
}

/// What is not sealed yet.
struct Waiting {
    rows: Gauge<u64>,
    seconds: Gauge<u64>,
}

impl Waiting {
    fn new() -> Self {
        let meter = telemetry::metrics::meter();
        Self {
            rows: meter.u64_gauge("ledger_unsealed_rows").with_description("Ledger rows that are not sealed").build(),
            seconds: meter
                .u64_gauge("ledger_unsealed_age_seconds")
                .with_description("Age of the oldest ledger row that is not sealed; above 60 sealing is behind")
                .build(),
        }
    }
}

async fn release(parts: &Parts) -> Result<(), StoreError> {
    let mut client = parts.pool.get().await?;
    while cashback::release_held(&mut client, parts.clock.now(), BATCH).await? > 0 {}
    Ok(())
}
