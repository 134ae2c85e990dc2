//! Which days to read again, so that late changes are seen.
//!
//! A network that tells changes is asked for those since the last run, with an overlap; one that does not is asked for
//! the same action dates again: the last week daily, up to the 45th day weekly, up to the 180th monthly. Each of these
//! reaches one of its own periods further than that, since a change of a transaction's last day in it is only seen by
//! the run after.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc, Weekday};
use domain::clock::india_day;

use crate::report::Window;

/// How far a run that asks for changes goes back before the end of the last one: reports are late, and their clocks
/// are not ours.
const OVERLAP: TimeDelta = TimeDelta::hours(48);

/// How old a transaction can be when it changes for the last time.
const LONGEST_LIFE: TimeDelta = TimeDelta::days(180);

/// How often a tier is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Period {
    /// Every day.
    Day,
    /// Every Sunday.
    Week,
    /// On the first of every month.
    Month,
}

/// Action dates that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tier {
    /// The nearest day, 0 is today.
    nearest: u16,
    /// The farthest day.
    farthest: u16,
    /// How often.
    period: Period,
}

/// All tiers.
const TIERS: [Tier; 3] = [
    Tier { nearest: 0, farthest: 7 + 1, period: Period::Day },
    Tier { nearest: 8, farthest: 45 + 7, period: Period::Week },
    Tier { nearest: 46, farthest: 180 + 31, period: Period::Month },
];

impl Tier {
    /// Whether its turn is on this day of India.
    fn is_due(self, today: NaiveDate) -> bool {
        match self.period {
            Period::Day => true,
            Period::Week => today.weekday() == Weekday::Sun,
            Period::Month => today.day() == 1,
        }
    }

    /// Its days, seen from this one.
    fn window(self, today: NaiveDate) -> Window {
        Window::ActionDates {
            from: today - TimeDelta::days(self.farthest.into()),
            to: today - TimeDelta::days(self.nearest.into()),
        }
    }
}

/// What the run of a day reads. `read_until` is the end of the last run that was tied out, for a network that tells
/// changes; without one, all that can still change is read.
#[must_use]
pub fn due(tells_updates: bool, read_until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Vec<Window> {
    if tells_updates {
        let from = read_until.map_or(now - LONGEST_LIFE, |end| end - OVERLAP);
        return vec![Window::UpdatedSince { from: from.min(now), to: now }];
    }
    let today = india_day(now);
    TIERS.iter().filter(|tier| tier.is_due(today)).map(|tier| tier.window(today)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chrono::TimeZone;
    use domain::money::Paise;
    use domain::transaction::{Supersession, TransactionState, TransactionStatus, supersedes};

    use super::*;

    /// A small generator, so that the lives are the same in every run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, most: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % most
        }
    }

    struct Life {
        bought: DateTime<Utc>,
        /// When it changed, and what it was worth from then on.
        changes: Vec<(DateTime<Utc>, i64)>,
    }

    impl Life {
        fn at(&self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, i64)> {
            self.changes.iter().rev().find(|(at, _)| *at <= now).copied()
        }
    }

    /// 20,000 transactions of 60 days, each with up to three changes on any of its 180 days, no two on one day, since
    /// a daily run cannot see both.
    fn lives(start: DateTime<Utc>) -> Vec<Life> {
        let mut dice = Dice(7);
        (0..20_000)
            .map(|_| {
                let bought = start + TimeDelta::seconds(dice.below(60 * 86_400).cast_signed());
                let mut days: Vec<u64> = (0..dice.below(4)).map(|_| 1 + dice.below(179)).collect();
                days.sort_unstable();
                days.dedup();
                let mut changes = vec![(bought, 100)];
                for day in days {
                    let at = bought + TimeDelta::days(day.cast_signed());
                    changes.push((at, 1_000 + i64::try_from(day).unwrap()));
                }
                Life { bought, changes }
            })
            .collect()
    }

    /// Runs daily at 02:00 IST for as long as anything can change, and gives what a store has seen of each.
    fn simulate(tells_updates: bool) -> (Vec<Life>, HashMap<usize, Vec<i64>>) {
        let start = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().unwrap();
        let lives = lives(start);
        let mut stored: HashMap<usize, TransactionState> = HashMap::new();
        let mut seen: HashMap<usize, Vec<i64>> = HashMap::new();
        let mut read_until = None;
        for day in 0..(60 + 180 + 32) {
            let now = start + TimeDelta::days(day) + TimeDelta::minutes(20 * 60 + 30);
            for window in due(tells_updates, read_until, now) {
                for (index, life) in lives.iter().enumerate() {
                    let Some((changed, worth)) = life.at(now) else { continue };
                    let is_in = match window {
                        Window::UpdatedSince { from, to } => (from..=to).contains(&changed),
                        Window::ActionDates { from, to } => (from..=to).contains(&india_day(life.bought)),
                    };
                    if !is_in {
                        continue;
                    }
                    let incoming = TransactionState {
                        status: TransactionStatus::Pending,
                        funded: false,
                        sale: None,
                        commission: Paise::new(worth),
                        status_updated_at: tells_updates.then_some(changed),
                        observed_at: now,
                    };
                    let verdict = stored.get(&index).map_or(Supersession::Replaces, |now| supersedes(now, &incoming));
                    if verdict != Supersession::Stale {
                        stored.insert(index, incoming);
                    }
                    if verdict == Supersession::Replaces {
                        seen.entry(index).or_default().push(worth);
                    }
                }
            }
            read_until = Some(now);
        }
        (lives, seen)
    }

    #[test]
    fn every_change_of_180_days_is_seen_once_where_changes_are_told() {
        let (lives, seen) = simulate(true);
        for (index, life) in lives.iter().enumerate() {
            let expected: Vec<_> = life.changes.iter().map(|(_, worth)| *worth).collect();
            assert_eq!(seen.get(&index), Some(&expected), "transaction {index}");
        }
    }

    /// Where only action dates can be read, a state that lasted less than the tier's period can pass between two runs;
    /// every state that lasted longer is seen, the last one always, and none twice.
    #[test]
    fn every_change_of_180_days_that_lasts_is_seen_once_by_action_dates() {
        let (lives, seen) = simulate(false);
        let mut missed = 0;
        for (index, life) in lives.iter().enumerate() {
            let seen = seen.get(&index).unwrap();
            assert_eq!(seen.last(), life.changes.last().map(|(_, worth)| worth), "transaction {index}");
            let mut last = life.changes.iter();
            assert!(
                seen.iter().all(|worth| last.any(|(_, change)| change == worth)),
                "transaction {index}: out of order or twice"
            );
            for (position, (at, worth)) in life.changes.iter().enumerate() {
                let lasted = life.changes.get(position + 1).map(|(next, _)| *next - *at);
                if lasted.is_none_or(|lasted| lasted > TimeDelta::days(32)) {
                    assert!(seen.contains(worth), "transaction {index} at {at}");
                } else {
                    missed += u32::from(!seen.contains(worth));
                }
            }
        }
        assert!(missed > 0, "short states exist in this world, else the test shows nothing");
    }

    #[test]
    fn tiers_leave_no_day_out() {
        for pair in TIERS.windows(2) {
            assert!(pair[1].nearest <= pair[0].farthest + 1);
        }
    }
}
