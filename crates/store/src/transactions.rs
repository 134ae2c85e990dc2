//! What the networks say, as rows: transactions, their accepted changes, what is unmatched, what is in quarantine.
//!
//! Deciding what a report means is [`crate::cashback`]'s.

mod quarantine;
mod reliability;
mod unmatched;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{ClickId, MerchantId, TransactionId, UserId};
use domain::network::Network;
use domain::transaction::{ForeignAmounts, NetworkTransaction, TransactionState};
use futures_util::future::try_join;
use rust_decimal::Decimal;
use tokio_postgres::Row;

pub use quarantine::{PutAside, quarantine, quarantined};
pub use reliability::{ApprovalDrop, approval_drops};
pub use unmatched::{
    Suggestion, Unmatched, suggestions, sweep, unmatched, unmatched_count, unmatched_of_clicks, unmatched_of_orders,
};

use crate::statements::{Params, column, execute, prepare, query, word};
use crate::{StoreError, sql};

/// A transaction as stored: what it belongs to, and the last report that counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// Our id.
    pub id: TransactionId,
    /// The network.
    pub network: Network,
    /// The network's id.
    pub external_id: String,
    /// The click that the sub-id names, whether or not we have it.
    pub claimed_click: Option<ClickId>,
    /// That sub-id as returned, or the first one that is there.
    pub sub_id: Option<String>,
    /// The click it belongs to.
    pub click_id: Option<ClickId>,
    /// The shopper of that click.
    pub user_id: Option<UserId>,
    /// The shop.
    pub merchant_id: Option<MerchantId>,
    /// How the click was found.
    pub matched_by: Option<MatchedBy>,
    /// The network's programme.
    pub campaign_id: Option<String>,
    /// The merchant's order number.
    pub order_id: Option<String>,
    /// The original currency.
    pub currency: String,
    /// Rupees for one unit of the original currency, when that is not the rupee; fixed by the first report.
    pub fx_rate: Option<Decimal>,
    /// The network's word for its state.
    pub raw_status: String,
    /// What was reported last.
    pub state: TransactionState,
    /// When the shopper bought.
    pub occurred_at: DateTime<Utc>,
    /// Accepted changes so far.
    pub revision: i32,
}

/// How the click of a transaction was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchedBy {
    /// The sub-id names it.
    Click,
    /// Another transaction of the same order of the same merchant belongs to it.
    Order,
    /// An operator said so.
    Operator,
}

impl MatchedBy {
    /// The word in tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Click => "click",
            Self::Order => "order",
            Self::Operator => "operator",
        }
    }

    fn of(word: &str) -> Result<Self, StoreError> {
        [Self::Click, Self::Order, Self::Operator]
            .into_iter()
            .find(|way| way.word() == word)
            .ok_or_else(|| StoreError::WrongRow(format!("{word:?} is no way of matching")))
    }
}

/// Serialises whatever decides on transactions of one network until this transaction ends. Taken before anything is read.
pub async fn lock_network(client: &impl GenericClient, network: Network) -> Result<(), StoreError> {
    query(client, sql!("transactions/lock_network.sql"), &[&network.slug()]).await?;
    Ok(())
}

/// [Locks the network](lock_network), and finds transactions by its ids as they stay until this transaction ends.
pub async fn lock_known(
    client: &impl GenericClient,
    network: Network,
    external_ids: &[&str],
) -> Result<Vec<Transaction>, StoreError> {
    let find = sql!("transactions/find_known.sql");
    prepare(client, &[sql!("transactions/lock_network.sql"), find]).await?;
    let slug = network.slug();
    let params: Params<'_> = &[&slug, &external_ids];
    // Sent together: Postgres looks for them when it has the lock.
    let ((), rows) = try_join(lock_network(client, network), query(client, find, params)).await?;
    rows.iter().map(transaction).collect()
}

/// Finds transactions by our ids.
pub async fn find_many(client: &impl GenericClient, ids: &[TransactionId]) -> Result<Vec<Transaction>, StoreError> {
    query(client, sql!("transactions/find_by_ids.sql"), &[&ids]).await?.iter().map(transaction).collect()
}

fn transaction(row: &Row) -> Result<Transaction, StoreError> {
    Ok(Transaction {
        id: row.try_get(0)?,
        network: word(row.try_get(1)?)?,
        external_id: row.try_get(2)?,
        claimed_click: row.try_get(3)?,
        sub_id: row.try_get(4)?,
        click_id: row.try_get(5)?,
        user_id: row.try_get(6)?,
        merchant_id: row.try_get(7)?,
        matched_by: row.try_get::<_, Option<&str>>(8)?.map(MatchedBy::of).transpose()?,
        campaign_id: row.try_get(9)?,
        order_id: row.try_get(10)?,
        currency: row.try_get(13)?,
        fx_rate: row.try_get::<_, Option<&str>>(14)?.map(word).transpose()?,
        raw_status: row.try_get(15)?,
        state: TransactionState {
            status: word(row.try_get(16)?)?,
            funded: row.try_get(17)?,
            sale: row.try_get(11)?,
            commission: row.try_get(12)?,
            status_updated_at: row.try_get(19)?,
            observed_at: row.try_get(20)?,
        },
        occurred_at: row.try_get(18)?,
        revision: row.try_get(21)?,
    })
}

