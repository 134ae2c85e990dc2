//! The statement: every rupee of a wallet with what it comes from: click, order, what the network said and when, entry.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::cashback::CashbackStatus;
use domain::ids::{CashbackId, ClickId, UserId, WalletTransactionId, WithdrawalId};
use domain::money::Paise;
use domain::network::Network;
use domain::wallet::{TransferKind, WithdrawalStatus};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use crate::statements::{query, word};
use crate::{StoreError, sql};

/// One line of a statement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// The ledger's row.
    pub id: WalletTransactionId,
    /// Its place in the ledger; ask for what lies before it.
    pub seq: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Why.
    pub kind: TransferKind,
    /// What came, or went when negative.
    pub amount: Paise,
    /// The wallet afterwards.
    pub balance: Paise,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a line comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Origin {
    /// A purchase.
    Purchase(Box<Purchase>),
    /// A withdrawal.
    Withdrawal {
        /// The withdrawal.
        id: WithdrawalId,
        /// What it has come to by now.
        status: WithdrawalStatus,
    },
    /// Something else; the reason as stored.
    Other {
        /// The reason.
        reason: serde_json::Value,
    },
}

/// A purchase and its life.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Purchase {
    /// The cashback.
    pub cashback_id: CashbackId,
    /// What it has come to by now.
    pub cashback_status: CashbackStatus,
    /// Where the shopper bought.
    pub merchant: String,
    /// The click, if it is still kept.
    pub click_id: Option<ClickId>,
    /// When the shopper clicked.
    pub clicked_at: Option<DateTime<Utc>>,
    /// The share promised, in basis points.
    pub rate_bps: Option<i32>,
    /// The network that reported it.
    pub network: Network,
    /// The network's id.
    pub external_id: String,
    /// The merchant's order number.
    pub order_id: Option<String>,
    /// What the shopper paid.
    pub sale: Option<Paise>,
    /// What we get by now.
    pub commission: Paise,
    /// What the network said, in order.
    pub changes: Vec<Change>,
    /// What the shopper is to get of it by now.
    pub cashback: Paise,
    /// The most it could be, by the caps that were in force.
    pub cap: Option<Paise>,
    /// The version of the rules it was decided by.
    pub rule_version: i32,
    /// The step of the cashback that the entry belongs to; `None` for cashback that is not in the wallet.
    pub step: Option<Step>,
}

/// Why an entry was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Who or what led to it: `pull`, `postback`, `click`, an operator.
    pub cause: String,
    /// The cashback before it, if there was one.
    pub from: Option<CashbackStatus>,
    /// The cashback after it.
    pub to: CashbackStatus,
}

/// One thing that a network said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When it says it was, or when we asked.
    pub at: DateTime<Utc>,
    /// Our word.
    pub status: String,
    /// Its word.
    pub raw_status: String,
    /// What we get.
    pub commission_paise: Paise,
}

/// A shopper's statement, the newest line first, before `before` in the ledger, at most `limit` lines.
pub async fn statement(
    client: &impl GenericClient,
    user: UserId,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Line>, StoreError> {
    query(client, sql!("wallet/statement.sql"), &[&user, &before, &limit]).await?.iter().map(line).collect()
}

/// A shopper's cashback that waits for merchants, the newest purchase first, at most `limit`.
pub async fn pending(client: &impl GenericClient, user: UserId, limit: i64) -> Result<Vec<Purchase>, StoreError> {
    let rows = query(client, sql!("wallet/pending.sql"), &[&user, &limit]).await?;
    rows.iter().map(|row| purchase(row, 0, 12)).collect()
}

fn line(row: &Row) -> Result<Line, StoreError> {
    Ok(Line {
        id: row.try_get(0)?,
        seq: row.try_get(1)?,
        at: row.try_get(2)?,
        kind: word(row.try_get(3)?)?,
        amount: row.try_get(4)?,
        balance: row.try_get(5)?,
        origin: origin(row)?,
    })
}

fn origin(row: &Row) -> Result<Origin, StoreError> {
    if row.try_get::<_, Option<CashbackId>>(6)?.is_some() {
        let mut purchase = purchase(row, 6, 21)?;
        if let Some(cause) = row.try_get(24)? {
            let from = row.try_get::<_, Option<&str>>(25)?.map(word).transpose()?;
            purchase.step = Some(Step { cause, from, to: word(row.try_get(26)?)? });
        }
        return Ok(Origin::Purchase(Box::new(purchase)));
    }
    if let Some(id) = row.try_get(18)? {
        return Ok(Origin::Withdrawal { id, status: word(row.try_get(19)?)? });
    }
    Ok(Origin::Other { reason: row.try_get(20)? })
}

/// A purchase, whose columns begin at `at`, and those of its cashback at `cashback`.
fn purchase(row: &Row, at: usize, cashback: usize) -> Result<Purchase, StoreError> {
    Ok(Purchase {
        cashback_id: row.try_get(at)?,
        cashback_status: word(row.try_get(at + 1)?)?,
        merchant: row.try_get(at + 2)?,
        click_id: row.try_get(at + 3)?,
        clicked_at: row.try_get(at + 4)?,
        rate_bps: row.try_get(at + 5)?,
        network: word(row.try_get(at + 6)?)?,
        external_id: row.try_get(at + 7)?,
        order_id: row.try_get(at + 8)?,
        sale: row.try_get(at + 9)?,
        commission: row.try_get(at + 10)?,
        changes: serde_json::from_value(row.try_get(at + 11)?)?,
        cashback: row.try_get(cashback)?,
        cap: row.try_get(cashback + 1)?,
        rule_version: row.try_get(cashback + 2)?,
        step: None,
    })
}
