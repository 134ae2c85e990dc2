//! When a job is due: a cron expression read on the wall clock of a time zone.
//!
//! Where the wall clock jumps, the plan of the job says what happens. A clock that goes forward leaves a gap of times
//! that never come ([`Gap`]); a clock that goes back shows some times twice ([`Fold`]).

use std::str::FromStr;

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;

/// What is done about a nominal time that the wall clock never shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// It is left out.
    Skip,
    /// It is the moment at which the clock has jumped.
    RunAfter,
}

/// What is done about a nominal time that the wall clock shows twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    /// It is the first of the two.
    Once,
    /// It is both.
    Twice,
}

/// A cron expression in a zone.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    cron: Cron,
    text: String,
    zone: Tz,
    gap: Gap,
    fold: Fold,
}

/// An expression that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no cron expression of five fields (minute hour day month weekday)")]
pub(crate) struct InvalidSchedule {
    text: String,
    #[source]
    source: croner::errors::CronError,
}

/// No clock of the world jumps further.
const JUMP: TimeDelta = TimeDelta::hours(3);
/// A search ends after so many steps: an expression such as `0 0 30 2 *` never matches.
const STEPS: usize = 2_000_000;

impl Schedule {
    pub(crate) fn parse(text: &str, zone: Tz, gap: Gap, fold: Fold) -> Result<Self, InvalidSchedule> {
        let wrong = |source| InvalidSchedule { text: text.to_owned(), source };
        if text.split_whitespace().count() != 5 {
            return Err(wrong(croner::errors::CronError::InvalidPattern("five fields are needed".to_owned())));
        }
        Ok(Self { cron: Cron::from_str(text).map_err(wrong)?, text: text.to_owned(), zone, gap, fold })
    }

    /// The expression as written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The zone it is read in.
    pub(crate) const fn zone(&self) -> Tz {
        self.zone
    }

    /// The expression in words.
    pub(crate) fn words(&self) -> String {
        self.cron.describe()
    }

    /// The next `count` nominal times after `after`.
    pub(crate) fn next(&self, after: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        self.search(after, DateTime::<Utc>::MAX_UTC, count)
    }

    /// Nominal times after `after`, up to and with `until`, the first `limit` of them.
    pub(crate) fn between(&self, after: DateTime<Utc>, until: DateTime<Utc>, limit: usize) -> Vec<DateTime<Utc>> {
        self.search(after, until, limit)
    }

    /// The last nominal time after `after`, up to and with `until`.
    pub(crate) fn latest(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let lowest = self.wall(after) - JUMP;
        let mut wall = self.wall(until) + JUMP;
        let mut inclusive = true;
        let mut found: Option<DateTime<Utc>> = None;
        for _ in 0..STEPS {
            wall = self.cron.find_previous_occurrence(&wall, inclusive).ok()?;
            inclusive = false;
            if wall < lowest || found.is_some_and(|found| wall < self.wall(found) - JUMP) {
                break;
            }
            found = found.max(self.instants(wall).into_iter().flatten().filter(|at| *at > after && *at <= until).max());
        }
        found
    }

