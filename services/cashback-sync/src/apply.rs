//! Rows of a network's report on their way into Postgres, with everything that follows from them.

use std::collections::HashSet;

use domain::money::Paise;
use domain::network::Network;
use domain::transaction::{NetworkTransaction, QuarantineReason, Quarantined, ReportedRow};
use store::cashback::{self, SettleError, Settled};
use store::sync::{self, CheckRow, Turn};
use store::{StoreError, transactions};
use telemetry::metrics::{Counter, KeyValue};

use crate::parts::Parts;

/// Why rows were not applied. Nothing of the batch was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("the rows could not be settled")]
    Settle(#[from] SettleError),
    #[error("the rows could not be stored")]
    Store(#[from] StoreError),
    #[error("the run of the rows is in other hands by now")]
    TakenUp,
}

impl ApplyError {
    /// Whether the same rows may be taken later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Settle(error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
            Self::TakenUp => false,
        }
    }
}

/// What rows came to.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    pub(crate) settled: Settled,
    pub(crate) quarantined: u64,
}

/// The run that rows belong to.
pub(crate) struct PageOf<'a> {
    pub(crate) turn: Turn,
    pub(crate) next: Option<&'a str>,
    pub(crate) checks: &'a [CheckRow],
}

/// Applies rows and, when they are a page of a run, the run's progress, in one transaction; then what became known of
/// their orders, in another.
pub(crate) async fn apply(
    parts: &Parts,
    network: Network,
    rows: Vec<ReportedRow>,
    source: &str,
    page: Option<PageOf<'_>>,
    dry_run: bool,
) -> Result<Applied, ApplyError> {
    let (reports, put_aside) = sort(rows);
    let now = parts.clock.now();
    let mut client = parts.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    let settled = cashback::settle(&transaction, network, &reports, source, now).await?;
    transactions::quarantine(&transaction, &put_aside).await?;
    if !dry_run {
        alarm(parts, &transaction, &put_aside).await?;
    }
    let quarantined = u64::try_from(put_aside.len()).unwrap_or(u64::MAX);
    if let Some(page) = page {
        let commission: Paise = cashback::commission_of(&reports);
        let PageOf { turn, next, checks } = page;
        if !sync::page_done(&transaction, turn, next, &settled, quarantined, commission, checks).await? {
            transaction.rollback().await.map_err(StoreError::from)?;
            return Err(ApplyError::TakenUp);
        }
    }
    let mut applied = Applied { settled, quarantined };
    if dry_run {
        transaction.rollback().await.map_err(StoreError::from)?;
        return Ok(applied);
    }
    transaction.commit().await.map_err(StoreError::from)?;
    count(network, &applied);
    let orders = std::mem::take(&mut applied.settled.orders);
    let siblings = transactions::unmatched_of_orders(&client, &orders).await?;
    drop(client);
    for (network, ids) in siblings {
        let more = rematch(parts, network, &ids).await?;
        applied.settled.matched += more.matched;
        applied.settled.postings += more.postings;
    }
    Ok(applied)
}

/// Looks again for the clicks of stored transactions, and of those that share their orders.
pub(crate) async fn rematch(
    parts: &Parts,
    network: Network,
    ids: &[domain::ids::TransactionId],
) -> Result<Settled, ApplyError> {
    let mut total = Settled::default();
    let mut waiting = vec![(network, ids.to_vec())];
    // A match can make an order's click known, which matches more; each round matches something or is the last.
    while let Some((network, ids)) = waiting.pop() {
        let mut client = parts.pool.get().await?;
        let transaction = client.transaction().await.map_err(StoreError::from)?;
        let mut settled = cashback::rematch(&transaction, network, &ids, parts.clock.now()).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        let orders = std::mem::take(&mut settled.orders);
        waiting.extend(transactions::unmatched_of_orders(&client, &orders).await?);
        total.add(settled);
    }
    Ok(total)
}

fn sort(rows: Vec<ReportedRow>) -> (Vec<NetworkTransaction>, Vec<Quarantined>) {
    let (mut reports, mut put_aside) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        match row {
            ReportedRow::Transaction(report) => reports.push(*report),
            ReportedRow::Quarantined(row) => put_aside.push(*row),
        }
    }
    (reports, put_aside)
}

/// One mail a day and kind of trouble, however many rows have it: the first of a page speaks for all of them.
async fn alarm(parts: &Parts, client: &impl store::GenericClient, rows: &[Quarantined]) -> Result<(), StoreError> {
    let mut raised = HashSet::new();
    for row in rows {
        let day = row.observed_at.date_naive();
        let (kind, key) = match &row.reason {
            QuarantineReason::UnknownStatus(status) => ("unknown_status", format!("{status}:{day}")),
            other => ("quarantine", format!("{}:{day}", other.word())),
        };
        if !raised.insert((kind, key.clone())) {
            continue;
        }
        let title = format!("{}: {}", row.network, row.reason);
        let id = row.external_id.as_deref().unwrap_or("without id");
        let detail = format!(
            "Transaction {id} was put into quarantine: {}. It has no effect until it is understood. See the quarantine \
             in the console; add the word to the contract or ask the network.",
            row.reason
        );
        parts.alarm.raise(client, kind, row.network, &key, &title, &detail).await?;
    }
    Ok(())
}

fn count(network: Network, applied: &Applied) {
    static ROWS: std::sync::OnceLock<Counter<u64>> = std::sync::OnceLock::new();
    let rows = ROWS.get_or_init(|| {
        telemetry::metrics::meter()
            .u64_counter("network_rows")
            .with_description("Rows of networks' reports, by what they came to")
            .build()
    });
    let settled = &applied.settled;
    let figures = [
        ("new", settled.new),
        ("changed", settled.changed),
        ("unchanged", settled.unchanged),
        ("matched", settled.matched),
        ("unmatched", settled.unmatched),
        ("quarantined", applied.quarantined),
    ];
    for (outcome, figure) in figures {
        rows.add(figure, &[KeyValue::new("network", network.slug()), KeyValue::new("outcome", outcome)]);
    }
}
