//! The conservation of jobs: at any instant every job is in exactly one place, and the counters say the same.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::job::Queue;
use kv::redis::{self, Value};
use kv::{Kv, KvError, tried};
use serde::{Deserialize, Serialize};
use telemetry::metrics::{Gauge, KeyValue};
use tokio_util::sync::CancellationToken;

use crate::layout::Layout;
use crate::scripts::{CENSUS, call, run};

/// How often a worker counts.
const EVERY: Duration = Duration::from_secs(5);

/// Where every job of a queue was in one instant, and what the counters had added up to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// Jobs on the ordinary list.
    pub waiting: u64,
    /// Jobs in the fast lane.
    pub urgent: u64,
    /// Jobs that wait for their time.
    pub delayed: u64,
    /// Jobs that were in hand when a worker died, waiting to run alone.
    pub suspects: u64,
    /// Dead letters.
    pub dead: u64,
    /// Jobs in hand.
    pub in_flight: u64,
    /// Counters since the beginning. Into the machine: `taken` from the lists, `scheduled` straight to the delayed. Out of it:
    /// `done`, `expired`, `returned` to the lists (due, given back, replayed), `deleted` dead letters, `merged` duplicates.
    /// Beside: `pushed` by our producers, `retried`, `deferred`, `held` in an outage, `dead` buried, `handed_on` by the dead,
    /// `refused` outcomes, `replayed`.
    pub counts: BTreeMap<String, u64>,
}

impl Census {
    /// One counter.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// Jobs that should be somewhere and are not (positive), or are twice (negative). It is 0 unless somebody or something
    /// meddled with the lists, or Redis forgot.
    #[must_use]
    pub fn unaccounted(&self) -> i64 {
        let sum = |counts: &[u64]| counts.iter().map(|count| i64::try_from(*count).unwrap_or(i64::MAX)).sum::<i64>();
        let went_in = sum(&[self.count("taken"), self.count("scheduled")]);
        let came_out = sum(&["done", "expired", "returned", "deleted", "merged"].map(|name| self.count(name)));
        let inside = sum(&[self.in_flight, self.suspects, self.delayed, self.dead]);
        // Foreign producers push uncounted, so more may have come off the lists than our producers put there, never less.
        let pushed = sum(&[self.count("pushed"), self.count("returned")]);
        let arrived = sum(&[self.count("taken"), self.waiting, self.urgent]);
        went_in - came_out - inside + (pushed - arrived).max(0)
    }
}

/// Counts `queue`, in one instant.
pub async fn census(kv: &Kv, queue: Queue) -> Result<Census, KvError> {
    let layout = Layout::new(queue, kv.mode());
    let mut redis = kv.commands();
    // A worker may come or go between the two calls; then the second says so.
    for _ in 0..20 {
        let leases: Vec<String> = redis::cmd("ZRANGE")
            .arg(&layout.leases)
            .arg(0)
            .arg(-1)
            .query_async(&mut redis)
            .await
            .map_err(tried("listing leases"))?;
        let inflight: Vec<_> = leases.iter().map(|lease| layout.inflight(lease)).collect();
        let mut keys: Vec<&str> = vec![
            &layout.ready,
            &layout.urgent,
            &layout.delayed,
            &layout.suspects,
            &layout.dead,
            &layout.counts,
            &layout.leases,
        ];
        keys.extend(inflight.iter().map(String::as_str));
        let answer: Vec<Value> =
            run(&mut redis, &CENSUS, &call(&CENSUS, &keys)).await.map_err(tried("counting a queue"))?;
        if let Some(mut census) = read(&answer) {
            if let Some(intake) = &layout.intake {
                let foreign: u64 =
                    redis::cmd("LLEN").arg(intake).query_async(&mut redis).await.map_err(tried("counting a list"))?;
                census.urgent += foreign;
            }
            return Ok(census);
        }
    }
    let source = (redis::ErrorKind::Client, "leases changed at every try").into();
    Err(KvError { tried: "counting a queue", source })
}

fn read(answer: &[Value]) -> Option<Census> {
    let [gauges @ .., counts] = answer else { return None };
    let mut gauges = gauges.iter().map(|value| redis::from_redis_value_ref::<u64>(value).unwrap_or(0));
    let mut next = || gauges.next().unwrap_or(0);
    Some(Census {
        waiting: next(),
        urgent: next(),
        delayed: next(),
        suspects: next(),
        dead: next(),
        in_flight: next(),
        counts: redis::from_redis_value_ref(counts).unwrap_or_default(),
    })
}

/// Publishes the census of `queue` as metrics until `shutdown`, and raises the alarm when it does not add up.
pub(crate) async fn keep_census(kv: Kv, queue: Queue, shutdown: CancellationToken) {
    let meter = telemetry::metrics::meter();
    let jobs: Gauge<u64> = meter.u64_gauge("queue_jobs").with_description("Jobs of a queue, by where they are").build();
    let unaccounted: Gauge<i64> = meter
        .i64_gauge("queue_unaccounted_jobs")
        .with_description("Enqueued, but neither done, dead, expired, waiting, in hand nor delayed: always 0")
        .build();
    let mut alarmed = 0;
    loop {
        tokio::select! { () = tokio::time::sleep(EVERY) => {}, () = shutdown.cancelled() => return }
        let Ok(census) = census(&kv, queue).await else { continue };
        for (place, count) in [
            ("waiting", census.waiting),
            ("urgent", census.urgent),
            ("delayed", census.delayed),
            ("suspects", census.suspects),
            ("dead", census.dead),
            ("in_flight", census.in_flight),
        ] {
            jobs.record(count, &[KeyValue::new("queue", queue.name()), KeyValue::new("state", place)]);
        }
        let missing = census.unaccounted();
        unaccounted.record(missing, &[KeyValue::new("queue", queue.name())]);
        if missing != 0 && missing != alarmed {
            tracing::error!(queue = %queue, jobs = missing, "jobs are not accounted for");
        }
        alarmed = missing;
    }
}