    fn search(&self, after: DateTime<Utc>, until: DateTime<Utc>, limit: usize) -> Vec<DateTime<Utc>> {
        let mut found: Vec<DateTime<Utc>> = Vec::new();
        let mut wall = self.wall(after) - JUMP;
        let mut inclusive = true;
        // The wall clock's order is not the order of time where it jumps, so the search goes on for a while.
        let mut enough: Option<NaiveDateTime> = None;
        for _ in 0..STEPS {
            let Ok(next) = self.cron.find_next_occurrence(&wall, inclusive) else { break };
            wall = next;
            inclusive = false;
            if enough.is_some_and(|enough| wall > enough) {
                break;
            }
            for instant in self.instants(wall).into_iter().flatten() {
                if instant > until {
                    enough = enough.or(Some(wall + JUMP));
                } else if instant > after {
                    found.push(instant);
                    if found.len() >= limit {
                        enough = enough.or(Some(wall + JUMP));
                    }
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(limit);
        found
    }

    fn wall(&self, at: DateTime<Utc>) -> NaiveDateTime {
        // Near the ends of what chrono can tell, the wall clock is as good as UTC.
        let offset = self.zone.offset_from_utc_datetime(&at.naive_utc()).fix();
        at.naive_utc().checked_add_offset(offset).unwrap_or_else(|| at.naive_utc())
    }

    /// The instants at which the wall clock shows `wall`, as the policies have it.
    fn instants(&self, wall: NaiveDateTime) -> [Option<DateTime<Utc>>; 2] {
        match self.zone.from_local_datetime(&wall) {
            LocalResult::Single(at) => [Some(at.to_utc()), None],
            LocalResult::Ambiguous(first, second) => {
                [Some(first.to_utc()), (self.fold == Fold::Twice).then(|| second.to_utc())]
            }
            LocalResult::None => match self.gap {
                Gap::Skip => [None, None],
                Gap::RunAfter => [self.jump_near(wall), None],
            },
        }
    }

    /// The moment at which the clock jumps over `wall`.
    fn jump_near(&self, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
        let offset = |at: DateTime<Utc>| self.zone.offset_from_utc_datetime(&at.naive_utc()).fix();
        let mut before = self.zone.from_local_datetime(&(wall - JUMP)).earliest()?.to_utc();
        let mut after = self.zone.from_local_datetime(&(wall + JUMP)).latest()?.to_utc();
        let old = offset(before);
        while after - before > TimeDelta::seconds(1) {
            let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
            if offset(middle) == old { before = middle } else { after = middle }
        }
        Some(after)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn schedule(text: &str, zone: &str, gap: Gap, fold: Fold) -> Schedule {
        Schedule::parse(text, zone.parse().unwrap(), gap, fold).unwrap()
    }

    fn next(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
        let times = schedule.next(utc(after), count);
        times.iter().map(|time| time.with_timezone(&schedule.zone()).format("%d %H:%M %z").to_string()).collect()
    }

    #[test]
    fn two_in_the_morning_in_india_is_half_past_eight_in_the_evening_utc() {
        let daily = schedule("0 2 * * *", "Asia/Kolkata", Gap::RunAfter, Fold::Once);
        assert_eq!(
            daily.next(utc("2026-03-28T20:30:00Z"), 2),
            [utc("2026-03-29T20:30:00Z"), utc("2026-03-30T20:30:00Z")]
        );
    }

    #[test]
    fn a_time_that_never_comes_is_skipped_or_run_at_the_jump() {
        // London goes from 01:00 to 02:00 on 29 March 2026, New York from 02:00 to 03:00 on 8 March, Lord Howe from 02:00
        // to 02:30 on 4 October.
        let cases = [
            ("Europe/London", "30 1 * * *", "2026-03-28T12:00:00Z", Gap::Skip, "30 01:30 +0100"),
            ("Europe/London", "30 1 * * *", "2026-03-28T12:00:00Z", Gap::RunAfter, "29 02:00 +0100"),
            ("America/New_York", "30 2 * * *", "2026-03-07T12:00:00Z", Gap::RunAfter, "08 03:00 -0400"),
            ("America/New_York", "30 2 * * *", "2026-03-07T12:00:00Z", Gap::Skip, "09 02:30 -0400"),
            ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00:00Z", Gap::RunAfter, "04 02:30 +1100"),
            ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00:00Z", Gap::Skip, "05 02:15 +1100"),
            ("Asia/Kolkata", "30 1 * * *", "2026-03-28T12:00:00Z", Gap::Skip, "29 01:30 +0530"),
        ];
        for (zone, text, after, gap, expected) in cases {
            assert_eq!(next(&schedule(text, zone, gap, Fold::Once), after, 1), [expected], "{zone} {gap:?}");
        }
    }

    #[test]
    fn a_time_that_comes_twice_is_run_once_or_twice() {
        let cases = [
            ("Europe/London", "30 1 * * *", "2026-10-24T12:00:00Z", ["25 01:30 +0100", "25 01:30 +0000"]),
            ("America/New_York", "30 1 * * *", "2026-10-31T12:00:00Z", ["01 01:30 -0400", "01 01:30 -0500"]),
            ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00:00Z", ["05 01:45 +1100", "05 01:45 +1030"]),
        ];
        for (zone, text, after, both) in cases {
            assert_eq!(next(&schedule(text, zone, Gap::Skip, Fold::Twice), after, 2), both, "{zone}");
            let once = next(&schedule(text, zone, Gap::Skip, Fold::Once), after, 2);
            assert_eq!(once[0], both[0], "{zone}");
            assert_ne!(once[1], both[1], "{zone}");
        }
    }

    #[test]
    fn every_quarter_of_an_hour_stays_so_over_every_jump() {
        for zone in ["Asia/Kolkata", "Europe/London", "America/New_York", "Australia/Lord_Howe"] {
            let quarter = schedule("*/15 * * * *", zone, Gap::Skip, Fold::Twice);
            let times = quarter.between(utc("2026-01-01T00:00:00Z"), utc("2027-01-01T00:00:00Z"), usize::MAX);
            assert_eq!(times.len(), 365 * 24 * 4, "{zone}");
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::minutes(15)), "{zone}");
        }
    }

    #[test]
    fn six_fields_and_nonsense_are_refused() {
        for text in ["0 0 2 * * *", "", "hourly", "61 * * * *", "@daily"] {
            let refused = Schedule::parse(text, Tz::UTC, Gap::Skip, Fold::Once);
            assert!(refused.is_err(), "{text}");
        }
    }

    #[test]
    fn an_expression_that_never_matches_ends_the_search() {
        assert!(schedule("0 0 30 2 *", "UTC", Gap::Skip, Fold::Once).next(utc("2026-01-01T00:00:00Z"), 1).is_empty());
    }

    proptest! {
        #[test]
        fn pieces_of_time_give_the_same_times_as_the_whole(
            zone in prop::sample::select(vec!["Asia/Kolkata", "Europe/London", "America/New_York", "Australia/Lord_Howe"]),
            text in prop::sample::select(vec!["*/7 * * * *", "30 1 * * *", "15 2 * * *", "0 */2 * * *", "45 1 * * 0"]),
            gap in prop::sample::select(vec![Gap::Skip, Gap::RunAfter]),
            fold in prop::sample::select(vec![Fold::Once, Fold::Twice]),
            start in 0_i64..31_000_000,
            cuts in prop::collection::vec(1_i64..200_000, 1..6),
        ) {
            let schedule = schedule(text, zone, gap, fold);
            let first = utc("2026-01-01T00:00:00Z") + TimeDelta::seconds(start);
            let mut pieces = Vec::new();
            let mut from = first;
            for cut in cuts {
                let to = from + TimeDelta::seconds(cut);
                let piece = schedule.between(from, to, usize::MAX);
                prop_assert_eq!(schedule.latest(from, to), piece.last().copied());
                pieces.extend(piece);
                from = to;
            }
            prop_assert_eq!(&pieces, &schedule.between(first, from, usize::MAX));
            prop_assert_eq!(pieces.first().copied(), schedule.next(first, 1).first().copied().filter(|at| *at <= from));
        }
    }
}
