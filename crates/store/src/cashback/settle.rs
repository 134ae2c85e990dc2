//! From a network's report to the ledger, in one transaction: which report counts, which click it belongs to, what is due,
//! what moves, who is told.
//!
//! Everything for one network is serialised by its lock, and everything of one shopper by the shopper's wallet, so two
//! workers, a replay or a crash in between change nothing: what is in the wallet is always what is due.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{ClickId, MerchantId, TransactionId};
use domain::money::{Currency, Paise};
use domain::network::Network;
use domain::transaction::{NetworkTransaction, Supersession, supersedes};
use futures_util::future::try_join;

use super::award::{self, Award};
use super::decided::{self, Decided};
use super::matching::{self, Verdict};
use crate::StoreError;
use crate::transactions::{self, MatchedBy, Transaction};
use crate::wallet::LedgerError;

/// Why a batch of reports had no effect at all.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// Postgres did not answer or refused.
    #[error("the reports could not be stored")]
    Store(#[from] StoreError),
    /// The ledger refused.
    #[error("the ledger did not take the cashback")]
    Ledger(#[from] LedgerError),
    /// An amount does not fit.
    #[error("an amount of transaction {0} is out of range")]
    Amount(String),
    /// There is no such transaction or click, or they do not fit together.
    #[error("{0}")]
    NoMatch(&'static str),
}

impl SettleError {
    /// Whether the same reports may be taken later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) | Self::Ledger(LedgerError::Store(error)) => error.is_transient(),
            Self::Ledger(_) | Self::Amount(_) | Self::NoMatch(_) => false,
        }
    }
}

/// What a batch of reports came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Reports given.
    pub read: u64,
    /// Transactions seen for the first time.
    pub new: u64,
    /// Transactions that changed.
    pub changed: u64,
    /// Reports that said what was known, or were older.
    pub unchanged: u64,
    /// Transactions that found their click now.
    pub matched: u64,
    /// New or changed transactions that have none.
    pub unmatched: u64,
    /// Ledger entries written.
    pub postings: u64,
    /// Orders whose click is known now: other transactions of theirs may be waiting for it.
    pub orders: Vec<(MerchantId, String)>,
    /// Transactions that have no click after this batch.
    pub without_click: Vec<TransactionId>,
}

impl Settled {
    /// Adds another batch's figures.
    pub fn add(&mut self, other: Self) {
        self.read += other.read;
        self.new += other.new;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.matched += other.matched;
        self.unmatched += other.unmatched;
        self.postings += other.postings;
        self.orders.extend(other.orders);
        self.without_click.extend(other.without_click);
    }
}

/// A transaction in work.
pub(super) struct Case<'a> {
    pub(super) transaction: Transaction,
    /// The report, when there is a new one.
    pub(super) report: Option<&'a NetworkTransaction>,
    pub(super) is_new: bool,
    pub(super) verdict: Option<Verdict>,
}

/// Applies reports of one network. Call it in a transaction of its own: the network stays locked until its end.
/// `source` says where they come from (`pull`, `postback`), for the history.
pub async fn settle(
    client: &impl GenericClient,
    network: Network,
    reports: &[NetworkTransaction],
    source: &str,
    now: DateTime<Utc>,
) -> Result<Settled, SettleError> {
    let external_ids: Vec<_> = reports.iter().map(|report| report.external_id.as_str()).collect();
    let known = transactions::lock_known(client, network, &external_ids).await?;
    let known: HashMap<_, _> = known.into_iter().map(|known| (known.external_id.clone(), known)).collect();

    // Of several reports of one transaction in a batch the newest counts.
    let mut newest: HashMap<&str, (usize, &NetworkTransaction)> = HashMap::new();
    for (place, report) in reports.iter().enumerate() {
        let entry = newest.entry(report.external_id.as_str()).or_insert((place, report));
        if supersedes(&entry.1.state(), &report.state()) != Supersession::Stale {
            *entry = (place, report);
        }
    }
    let mut newest: Vec<_> = newest.into_values().collect();
    newest.sort_unstable_by_key(|(place, _)| *place);

    let mut settled = Settled { read: count(reports.len()), ..Settled::default() };
    let mut cases = Vec::new();
    let mut touched = Vec::new();
    let rebooked: Vec<_> = newest
        .into_iter()
        .map(|(_, report)| at_booked_rate(report, known.get(&report.external_id)))
        .collect::<Result<_, _>>()?;
    for report in &rebooked {
        let Some(before) = known.get(&report.external_id) else {
            settled.new += 1;
            cases.push(Case { transaction: first(network, report), report: Some(report), is_new: true, verdict: None });
            continue;
        };
        let is_replaced = match supersedes(&before.state, &report.state()) {
            Supersession::Stale => continue,
            Supersession::Confirms => before.click_id.is_none() && names_more(before, report),
            Supersession::Replaces => true,
        };
        if is_replaced {
            settled.changed += 1;
            let transaction = next(before, report);
            cases.push(Case { transaction, report: Some(report), is_new: false, verdict: None });
        } else {
            touched.push((before, report));
        }
    }
    settled.unchanged = settled.read - settled.new - settled.changed;
    // A report that says what was known is understood all the same.
    let understood: Vec<_> = touched.iter().map(|(known, _)| known.external_id.as_str()).collect();
    let leaving = decided::leave_quarantine(client, network, &understood);
    try_join(transactions::touch_many(client, &touched), leaving).await?;
    matching::find_clicks(client, network, &mut cases).await?;
    finish(client, network, cases, source, now, &mut settled).await?;
    Ok(settled)
}

