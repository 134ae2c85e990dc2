//! A network's transaction in our words, and what becomes of a row that cannot be put into them.
//!
//! A network reports the same transaction again and again: by a pull, by a second pull over the same days, after a
//! postback, from two replicas at once. Which report counts is decided in [`supersedes`] and nowhere else, so the
//! order in which they arrive does not matter.

mod quarantine;
mod revision;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::click::click_of;
use crate::ids::ClickId;
use crate::money::{Currency, MoneyError, Paise};
use crate::network::Network;
use crate::words::words;

pub use quarantine::{QuarantineReason, Quarantined};
pub use revision::{Supersession, TransactionState, supersedes};

words! {
    /// Where a transaction stands.
    #[derive(PartialOrd, Ord, JsonSchema)]
    TransactionStatus, "transaction status", {
        /// The network saw it; the shop has not decided. Also a transaction that went back on hold.
        Pending = "pending",
        /// The shop agreed; its money has not come.
        Confirmed = "confirmed",
        /// The network owes us the money for certain.
        Payable = "payable",
        /// The shop refused.
        Declined = "declined",
    }
}

/// One sub-id of a transaction, as the network gave it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubId {
    /// The network's name for the place, such as `subid4` or `p1`.
    pub name: String,
    /// What it holds, never empty.
    pub value: String,
}

/// The amounts of a transaction that was not reported in rupees, as reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignAmounts {
    /// The currency of both amounts.
    pub currency: Currency,
    /// The order value.
    pub sale: Option<Decimal>,
    /// Our commission.
    pub commission: Decimal,
    /// Rupees for one unit, as used for the amounts in paise.
    pub rate: Decimal,
}

/// A transaction as its network reports it now. Nothing in it is personal data, the raw row included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkTransaction {
    /// Who reports it.
    pub network: Network,
    /// The network's own id: with the network, the key.
    pub external_id: String,
    /// The network's id of the shop's programme.
    pub campaign_id: Option<String>,
    /// All sub-ids that are not empty; those that carry a click come first.
    pub sub_ids: Vec<SubId>,
    /// The shop's order number; not unique, since an order can be several transactions.
    pub order_ref: Option<String>,
    /// The order value, where the network tells it.
    pub sale: Option<Paise>,
    /// Our commission; never negative.
    pub commission: Paise,
    /// The amounts as reported, where they were not rupees.
    pub foreign: Option<ForeignAmounts>,
    /// The network's own word for the status.
    pub raw_status: String,
    /// Our word for it.
    pub status: TransactionStatus,
    /// Whether the money has reached us or lies ready for us at the network. A payable transaction need not be funded.
    pub funded: bool,
    /// Why it was declined, in the network's words.
    pub reason: Option<String>,
    /// When the shopper clicked, where the network tells it.
    pub clicked_at: Option<DateTime<Utc>>,
    /// When the shopper bought.
    pub occurred_at: DateTime<Utc>,
    /// When the network last changed the status, where it tells that.
    pub status_updated_at: Option<DateTime<Utc>>,
    /// When we asked the network for this report.
    pub observed_at: DateTime<Utc>,
    /// The row as JSON text, its numbers exactly as they came, its personal data left out.
    pub raw: String,
}

impl NetworkTransaction {
    /// The click that led to it, if a sub-id carries one of ours.
    #[must_use]
    pub fn click(&self) -> Option<ClickId> {
        self.sub_ids.iter().find_map(|sub_id| click_of(&sub_id.value))
    }

    /// What a later report can change.
    #[must_use]
    pub const fn state(&self) -> TransactionState {
        TransactionState {
            status: self.status,
            funded: self.funded,
            sale: self.sale,
            commission: self.commission,
            status_updated_at: self.status_updated_at,
            observed_at: self.observed_at,
        }
    }

    /// The same transaction at another rate: one that is already booked keeps the rate of its first report, so that a
    /// new rate of the day does not change amounts that the network left alone. Amounts in rupees stay as they are.
    pub fn at_rate(mut self, rate: Decimal) -> Result<Self, MoneyError> {
        if let Some(foreign) = &mut self.foreign {
            self.commission = rupees_of(foreign.commission, rate)?;
            self.sale = foreign.sale.map(|sale| rupees_of(sale, rate)).transpose()?;
            foreign.rate = rate;
        }
        Ok(self)
    }
}

/// An amount of another currency in rupees, rounded down to the paisa.
pub fn rupees_of(amount: Decimal, rate: Decimal) -> Result<Paise, MoneyError> {
    Paise::from_decimal(amount.checked_mul(rate).ok_or(MoneyError::OutOfRange)?)
}

/// A row of a network's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportedRow {
    /// One that is understood.
    Transaction(Box<NetworkTransaction>),
    /// One that is put aside for a person.
    Quarantined(Box<Quarantined>),
}

impl ReportedRow {
    /// The network's id, if the row has one.
    #[must_use]
    pub fn external_id(&self) -> Option<&str> {
        match self {
            Self::Transaction(transaction) => Some(&transaction.external_id),
            Self::Quarantined(row) => row.external_id.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn transaction() -> NetworkTransaction {
        let at = Utc.with_ymd_and_hms(2026, 9, 1, 0, 0, 0).single().unwrap();
        NetworkTransaction {
            network: Network::Cuelinks,
            external_id: "1".to_owned(),
            campaign_id: None,
            sub_ids: Vec::new(),
            order_ref: None,
            sale: Some(Paise::new(100_000)),
            commission: Paise::new(5_000),
            foreign: None,
            raw_status: "pending".to_owned(),
            status: TransactionStatus::Pending,
            funded: false,
            reason: None,
            clicked_at: None,
            occurred_at: at,
            status_updated_at: None,
            observed_at: at,
            raw: "{}".to_owned(),
        }
    }

    #[test]
    fn a_status_survives_its_word() {
        for status in TransactionStatus::ALL {
            assert_eq!(status.word().parse::<TransactionStatus>(), Ok(*status));
            assert_eq!(serde_json::to_string(status).unwrap(), format!("\"{}\"", status.word()));
        }
        assert!("approved".parse::<TransactionStatus>().is_err());
    }

    #[test]
    fn the_click_is_found_in_whichever_sub_id_carries_it() {
        let click = ClickId::generate();
        let sub_id = |value: &str| SubId { name: "subid".to_owned(), value: value.to_owned() };
        let sub_ids = vec![sub_id("newsletter"), sub_id(&click.compact())];
        assert_eq!(NetworkTransaction { sub_ids, ..transaction() }.click(), Some(click));
        assert_eq!(transaction().click(), None);
    }

    #[test]
    fn a_booked_rate_is_kept_against_a_new_one() {
        let (dollars, today) = (Decimal::new(1_050, 2), Decimal::new(8_412, 2));
        let foreign =
            ForeignAmounts { currency: Currency::parse("USD").unwrap(), sale: None, commission: dollars, rate: today };
        let reported = NetworkTransaction {
            sale: None,
            commission: rupees_of(dollars, today).unwrap(),
            foreign: Some(foreign),
            ..transaction()
        };
        assert_eq!(reported.commission, Paise::new(88_326));
        let booked = reported.at_rate(Decimal::new(8_000, 2)).unwrap();
        assert_eq!(booked.commission, Paise::new(84_000));
        assert_eq!(booked.foreign.unwrap().rate, Decimal::new(8_000, 2));
        assert_eq!(transaction().at_rate(today).unwrap(), transaction(), "rupees have no rate");
    }
}
