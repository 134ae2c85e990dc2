//! Tying out: our rows of a window against the network's own sums.

use std::collections::{BTreeMap, HashMap};

use domain::money::Currency;
use rust_decimal::Decimal;

use crate::report::{Aggregate, Page};

/// Sums may be rounded by the network; nobody rounds by more than this.
const TOLERANCE: Decimal = Decimal::from_parts(1, 0, 0, false, 2);

/// Counts the rows of a run, each transaction once however many pages it was on. A run that goes on after a crash has
/// to read its window again from the start to be tied out.
#[derive(Debug, Default)]
pub struct Tally {
    rows: HashMap<String, Option<(Currency, Decimal)>>,
    without_id: u64,
}

/// Whether our rows and the network's sums agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TieOut {
    /// They do.
    Agrees,
    /// The network's own sums changed while the window was read, so nothing can be said. Read it again later.
    Moving,
    /// They do not: rows are missing, or there are too many. The run has failed and its cursor stays.
    Differs(String),
}

impl Tally {
    /// Counts a page.
    pub fn add(&mut self, page: &Page) {
        for value in &page.check {
            match &value.external_id {
                // Of two reports of one transaction the later page is the newer.
                Some(id) => drop(self.rows.insert(id.clone(), value.commission)),
                None => self.without_id += 1,
            }
        }
    }

    /// How many transactions were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(self.rows.len()).unwrap_or(u64::MAX).saturating_add(self.without_id)
    }

    /// Compares with what the network counted before the first page and after the last.
    #[must_use]
    pub fn against(&self, before: &Aggregate, after: &Aggregate) -> TieOut {
        if before != after {
            return TieOut::Moving;
        }
        if self.count() != after.count {
            return TieOut::Differs(format!("{} rows were read, the network counts {}", self.count(), after.count));
        }
        let Some(theirs) = &after.sums else {
            return TieOut::Agrees;
        };
        // A row whose amount cannot be read is quarantined and alarmed by itself; no sum can be formed then.
        let Some(mut rest) = self.sums() else {
            return TieOut::Agrees;
        };
        for sum in theirs {
            let our = rest.remove(sum.currency.as_str()).unwrap_or_default();
            // What is too far apart to subtract differs, too.
            if our.checked_sub(sum.commission).is_none_or(|difference| difference.abs() > TOLERANCE) {
                return TieOut::Differs(format!(
                    "the rows' commissions are {our} {currency} in all, the network counts {theirs}",
                    currency = sum.currency,
                    theirs = sum.commission
                ));
            }
        }
        match rest.into_iter().find(|(_, sum)| sum.abs() > TOLERANCE) {
            Some((currency, sum)) => {
                TieOut::Differs(format!("{sum} {currency} were read that the network does not count"))
            }
            None => TieOut::Agrees,
        }
    }

    /// Our sums by currency; `None` when a row has none.
    fn sums(&self) -> Option<BTreeMap<String, Decimal>> {
        if self.without_id > 0 {
            return None;
        }
        let mut sums = BTreeMap::new();
        for value in self.rows.values() {
            let (currency, commission) = (*value)?;
            let sum: &mut Decimal = sums.entry(currency.as_str().to_owned()).or_default();
            *sum = sum.checked_add(commission)?;
        }
        Some(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{CheckValue, Sum};

    fn page(values: &[(&str, &str, &str)]) -> Page {
        let check = values
            .iter()
            .map(|(id, currency, commission)| CheckValue {
                external_id: Some((*id).to_owned()),
                commission: Some((Currency::parse(currency).unwrap(), commission.parse().unwrap())),
            })
            .collect();
        Page { rows: Vec::new(), next: None, total: None, check }
    }

    fn aggregate(count: u64, sums: &[(&str, &str)]) -> Aggregate {
        let sums = sums
            .iter()
            .map(|(currency, sum)| Sum {
                currency: Currency::parse(currency).unwrap(),
                commission: sum.parse().unwrap(),
            })
            .collect();
        Aggregate { count, sums: Some(sums) }
    }

    fn tie_out(pages: &[Page], theirs: &Aggregate) -> TieOut {
        let mut tally = Tally::default();
        pages.iter().for_each(|page| tally.add(page));
        tally.against(theirs, theirs)
    }

    #[test]
    fn a_transaction_on_two_pages_counts_once() {
        let pages = [
            page(&[("1", "INR", "10.10"), ("2", "INR", "0.20")]),
            page(&[("2", "INR", "0.20"), ("3", "USD", "1.005")]),
        ];
        assert_eq!(tie_out(&pages, &aggregate(3, &[("INR", "10.30"), ("USD", "1.01")])), TieOut::Agrees);
    }

    #[test]
    fn a_missing_row_a_wrong_sum_and_a_foreign_currency_are_seen() {
        let pages = [page(&[("1", "INR", "10.10"), ("2", "USD", "3")])];
        for theirs in [
            aggregate(3, &[("INR", "10.10"), ("USD", "3")]),
            aggregate(2, &[("INR", "10.13"), ("USD", "3")]),
            aggregate(2, &[("INR", "10.10")]),
            aggregate(2, &[("INR", "10.10"), ("USD", "3"), ("EUR", "1")]),
        ] {
            assert!(matches!(tie_out(&pages, &theirs), TieOut::Differs(_)), "{theirs:?}");
        }
    }

    #[test]
    fn sums_that_are_too_far_apart_to_subtract_differ() {
        let (most, least) = (Decimal::MAX.to_string(), Decimal::MIN.to_string());
        let verdict = tie_out(&[page(&[("1", "INR", least.as_str())])], &aggregate(1, &[("INR", most.as_str())]));
        assert!(matches!(verdict, TieOut::Differs(_)), "{verdict:?}");
    }

    #[test]
    fn nothing_is_said_while_the_network_moves() {
        let mut tally = Tally::default();
        tally.add(&page(&[("1", "INR", "1")]));
        let (before, after) = (aggregate(1, &[("INR", "1")]), aggregate(2, &[("INR", "2")]));
        assert_eq!(tally.against(&before, &after), TieOut::Moving);
    }
}