/// Looks again for the clicks of stored transactions that have none. Call it in a transaction of its own.
pub async fn rematch(
    client: &impl GenericClient,
    network: Network,
    ids: &[TransactionId],
    now: DateTime<Utc>,
) -> Result<Settled, SettleError> {
    transactions::lock_network(client, network).await?;
    let waiting = transactions::find_many(client, ids).await?;
    let mut cases: Vec<_> = waiting
        .into_iter()
        .filter(|transaction| transaction.click_id.is_none() && transaction.network == network)
        .map(|transaction| Case { transaction, report: None, is_new: false, verdict: None })
        .collect();
    matching::find_clicks(client, network, &mut cases).await?;
    let mut settled = Settled::default();
    finish(client, network, cases, "click", now, &mut settled).await?;
    Ok(settled)
}

/// Gives an unmatched transaction to a click, by an operator's word. Call it in a transaction, with the audit entry.
pub async fn assign(
    client: &impl GenericClient,
    transaction: TransactionId,
    click: ClickId,
    operator: &str,
    now: DateTime<Utc>,
) -> Result<Settled, SettleError> {
    let find = async || -> Result<Transaction, SettleError> {
        let found = transactions::find_many(client, &[transaction]).await?.pop();
        found.ok_or(SettleError::NoMatch("there is no such transaction"))
    };
    let network = find().await?.network;
    transactions::lock_network(client, network).await?;
    let transaction = find().await?;
    if transaction.click_id.is_some() {
        return Err(SettleError::NoMatch("the transaction belongs to a click already"));
    }
    let click = crate::clicks::find_many(client, &[click]).await?.pop();
    let click = click.ok_or(SettleError::NoMatch("there is no such click"))?;
    if click.network != network {
        return Err(SettleError::NoMatch("the click went through another network"));
    }
    if click.user_id.is_none() {
        return Err(SettleError::NoMatch("nobody was logged in at that click"));
    }
    let verdict = Some(Verdict::Found { click, by: MatchedBy::Operator });
    let cases = vec![Case { transaction, report: None, is_new: false, verdict }];
    let mut settled = Settled::default();
    finish(client, network, cases, &format!("operator {operator}"), now, &mut settled).await?;
    Ok(settled)
}

