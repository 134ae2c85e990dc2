//! What is asked of a network, and what comes back.

use chrono::{DateTime, Days, FixedOffset, NaiveDate, TimeDelta, Utc};
use domain::clock::india_day;
use domain::money::Currency;
use domain::network::Network;
use domain::transaction::ReportedRow;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::NetworkError;

/// Which transactions to read. A run keeps its window from its first page to its last, over crashes too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Window {
    /// Those whose status changed in this time, both ends included, in whole seconds. The end belongs in the past, so
    /// that the window does not fill while it is read.
    UpdatedSince {
        /// The beginning.
        from: DateTime<Utc>,
        /// The end.
        to: DateTime<Utc>,
    },
    /// Those made on these days of India, both included. Where a network counts days of another zone, its days that
    /// overlap these are read.
    ActionDates {
        /// The first day.
        from: NaiveDate,
        /// The last day.
        to: NaiveDate,
    },
}

/// India's offset, which has no summer time: 5 h 30 min.
pub(crate) fn india() -> FixedOffset {
    FixedOffset::east_opt(19_800).unwrap_or_else(utc)
}

/// Offset zero.
pub(crate) fn utc() -> FixedOffset {
    chrono::Offset::fix(&Utc)
}

/// The days from `from` to `to` in pieces of at most `most` days, the oldest first; none when `to` is before `from`.
pub(crate) fn pieces(from: NaiveDate, to: NaiveDate, most: u64) -> Vec<(NaiveDate, NaiveDate)> {
    let mut pieces = Vec::new();
    let mut start = from;
    while start <= to {
        let end = start.checked_add_days(Days::new(most.saturating_sub(1))).map_or(to, |end| end.min(to));
        pieces.push((start, end));
        match end.succ_opt() {
            Some(next) => start = next,
            None => break,
        }
    }
    pieces
}

/// The days on which a purchase after this click can lie: from the day before it (clocks differ) to 90 days after it,
/// and not beyond today. Without a click, the last 31 days.
pub(crate) fn days_after_click(sub_id: &str, now: DateTime<Utc>) -> (NaiveDate, NaiveDate) {
    let today = india_day(now);
    let clicked = domain::click::click_of(sub_id)
        .and_then(|click| click.unix_millis())
        .and_then(|millis| DateTime::from_timestamp_millis(i64::try_from(millis).ok()?));
    match clicked {
        Some(clicked) => {
            let day = india_day(clicked).min(today);
            (day - TimeDelta::days(1), today.min(day + TimeDelta::days(90)))
        }
        None => (today - TimeDelta::days(31), today),
    }
}

/// Where a window goes on. Opaque; stored by the caller with the page that came with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// A cursor that was stored as text.
    #[must_use]
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text to store.
    #[must_use]
    pub fn as_text(&self) -> &str {
        &self.0
    }

    pub(crate) fn write<T: Serialize>(network: Network, position: &T) -> Result<Self, NetworkError> {
        serde_json::to_string(position).map(Self).map_err(|source| NetworkError::BadCursor { network, source })
    }

    pub(crate) fn read<T: for<'de> Deserialize<'de>>(&self, network: Network) -> Result<T, NetworkError> {
        serde_json::from_str(&self.0).map_err(|source| NetworkError::BadCursor { network, source })
    }
}

/// A page of a window.
#[derive(Debug)]
pub struct Page {
    /// Its rows, in the network's order. The same transaction may come on two pages.
    pub rows: Vec<ReportedRow>,
    /// Where to go on; `None` after the last page.
    pub next: Option<Cursor>,
    /// How many rows the network counts in the part of the window it is in; for progress, not for checking.
    pub total: Option<u64>,
    /// The rows' amounts before any rounding, for the [`Tally`](crate::Tally).
    pub check: Vec<CheckValue>,
}

/// What one row adds to the sums of its window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckValue {
    /// The network's id, if the row has one.
    pub external_id: Option<String>,
    /// Currency and commission, where both can be read.
    pub commission: Option<(Currency, Decimal)>,
}

/// What the network itself counts in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    /// How many rows.
    pub count: u64,
    /// The sums by currency; `None` where the network tells no sums.
    pub sums: Option<Vec<Sum>>,
}

/// A sum of commissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// The currency.
    pub currency: Currency,
    /// The sum.
    pub commission: Decimal,
}

#[cfg(test)]
mod tests {
    use domain::click::sub_id;
    use domain::ids::ClickId;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn pieces_cover_every_day_once() {
        let (from, to) = (day("2026-01-15"), day("2026-03-31"));
        let pieces = pieces(from, to, 31);
        assert_eq!(pieces.first().unwrap().0, from);
        assert_eq!(pieces.last().unwrap().1, to);
        for pair in pieces.windows(2) {
            assert_eq!(pair[0].1.succ_opt().unwrap(), pair[1].0);
        }
        assert!(pieces.iter().all(|(start, end)| (*end - *start).num_days() < 31));
        assert!(super::pieces(to, from, 31).is_empty());
        assert_eq!(super::pieces(to, to, 31), [(to, to)]);
    }

    #[test]
    fn the_days_to_search_start_before_the_click() {
        let click = ClickId::generate();
        let clicked = DateTime::from_timestamp_millis(i64::try_from(click.unix_millis().unwrap()).unwrap()).unwrap();
        let (from, to) = days_after_click(&sub_id(click), clicked + TimeDelta::days(200));
        assert_eq!(from, india_day(clicked).pred_opt().unwrap());
        assert_eq!(to, india_day(clicked) + TimeDelta::days(90));
        let (_, to) = days_after_click(&sub_id(click), clicked + TimeDelta::days(3));
        assert_eq!(to, india_day(clicked) + TimeDelta::days(3));
        let (from, to) = days_after_click("newsletter", clicked);
        assert_eq!((to - from).num_days(), 31);
    }
}
