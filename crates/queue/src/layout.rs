//! Where the parts of one queue lie in Redis.

use std::fmt;
use std::time::Duration;

use domain::clock::{Clock, SystemClock};
use domain::job::Queue;
use kv::{Mode, keys};

/// The keys of one queue, built once. All but `intake` lie in one hash slot.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) queue: Queue,
    pub(crate) ready: String,
    pub(crate) urgent: String,
    /// In a cluster, the list on which foreign producers put urgent jobs: it lies in another slot than the rest, so it
    /// cannot be claimed from in the same step, and is emptied into `urgent`.
    pub(crate) intake: Option<String>,
    pub(crate) leases: String,
    pub(crate) paused: String,
    pub(crate) counts: String,
    pub(crate) suspects: String,
    pub(crate) suspect_turn: String,
    pub(crate) turns: String,
    pub(crate) bucket: String,
    pub(crate) delayed: String,
    pub(crate) dead: String,
    pub(crate) dead_times: String,
    pub(crate) expired: String,
    pub(crate) pulse: String,
    pub(crate) outcomes: String,
    pub(crate) replays: String,
}

impl Layout {
    pub(crate) fn new(queue: Queue, mode: Mode) -> Self {
        let part = |part: &str| keys::of_queue(queue, part);
        let (urgent, intake) = match mode {
            Mode::Single | Mode::Sentinel => (keys::urgent(queue), None),
            Mode::Cluster => (part("urgent"), Some(keys::urgent(queue))),
        };
        Self {
            queue,
            ready: keys::ready(queue),
            urgent,
            intake,
            leases: part("leases"),
            paused: part("paused"),
            counts: part("counts"),
            suspects: part("suspects"),
            suspect_turn: part("suspect_turn"),
            turns: part("turns"),
            bucket: part("bucket"),
            delayed: part("delayed"),
            dead: part("dead"),
            dead_times: part("dead_times"),
            expired: part("expired"),
            pulse: part("pulse"),
            outcomes: part("outcomes"),
            replays: part("replays"),
        }
    }

    /// What a lease has in hand.
    pub(crate) fn inflight(&self, lease: &str) -> String {
        keys::of_queue(self.queue, format_args!("inflight:{lease}"))
    }

    /// The counters of one minute since the epoch; kept for 25 hours.
    pub(crate) fn minute(&self, minute: i64) -> String {
        keys::of_queue(self.queue, format_args!("minute:{minute}"))
    }

    /// The counters of the minute that runs.
    pub(crate) fn this_minute(&self) -> String {
        self.minute(this_minute())
    }

    pub(crate) fn once(&self, key: &str) -> String {
        keys::of_queue(self.queue, format_args!("once:{key}"))
    }
}

/// The minute that runs, since the epoch.
pub(crate) fn this_minute() -> i64 {
    SystemClock.now().timestamp().div_euclid(60)
}

/// How long the counters of a minute are kept: a day, and an hour for whoever looks late.
pub(crate) const MINUTES_KEPT: Duration = Duration::from_secs(25 * 3_600);

/// How a claimed job got here, and so where it goes when it is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Normal,
    Urgent,
    /// It was in hand when a worker died; the number counts such deaths.
    Suspect(u8),
}

impl Lane {
    /// The mark before a body in the delayed set, which says to which list it goes when due.
    pub(crate) const fn mark(self) -> u8 {
        match self {
            Self::Urgent => b'u',
            // A suspect that failed in the ordinary way has shown that it kills nobody.
            Self::Normal | Self::Suspect(_) => b'n',
        }
    }
}

/// The claim of one job: the field under which it is in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) number: u64,
    pub(crate) lane: Lane,
}

impl Claim {
    /// Reads a field. `None` for what this module never wrote.
    pub(crate) fn parse(field: &str) -> Option<Self> {
        let end = field.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(field.len());
        let (number, rest) = field.split_at_checked(end)?;
        let lane = match rest.split_at_checked(1) {
            None => Lane::Normal,
            Some(("u", "")) => Lane::Urgent,
            Some(("s", crashes)) => Lane::Suspect(crashes.parse().ok()?),
            Some(_) => return None,
        };
        Some(Self { number: number.parse().ok()?, lane })
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lane {
            Lane::Normal => self.number.fmt(f),
            Lane::Urgent => write!(f, "{}u", self.number),
            Lane::Suspect(crashes) => write!(f, "{}s{crashes}", self.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_survives_its_field() {
        for lane in [Lane::Normal, Lane::Urgent, Lane::Suspect(2)] {
            let claim = Claim { number: 1_234, lane };
            assert_eq!(Claim::parse(&claim.to_string()), Some(claim));
        }
        for bad in ["", "u", "12x", "12uu", "12s", "-1"] {
            assert_eq!(Claim::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn in_a_cluster_all_that_scripts_touch_lies_in_one_slot() {
        let layout = Layout::new(Queue::Email, Mode::Cluster);
        assert_eq!((layout.ready.as_str(), layout.urgent.as_str()), ("queue:email", "{queue:email}:urgent"));
        assert_eq!(layout.intake.as_deref(), Some("queue:email:urgent"));
        let single = Layout::new(Queue::Email, Mode::Single);
        assert_eq!((single.urgent.as_str(), single.intake), ("queue:email:urgent", None));
    }
}