/// Writes what was decided, and what follows from it for shoppers. The statements for both are sent together, so that
/// Postgres works on the one while the other is put together: it reads what shoppers have while the rows to be written are put
/// together, and writes those while it is worked out what shoppers are due.
async fn finish(
    client: &impl GenericClient,
    network: Network,
    mut cases: Vec<Case<'_>>,
    source: &str,
    now: DateTime<Utc>,
    settled: &mut Settled,
) -> Result<(), SettleError> {
    let mut found = Vec::new();
    let mut lost: Vec<(TransactionId, &'static str)> = Vec::new();
    for case in &mut cases {
        match &case.verdict {
            Some(Verdict::Found { click, by }) => {
                let transaction = &mut case.transaction;
                transaction.click_id = Some(click.id);
                transaction.user_id = click.user_id;
                transaction.merchant_id = transaction.merchant_id.or(Some(click.merchant_id));
                transaction.matched_by = Some(*by);
                settled.matched += 1;
                // What is seen for the first time stands on no list.
                if !case.is_new {
                    found.push(transaction.id);
                }
                settled.orders.extend(transaction.merchant_id.zip(transaction.order_id.clone()));
            }
            Some(Verdict::Lost(reason)) => {
                lost.push((case.transaction.id, reason));
                settled.unmatched += 1;
                settled.without_click.push(case.transaction.id);
            }
            None => {}
        }
    }
    let awards: Vec<_> = cases.iter().filter_map(award_of).collect();
    let decided = Decided { network, source, cases: &cases, found, lost };
    decided.prepare(client).await?;
    award::prepare(client).await?;
    // On the heap: with both of them every caller's future would be large. An award waits for an answer before it writes, so
    // what it writes stands behind the transactions, though what it reads is asked for before.
    let awarding = Box::pin(award::award(client, &awards, source, now));
    let writing = Box::pin(async { decided.write(client).await.map_err(SettleError::from) });
    let (postings, ()) = try_join(awarding, writing).await?;
    settled.postings += postings;
    Ok(())
}

/// What a shopper's cashback depends on, once the shopper is known.
fn award_of<'a>(case: &'a Case<'_>) -> Option<Award<'a>> {
    let transaction = &case.transaction;
    let (click_id, user, merchant) = (transaction.click_id?, transaction.user_id?, transaction.merchant_id?);
    let click = match &case.verdict {
        Some(Verdict::Found { click, .. }) => Some(click),
        _ => None,
    };
    Some(Award { transaction, click_id, user, merchant, click })
}

/// A foreign amount is booked at the rate of the first report, so that a new rate of the day changes nothing. An amount that
/// comes in another currency by now has no booked rate.
fn at_booked_rate(report: &NetworkTransaction, known: Option<&Transaction>) -> Result<NetworkTransaction, SettleError> {
    let report = report.clone();
    let currency = report.foreign.as_ref().map(|foreign| foreign.currency);
    let booked = known.filter(|known| currency.is_some_and(|currency| currency.as_str() == known.currency));
    match booked.and_then(|known| known.fx_rate) {
        None => Ok(report),
        Some(rate) => {
            let id = report.external_id.clone();
            report.at_rate(rate).map_err(|_out_of_range| SettleError::Amount(id))
        }
    }
}

/// Whether a report names what the stored transaction lacks, so that it may find its click now.
fn names_more(before: &Transaction, report: &NetworkTransaction) -> bool {
    (report.click().is_some() && report.click() != before.claimed_click)
        || (before.order_id.is_none() && report.order_ref.is_some())
        || (before.campaign_id.is_none() && report.campaign_id.is_some())
}

fn first(network: Network, report: &NetworkTransaction) -> Transaction {
    Transaction {
        id: TransactionId::generate(),
        network,
        external_id: report.external_id.clone(),
        claimed_click: report.click(),
        sub_id: sub_id(report),
        click_id: None,
        user_id: None,
        merchant_id: None,
        matched_by: None,
        campaign_id: report.campaign_id.as_deref().map(clean),
        order_id: report.order_ref.as_deref().map(clean),
        currency: report.foreign.as_ref().map_or(Currency::INR, |foreign| foreign.currency).as_str().to_owned(),
        fx_rate: report.foreign.as_ref().map(|foreign| foreign.rate),
        raw_status: clean(&report.raw_status),
        state: report.state(),
        occurred_at: report.occurred_at,
        revision: 1,
    }
}

fn next(before: &Transaction, report: &NetworkTransaction) -> Transaction {
    Transaction {
        // What it belongs to stays, whatever a later report says: cashback was promised to that shopper.
        click_id: before.click_id,
        user_id: before.user_id,
        merchant_id: before.merchant_id,
        matched_by: before.matched_by,
        id: before.id,
        claimed_click: report.click().or(before.claimed_click),
        sub_id: sub_id(report).or_else(|| before.sub_id.clone()),
        campaign_id: report.campaign_id.as_deref().map(clean).or_else(|| before.campaign_id.clone()),
        order_id: report.order_ref.as_deref().map(clean).or_else(|| before.order_id.clone()),
        revision: before.revision.saturating_add(1),
        ..first(before.network, report)
    }
}

/// The sub-id that carries our click, or else the first.
fn sub_id(report: &NetworkTransaction) -> Option<String> {
    let ours = report.sub_ids.iter().find(|sub_id| domain::click::click_of(&sub_id.value).is_some());
    ours.or(report.sub_ids.first()).map(|sub_id| clean(&sub_id.value))
}

/// Postgres text cannot hold a zero byte.
fn clean(text: &str) -> String {
    text.replace('\0', "")
}

pub(super) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The sum of what reports say we get.
#[must_use]
pub fn commission_of(reports: &[NetworkTransaction]) -> Paise {
    reports.iter().fold(Paise::ZERO, |sum, report| sum.checked_add(report.commission).unwrap_or(sum))
}
