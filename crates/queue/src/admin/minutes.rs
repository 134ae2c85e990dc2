//! The last day, minute by minute, for charts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::job::Queue;
use kv::{Kv, KvError, redis, tried};
use serde::{Deserialize, Serialize};

use crate::histogram::quantile;
use crate::layout::{Layout, this_minute};

/// What happened to a queue in one minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// When it began.
    pub at: DateTime<Utc>,
    /// Jobs that our producers pushed; foreign producers' are not counted here.
    pub enqueued: u64,
    /// Jobs done.
    pub done: u64,
    /// Tries that failed and will be repeated.
    pub retried: u64,
    /// Jobs put off without a try.
    pub deferred: u64,
    /// Jobs that failed in an outage, not counted as tries.
    pub held: u64,
    /// Jobs buried.
    pub dead: u64,
    /// Jobs dropped because they came too late.
    pub expired: u64,
    /// Dead letters replayed.
    pub replayed: u64,
    /// Half of the jobs started within this time of their push, in microseconds.
    pub wait_p50_us: Option<u64>,
    /// 99 of 100 jobs did.
    pub wait_p99_us: Option<u64>,
    /// Half of the jobs ran no longer than this, in microseconds.
    pub run_p50_us: Option<u64>,
    /// 99 of 100 jobs did.
    pub run_p99_us: Option<u64>,
}

/// The last `count` minutes, the oldest first, the running one last; a day and an hour are kept.
pub async fn minutes(kv: &Kv, queue: Queue, count: u16) -> Result<Vec<Minute>, KvError> {
    let layout = Layout::new(queue, kv.mode());
    let last = this_minute();
    let first = last - i64::from(count.clamp(1, 1_500)) + 1;
    let wanted: Vec<i64> = (first..=last).collect();
    let mut found = Vec::with_capacity(wanted.len());
    for chunk in wanted.chunks(500) {
        let mut pipe = redis::pipe();
        for minute in chunk {
            pipe.hgetall(layout.minute(*minute));
        }
        let read: Vec<BTreeMap<String, u64>> =
            pipe.query_async(&mut kv.commands()).await.map_err(tried("reading a queue's minutes"))?;
        found.extend(chunk.iter().zip(read).map(|(minute, fields)| summed(*minute, &fields)));
    }
    Ok(found)
}

fn summed(minute: i64, fields: &BTreeMap<String, u64>) -> Minute {
    let count = |name: &str| fields.get(name).copied().unwrap_or(0);
    let counts = |prefix: &str| {
        let mut counts: Vec<(u8, u64)> = fields
            .iter()
            .filter_map(|(field, count)| Some((field.strip_prefix(prefix)?.parse().ok()?, *count)))
            .collect();
        counts.sort_unstable();
        counts
    };
    let (waits, runs) = (counts("wait:"), counts("run:"));
    Minute {
        at: DateTime::from_timestamp(minute * 60, 0).unwrap_or_default(),
        enqueued: count("enqueued"),
        done: count("done"),
        retried: count("retried"),
        deferred: count("deferred"),
        held: count("held"),
        dead: count("dead"),
        expired: count("expired"),
        replayed: count("replayed"),
        wait_p50_us: quantile(&waits, 50),
        wait_p99_us: quantile(&waits, 99),
        run_p50_us: quantile(&runs, 50),
        run_p99_us: quantile(&runs, 99),
    }
}
