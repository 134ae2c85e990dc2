//! Which of two reports of a transaction counts.

use chrono::{DateTime, Utc};

use super::TransactionStatus;
use crate::money::Paise;

/// What can change about a transaction, and how new it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionState {
    /// Where it stands.
    pub status: TransactionStatus,
    /// Whether the money has reached us or lies ready for us.
    pub funded: bool,
    /// The order value.
    pub sale: Option<Paise>,
    /// Our commission.
    pub commission: Paise,
    /// When the network last changed the status, where it tells that.
    pub status_updated_at: Option<DateTime<Utc>>,
    /// When we asked for this report.
    pub observed_at: DateTime<Utc>,
}

impl TransactionState {
    /// The place of a report in the order of all reports of its transaction. The network's own time rules; among
    /// reports of the same (networks count in seconds, some tell no time at all, and an amount can change without it)
    /// the one we asked for later is the newer. What is left, two answers to questions of the same instant, is ordered
    /// by the status, a refusal last, and the amounts, so that every order of arrival ends the same.
    fn order(&self) -> impl Ord + use<> {
        let content = (self.status, self.funded, self.commission, self.sale);
        (self.status_updated_at, self.observed_at, content)
    }

    /// Whether both say the same of the transaction, however new they are.
    fn agrees_with(&self, other: &Self) -> bool {
        (self.status, self.funded, self.commission, self.sale)
            == (other.status, other.funded, other.commission, other.sale)
    }
}

/// What an incoming report means for the one that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Supersession {
    /// It is older, or the very same: nothing is to be done.
    Stale,
    /// It is newer and says the same. Its times are to be stored, so that a late report from between the two is known
    /// to be stale; nothing else.
    Confirms,
    /// It is newer and says something else.
    Replaces,
}

/// Whether `incoming` takes the place of `current`. A report that is older never undoes a newer one, and a chain of
/// calls ends at the same state in whatever order the reports arrive, however often each.
#[must_use]
pub fn supersedes(current: &TransactionState, incoming: &TransactionState) -> Supersession {
    if incoming.order() <= current.order() {
        Supersession::Stale
    } else if incoming.agrees_with(current) {
        Supersession::Confirms
    } else {
        Supersession::Replaces
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn instant(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    /// Few times, statuses and amounts, so that ties of every kind come up.
    fn report(tells_time: bool) -> impl Strategy<Value = TransactionState> {
        let status = prop::sample::select(TransactionStatus::ALL.to_vec());
        (status, any::<bool>(), prop::option::of(1_i64..3), 0_i64..3, 0_i64..4, 0_i64..4).prop_map(
            move |(status, funded, sale, commission, updated, observed)| TransactionState {
                status,
                funded,
                sale: sale.map(Paise::new),
                commission: Paise::new(commission),
                status_updated_at: tells_time.then(|| instant(updated)),
                observed_at: instant(10 + observed),
            },
        )
    }

    fn life() -> impl Strategy<Value = Vec<TransactionState>> {
        any::<bool>().prop_flat_map(|tells_time| prop::collection::vec(report(tells_time), 1..=6))
    }

    /// What a store holds after these reports.
    fn end(reports: &[TransactionState]) -> TransactionState {
        let (first, rest) = reports.split_first().unwrap();
        rest.iter().fold(*first, |current, incoming| match supersedes(&current, incoming) {
            Supersession::Stale => current,
            Supersession::Confirms => TransactionState {
                status_updated_at: incoming.status_updated_at,
                observed_at: incoming.observed_at,
                ..current
            },
            Supersession::Replaces => *incoming,
        })
    }

    fn orderings(reports: &[TransactionState]) -> Vec<Vec<TransactionState>> {
        if reports.len() <= 1 {
            return vec![reports.to_vec()];
        }
        let mut all = Vec::new();
        for index in 0..reports.len() {
            let mut rest = reports.to_vec();
            let first = rest.remove(index);
            for mut ordering in orderings(&rest) {
                ordering.insert(0, first);
                all.push(ordering);
            }
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn every_ordering_of_up_to_six_reports_ends_the_same(reports in life()) {
            let expected = end(&reports);
            for ordering in orderings(&reports) {
                prop_assert_eq!(end(&ordering), expected);
            }
        }

        #[test]
        fn replaying_reports_changes_nothing(reports in life(), again in prop::collection::vec(0_usize..6, 0..12)) {
            let mut replayed = reports.clone();
            replayed.extend(again.into_iter().filter_map(|index| reports.get(index)));
            prop_assert_eq!(end(&replayed), end(&reports));
        }

        #[test]
        fn an_older_status_never_undoes_a_newer_one(reports in life()) {
            let newest = reports.iter().map(|report| report.status_updated_at).max().unwrap();
            prop_assert_eq!(end(&reports).status_updated_at, newest);
        }

        #[test]
        fn of_two_different_reports_exactly_one_is_newer(one in report(true), other in report(true)) {
            let newer = |a, b| supersedes(a, b) != Supersession::Stale;
            prop_assert_eq!(u8::from(newer(&one, &other)) + u8::from(newer(&other, &one)), u8::from(one != other));
        }
    }

    #[test]
    fn a_late_answer_from_between_two_reports_that_agree_is_stale() {
        let at = |observed: i64, commission: i64| TransactionState {
            status: TransactionStatus::Pending,
            funded: false,
            sale: None,
            commission: Paise::new(commission),
            status_updated_at: None,
            observed_at: instant(observed),
        };
        let (first, between, last) = (at(1, 100), at(2, 90), at(3, 100));
        assert_eq!(supersedes(&first, &last), Supersession::Confirms);
        assert_eq!(end(&[first, last, between]), last);
    }

    #[test]
    fn a_change_of_amount_within_the_same_second_of_the_network_counts() {
        let before = TransactionState {
            status: TransactionStatus::Confirmed,
            funded: false,
            sale: None,
            commission: Paise::new(100),
            status_updated_at: Some(instant(5)),
            observed_at: instant(10),
        };
        let after = TransactionState { funded: true, observed_at: instant(11), ..before };
        assert_eq!(supersedes(&before, &after), Supersession::Replaces);
        assert_eq!(supersedes(&after, &before), Supersession::Stale);
    }
}
