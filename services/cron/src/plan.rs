//! How a job is run, and what is due for it at a time. No clock and no database here: the rules only.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::schedule::{Fold, Gap, Schedule};

/// What is done about nominal times at which nobody was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CatchUp {
    /// Nothing.
    None,
    /// The newest of them is run, for all.
    Latest,
    /// Each is run that is not older than `within`, but never more than `at_most` of them, the newest.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the proof over ten thousand times asks for it"))]
    All { within: TimeDelta, at_most: usize },
}

/// What is done when a job is due while it still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// That nominal time is left out.
    Skip,
    /// It waits for the end.
    Wait,
    /// It runs beside.
    Allow,
}

/// How a job is run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The cron expression, on the shop's wall clock unless `zone` says otherwise.
    pub(crate) schedule: &'static str,
    /// The zone, where it is not the shop's.
    pub(crate) zone: Option<chrono_tz::Tz>,
    /// Policy for times that never come.
    pub(crate) gap: Gap,
    /// Policy for times that come twice.
    pub(crate) fold: Fold,
    /// Policy for times that were missed.
    pub(crate) catch_up: CatchUp,
    /// Policy for times at which it still runs.
    pub(crate) overlap: Overlap,
    /// The most it is put off, so that not everything begins in one second. The same on every replica.
    pub(crate) jitter: Duration,
    /// The longest that one attempt may take.
    pub(crate) time_limit: Duration,
    /// Attempts in all.
    pub(crate) attempts: i32,
}

impl Plan {
    /// For jobs of once a day or less: run late rather than not at all, once.
    pub(crate) const fn daily(schedule: &'static str) -> Self {
        Self {
            schedule,
            zone: None,
            gap: Gap::RunAfter,
            fold: Fold::Once,
            catch_up: CatchUp::Latest,
            overlap: Overlap::Wait,
            jitter: Duration::ZERO,
            time_limit: Duration::from_mins(30),
            attempts: 3,
        }
    }

    /// For jobs of several times a day: the next time does what was missed.
    pub(crate) const fn frequent(schedule: &'static str) -> Self {
        Self {
            gap: Gap::Skip,
            fold: Fold::Twice,
            catch_up: CatchUp::None,
            overlap: Overlap::Skip,
            time_limit: Duration::from_mins(4),
            attempts: 2,
            ..Self::daily(schedule)
        }
    }
}

/// How late a run may begin and still be on time.
pub(crate) const GRACE: TimeDelta = TimeDelta::seconds(60);

/// What is due.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// Nominal times to claim, the oldest first.
    pub(crate) run: Vec<DateTime<Utc>>,
    /// The newest nominal time to leave out, and why.
    pub(crate) skip: Option<(DateTime<Utc>, &'static str)>,
    /// How many nominal times the first of `run` stands for besides itself (counted up to 10,000).
    pub(crate) passed_over: usize,
}

/// What is due at `now` when `last` was the newest nominal time that was dealt with.
pub(crate) fn due(
    plan: &Plan,
    schedule: &Schedule,
    job: &str,
    last: DateTime<Utc>,
    now: DateTime<Utc>,
    paused: bool,
) -> Due {
    // A time is due once its jitter has passed; the jitter differs from time to time, so the newest may wait while an
    // older one is due.
    let is_due = |time: &DateTime<Utc>| *time + jitter(plan, job, *time) <= now;
    let newest = || {
        let newest = schedule.latest(last, now)?;
        if is_due(&newest) {
            Some(newest)
        } else {
            schedule.latest(last, newest - TimeDelta::seconds(1)).filter(is_due)
        }
    };
    if paused {
        return Due { skip: newest().map(|time| (time, "the job is paused")), ..Due::default() };
    }
    match plan.catch_up {
        CatchUp::None => match newest() {
            Some(time) if now - time - jitter(plan, job, time) <= GRACE => {
                Due { run: vec![time], passed_over: counted(schedule, last, time), ..Due::default() }
            }
            Some(time) => Due { skip: Some((time, "nobody was there in time")), ..Due::default() },
            None => Due::default(),
        },
        CatchUp::Latest => match newest() {
            Some(time) => Due { run: vec![time], passed_over: counted(schedule, last, time), ..Due::default() },
            None => Due::default(),
        },
        CatchUp::All { within, at_most } => {
            let from = last.max(now - within);
            let mut run = schedule.between(from, now, 100_000);
            run.retain(is_due);
            let excess = run.len().saturating_sub(at_most);
            let too_old = if from > last { schedule.between(last, from, 10_000).len() } else { 0 };
            Due { run: run.split_off(excess), passed_over: excess + too_old, skip: None }
        }
    }
}