/// A stored transaction and the report it comes from.
pub(crate) type Pair<'a> = (&'a Transaction, &'a NetworkTransaction);

fn foreign(reported: &NetworkTransaction, pick: impl Fn(&ForeignAmounts) -> Option<Decimal>) -> Option<String> {
    reported.foreign.as_ref().and_then(pick).map(|amount| amount.to_string())
}

/// The columns that a report may change, in the order of both statements, behind those that say which row.
macro_rules! with_what_changes {
    ($rows:expr, $($which:expr),+) => {
        &[
            $($which,)+
            &column!($rows, row => row.0.claimed_click),
            &column!($rows, row => row.0.sub_id.as_deref()),
            &column!($rows, row => row.0.click_id),
            &column!($rows, row => row.0.user_id),
            &column!($rows, row => row.0.merchant_id),
            &column!($rows, row => row.0.matched_by.map(MatchedBy::word)),
            &column!($rows, row => row.0.campaign_id.as_deref()),
            &column!($rows, row => row.0.order_id.as_deref()),
            &column!($rows, row => row.0.state.sale),
            &column!($rows, row => row.0.state.commission),
            &column!($rows, row => row.0.currency.as_str()),
            &column!($rows, row => foreign(row.1, |foreign| foreign.sale)),
            &column!($rows, row => foreign(row.1, |foreign| Some(foreign.commission))),
            &column!($rows, row => row.0.fx_rate.map(|rate| rate.to_string())),
            &column!($rows, row => row.0.raw_status.as_str()),
            &column!($rows, row => row.0.state.status.word()),
            &column!($rows, row => row.0.state.funded),
            &column!($rows, row => row.1.reason.as_deref()),
            &column!($rows, row => row.0.occurred_at),
            &column!($rows, row => row.0.state.status_updated_at),
            &column!($rows, row => row.0.state.observed_at),
            &column!($rows, row => row.0.revision),
            &column!($rows, row => row.1.raw.as_str()),
        ]
    };
}

/// Adds transactions.
pub(crate) async fn insert_many(
    client: &impl GenericClient,
    network: Network,
    rows: &[Pair<'_>],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    execute(
        client,
        sql!("transactions/insert_many.sql"),
        with_what_changes!(
            rows,
            &network.slug(),
            &column!(rows, row => row.0.id),
            &column!(rows, row => row.0.external_id.as_str())
        ),
    )
    .await?;
    Ok(())
}

/// Writes changed transactions.
pub(crate) async fn update_many(client: &impl GenericClient, rows: &[Pair<'_>]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    execute(client, sql!("transactions/update_many.sql"), with_what_changes!(rows, &column!(rows, row => row.0.id)))
        .await?;
    Ok(())
}

/// Writes to which click stored transactions belong.
pub(crate) async fn update_match(client: &impl GenericClient, rows: &[&Transaction]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    execute(
        client,
        sql!("transactions/update_match.sql"),
        &[
            &column!(rows, row => row.id),
            &column!(rows, row => row.click_id),
            &column!(rows, row => row.user_id),
            &column!(rows, row => row.merchant_id),
            &column!(rows, row => row.matched_by.map(MatchedBy::word)),
        ],
    )
    .await?;
    Ok(())
}

/// Notes that nothing has changed since a later time.
pub(crate) async fn touch_many(client: &impl GenericClient, rows: &[Pair<'_>]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let ids = column!(rows, row => row.0.id);
    let observed = column!(rows, row => row.1.observed_at);
    let updated = column!(rows, row => row.1.status_updated_at);
    execute(client, sql!("transactions/touch_many.sql"), &[&ids, &observed, &updated]).await?;
    Ok(())
}

/// Writes one history row per accepted change.
pub(crate) async fn insert_history(
    client: &impl GenericClient,
    rows: &[Pair<'_>],
    source: &str,
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    execute(
        client,
        sql!("transactions/insert_history.sql"),
        &[
            &column!(rows, row => row.0.id),
            &column!(rows, row => row.0.revision),
            &column!(rows, row => row.0.raw_status.as_str()),
            &column!(rows, row => row.0.state.status.word()),
            &column!(rows, row => row.0.state.funded),
            &column!(rows, row => row.0.state.sale),
            &column!(rows, row => row.0.state.commission),
            &column!(rows, row => row.0.state.status_updated_at),
            &column!(rows, row => row.0.state.observed_at),
            &source,
        ],
    )
    .await?;
    Ok(())
}
