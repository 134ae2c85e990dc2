//! What a worker can be told, with defaults that are meant to be kept.

use std::time::Duration;

/// How a worker behaves. The defaults recover a killed worker's jobs in less than six seconds.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// How long a lease holds without renewal.
    pub lease: Duration,
    /// How often it is renewed; less than a third of `lease`.
    pub beat: Duration,
    /// How often a queue is looked after: due jobs, dead workers.
    pub tick: Duration,
    /// How long running jobs have after the order to stop.
    pub drain: Duration,
    /// Deaths of a worker that bury the job it ran; 1 to 9.
    pub crash_limit: u8,
    /// When failures are an outage rather than the jobs' own fault.
    pub outage: OutagePolicy,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(5),
            beat: Duration::from_secs(1),
            tick: Duration::from_millis(250),
            drain: Duration::from_secs(25),
            crash_limit: 3,
            outage: OutagePolicy::default(),
        }
    }
}

/// When most of the fleet fails at once, tries are not counted and nothing is buried for them.
#[derive(Debug, Clone, Copy)]
pub struct OutagePolicy {
    /// This many failures in ten seconds, at least, begin an outage…
    pub failures: u32,
    /// …when they are this share of all outcomes, in percent. It ends when successes outnumber failures.
    pub percent: u8,
    /// After this long failures count again, whatever the others do: an outage must not keep broken jobs for ever.
    pub longest: Duration,
}

impl Default for OutagePolicy {
    fn default() -> Self {
        Self { failures: 50, percent: 80, longest: Duration::from_secs(3_600) }
    }
}

/// How fast a queue may go, over all workers together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Jobs a second.
    pub per_second: f64,
    /// Jobs that may start at once after a quiet time; at least 1.
    pub burst: u32,
}