fn counted(schedule: &Schedule, last: DateTime<Utc>, time: DateTime<Utc>) -> usize {
    schedule.between(last, time - TimeDelta::seconds(1), 10_000).len()
}

/// How long `job` is put off at the nominal time `time`: the same on every replica, evenly spread over the times.
pub(crate) fn jitter(plan: &Plan, job: &str, time: DateTime<Utc>) -> TimeDelta {
    let most = u64::try_from(plan.jitter.as_millis()).unwrap_or(0);
    if most == 0 {
        return TimeDelta::zero();
    }
    // FNV-1a: stable over versions and machines, which the standard hasher is not.
    let bytes = job.bytes().chain(time.timestamp().to_be_bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    TimeDelta::milliseconds(i64::try_from(hash % most).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn ask(plan: &Plan, last: &str, now: &str, paused: bool) -> Due {
        let schedule = Schedule::parse(plan.schedule, chrono_tz::UTC, plan.gap, plan.fold).unwrap();
        due(plan, &schedule, "job", utc(last), utc(now), paused)
    }

    #[test]
    fn a_daily_job_that_was_missed_for_days_runs_once() {
        let due = ask(&Plan::daily("0 2 * * *"), "2026-01-01T02:00:00Z", "2026-01-05T09:00:00Z", false);
        assert_eq!(due, Due { run: vec![utc("2026-01-05T02:00:00Z")], skip: None, passed_over: 3 });
        assert_eq!(
            ask(&Plan::daily("0 2 * * *"), "2026-01-05T02:00:00Z", "2026-01-05T09:00:00Z", false),
            Due::default()
        );
    }

    #[test]
    fn a_frequent_job_is_run_in_time_or_not_at_all() {
        let plan = Plan::frequent("*/5 * * * *");
        assert_eq!(
            ask(&plan, "2026-01-01T00:00:00Z", "2026-01-01T00:05:59Z", false).run,
            [utc("2026-01-01T00:05:00Z")]
        );
        let late = ask(&plan, "2026-01-01T00:00:00Z", "2026-01-01T00:06:01Z", false);
        assert_eq!((late.run.len(), late.skip.unwrap().0), (0, utc("2026-01-01T00:05:00Z")));
    }

    #[test]
    fn catching_up_on_all_is_guarded_against_floods() {
        let plan =
            Plan { catch_up: CatchUp::All { within: TimeDelta::hours(1), at_most: 3 }, ..Plan::daily("*/5 * * * *") };
        let due = ask(&plan, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", false);
        assert_eq!(due.run, [utc("2026-01-01T23:50:00Z"), utc("2026-01-01T23:55:00Z"), utc("2026-01-02T00:00:00Z")]);
        assert_eq!(due.run.len() + due.passed_over, 24 * 12);
    }

    #[test]
    fn a_paused_job_leaves_its_times_out() {
        let due = ask(&Plan::daily("0 2 * * *"), "2026-01-01T02:00:00Z", "2026-01-05T09:00:00Z", true);
        assert_eq!((due.run.len(), due.skip.unwrap().0), (0, utc("2026-01-05T02:00:00Z")));
    }

    #[test]
    fn jitter_puts_off_by_less_than_its_most_and_the_same_everywhere() {
        let plan = Plan { jitter: Duration::from_secs(30), ..Plan::daily("0 2 * * *") };
        let time = utc("2026-01-02T02:00:00Z");
        let wait = jitter(&plan, "job", time);
        assert!(wait < TimeDelta::seconds(30) && wait == jitter(&plan, "job", time));
        assert_ne!(wait, jitter(&plan, "other", time));
        let schedule = Schedule::parse(plan.schedule, chrono_tz::UTC, plan.gap, plan.fold).unwrap();
        let before = time + wait - TimeDelta::milliseconds(1);
        assert_eq!(due(&plan, &schedule, "job", utc("2026-01-01T02:00:00Z"), before, false), Due::default());
        assert_eq!(due(&plan, &schedule, "job", utc("2026-01-01T02:00:00Z"), time + wait, false).run, [time]);
    }
}
