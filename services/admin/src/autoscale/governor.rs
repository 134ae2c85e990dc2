//! How many there should be. No clock, no engine: the rule only.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use config::Reader;
use domain::job::{Queue, UnknownQueue};

/// The rule's numbers.
#[derive(Debug, Clone)]
pub(crate) struct Thresholds {
    /// Whose jobs are counted, waiting and in flight.
    pub(crate) queues: Vec<Queue>,
    /// The fewest.
    min: u32,
    /// The most.
    max: u32,
    /// More jobs than this: the most.
    up_above: u64,
    /// Fewer jobs than this for `down_after`: the fewest.
    down_below: u64,
    down_after: Duration,
    /// How often it is looked.
    pub(crate) poll: Duration,
}

/// Queues by comma.
struct Queues(Vec<Queue>);

impl FromStr for Queues {
    type Err = UnknownQueue;

    fn from_str(text: &str) -> Result<Self, UnknownQueue> {
        text.split(',').map(|name| name.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|queue| queue.name()).collect();
        f.write_str(&names.join(","))
    }
}

impl Thresholds {
    /// Reads `SCALE_*`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let queues = Queues(vec![Queue::Email, Queue::Sms]);
        let thresholds = Self {
            queues: reader
                .default("SCALE_QUEUES", queues, "the queues whose jobs `admin autoscale` counts, by comma")
                .0,
            min: reader.default("SCALE_MIN", 2, "the fewest notifiers"),
            max: reader.default("SCALE_MAX", 5, "the most notifiers"),
            up_above: reader.default("SCALE_UP_ABOVE", 1_000, "with more jobs than this there are the most notifiers"),
            down_below: reader.default("SCALE_DOWN_BELOW", 100, "with fewer jobs than this, for a while, the fewest"),
            down_after: Duration::from_secs(reader.default(
                "SCALE_DOWN_AFTER_S",
                300,
                "how many seconds there must be few jobs before there are fewer notifiers",
            )),
            poll: Duration::from_secs(reader.default("SCALE_POLL_S", 15, "how many seconds between two looks")),
        };
        if thresholds.min == 0 || thresholds.min > thresholds.max {
            reader.problem("SCALE_MIN: must be 1 at least and SCALE_MAX at most");
        }
        if thresholds.down_below > thresholds.up_above {
            reader.problem("SCALE_DOWN_BELOW: must not be above SCALE_UP_ABOVE");
        }
        if thresholds.poll.is_zero() {
            reader.problem("SCALE_POLL_S: must be 1 at least");
        }
        thresholds
    }
}

/// Decides, and remembers since when there has been little to do.
#[derive(Debug)]
pub(crate) struct Governor {
    thresholds: Thresholds,
    quiet_since: Option<Duration>,
}

impl Governor {
    pub(crate) fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, quiet_since: None }
    }

    /// How many there should be, with `depth` jobs and `running` notifiers at a time counted from anywhere. Up at once, down
    /// only after it has been quiet without a break, and in between as it is: so it does not swing.
    pub(crate) fn decide(&mut self, depth: u64, running: u32, now: Duration) -> u32 {
        let Thresholds { min, max, up_above, down_below, down_after, .. } = self.thresholds;
        if depth < down_below {
            let since = *self.quiet_since.get_or_insert(now);
            if now.saturating_sub(since) >= down_after {
                return min;
            }
        } else {
            self.quiet_since = None;
            if depth > up_above {
                return max;
            }
        }
        running.clamp(min, max)
    }
}

#[cfg(test)]
mod tests {
    use config::Map;

    use super::*;

    /// The thresholds of the file that both autoscalers have in common.
    fn thresholds() -> Thresholds {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docker/notifier-scaling.env");
        let text = std::fs::read_to_string(path).unwrap();
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
            line.unwrap_or_else(|| panic!("{key} is in the file")).to_owned()
        };
        let keys = [
            "SCALE_QUEUES",
            "SCALE_MIN",
            "SCALE_MAX",
            "SCALE_UP_ABOVE",
            "SCALE_DOWN_BELOW",
            "SCALE_DOWN_AFTER_S",
            "SCALE_POLL_S",
        ];
        let values = keys.map(value);
        let source = Map::from(std::array::from_fn::<_, 7, _>(|at| (keys[at], values[at].as_str())));
        let mut reader = Reader::new(&source);
        let thresholds = Thresholds::read(&mut reader);
        reader.finish(thresholds).unwrap()
    }

    /// Plays `seconds` with jobs arriving at `arrivals(second)` and notifiers that send 20 a second each; gives the counts
    /// of notifiers one after the other.
    fn play(seconds: u64, mut arrivals: impl FnMut(u64) -> u64) -> (Vec<u32>, u64) {
        let thresholds = thresholds();
        let poll = thresholds.poll.as_secs();
        let mut governor = Governor::new(thresholds);
        let (mut depth, mut running, mut most) = (0_u64, 2_u32, 0);
        let mut counts = vec![running];
        for second in 0..seconds {
            depth = (depth + arrivals(second)).saturating_sub(u64::from(running) * 20);
            most = most.max(depth);
            if second % poll == 0 {
                let wanted = governor.decide(depth, running, Duration::from_secs(second));
                if wanted != running {
                    running = wanted;
                    counts.push(running);
                }
            }
        }
        (counts, most)
    }

    #[test]
    fn from_nothing_to_ten_thousand_to_nothing_is_two_five_two() {
        let (counts, most) = play(1_800, |second| if (60..160).contains(&second) { 220 } else { 0 });
        assert!(most >= 10_000, "{most}");
        assert_eq!(counts, [2, 5, 2]);
    }

    #[test]
    fn jobs_in_waves_change_nothing_once_there_are_enough() {
        // Every two minutes a heap of jobs: between two of them the queue is empty for a minute or more.
        let (counts, _) = play(7_200, |second| if second % 120 == 0 { 4_000 } else { 0 });
        assert_eq!(counts, [2, 5]);
    }

    #[test]
    fn around_the_lower_threshold_nothing_swings() {
        let mut governor = Governor::new(thresholds());
        for look in 0..400_u64 {
            let depth = if look % 3 == 0 { 120 } else { 80 };
            assert_eq!(governor.decide(depth, 5, Duration::from_secs(look * 15)), 5, "look {look}");
        }
    }

    #[test]
    fn what_people_scaled_beyond_the_limits_is_brought_back() {
        let mut governor = Governor::new(thresholds());
        assert_eq!(governor.decide(500, 9, Duration::ZERO), 5);
        assert_eq!(governor.decide(500, 0, Duration::ZERO), 2);
    }

    #[test]
    fn numbers_that_contradict_each_other_are_told() {
        let source = Map::from([("SCALE_MIN", "6"), ("SCALE_DOWN_BELOW", "2000"), ("SCALE_QUEUES", "email,post")]);
        let mut reader = Reader::new(&source);
        let thresholds = Thresholds::read(&mut reader);
        let problems = reader.finish(thresholds).unwrap_err();
        assert_eq!(problems.list().len(), 3, "{problems}");
    }
}
