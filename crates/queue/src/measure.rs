//! What a lane counts of its jobs: for Prometheus, for the minute's histograms in Redis, for the outage gate.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use domain::job::Queue;
use telemetry::metrics::{Counter, HistogramVec, KeyValue, LocalHistogram, histogram};

use crate::execute::Finished;
use crate::histogram::bucket;

/// How often counts leave the process.
const FLUSH: Duration = Duration::from_secs(1);

static WAITS: LazyLock<Option<HistogramVec>> = LazyLock::new(|| {
    histogram("job_wait_seconds", "Time from a job's push to its first start, by queue and kind", &["queue", "kind"])
});
static RUNS: LazyLock<Option<HistogramVec>> =
    LazyLock::new(|| histogram("job_run_seconds", "Time that a job took, by queue and kind", &["queue", "kind"]));

/// How long jobs of one kind waited and ran, counted here and handed over once a second.
struct Times {
    kind: &'static str,
    wait: Option<LocalHistogram>,
    run: Option<LocalHistogram>,
}

impl Times {
    fn of(queue: Queue, kind: &'static str) -> Self {
        let local = |of: &Option<HistogramVec>| Some(of.as_ref()?.with_label_values(&[queue.name(), kind]).local());
        Self { kind, wait: local(&WAITS), run: local(&RUNS) }
    }
}

struct Ended {
    kind: &'static str,
    outcome: &'static str,
    count: u64,
    micros: u64,
}

pub(crate) struct Measures {
    queue: Queue,
    processed: Counter<u64>,
    seconds: Counter<f64>,
    /// How many ended and how long they took, by kind and outcome: so few that looking along them is fastest.
    ended: Vec<Ended>,
    times: Vec<Times>,
    waits: BTreeMap<u8, u64>,
    runs: BTreeMap<u8, u64>,
    ok: u64,
    bad: u64,
    flushed: Instant,
}

impl Measures {
    pub(crate) fn new(queue: Queue) -> Self {
        let meter = telemetry::metrics::meter();
        Self {
            queue,
            processed: meter.u64_counter("jobs_processed").with_description("Jobs by how they ended").build(),
            seconds: meter
                .f64_counter("jobs_run")
                .with_unit("s")
                .with_description("Time that jobs took, added up")
                .build(),
            ended: Vec::new(),
            times: Vec::new(),
            waits: BTreeMap::new(),
            runs: BTreeMap::new(),
            ok: 0,
            bad: 0,
            flushed: Instant::now(),
        }
    }

    /// Counts a job that ended.
    pub(crate) fn ended(&mut self, job: &Finished) {
        let (kind, outcome) = (job.kind, job.outcome);
        match self.ended.iter_mut().find(|ended| ended.kind == kind && ended.outcome == outcome) {
            Some(ended) => (ended.count, ended.micros) = (ended.count + 1, ended.micros + job.run_us),
            None => self.ended.push(Ended { kind, outcome, count: 1, micros: job.run_us }),
        }
        match job.outcome {
            "done" => self.ok += 1,
            // What is buried unread was never tried.
            "retried" | "held" => self.bad += 1,
            "dead" if job.run_us > 0 => self.bad += 1,
            _ => return,
        }
        if !self.times.iter().any(|times| times.kind == kind) {
            self.times.push(Times::of(self.queue, kind));
        }
        let times = self.times.iter().find(|times| times.kind == kind);
        let observe = |of: Option<&LocalHistogram>, micros| {
            of.into_iter().for_each(|histogram| histogram.observe(Duration::from_micros(micros).as_secs_f64()));
        };
        observe(times.and_then(|times| times.run.as_ref()), job.run_us);
        *self.runs.entry(bucket(job.run_us)).or_default() += 1;
        if let Some(wait) = job.wait_us {
            observe(times.and_then(|times| times.wait.as_ref()), wait);
            *self.waits.entry(bucket(wait)).or_default() += 1;
        }
    }

    /// Successes and failures since the last call.
    pub(crate) fn take_outcomes(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.ok), std::mem::take(&mut self.bad))
    }

    /// Fields of the minute's hash with what to add to them, once a second; and feeds Prometheus.
    pub(crate) fn take_due(&mut self, now: bool) -> Vec<(String, u64)> {
        if !now && self.flushed.elapsed() < FLUSH {
            return Vec::new();
        }
        self.flushed = Instant::now();
        for Ended { kind, outcome, count, micros } in self.ended.drain(..) {
            let labels = [
                KeyValue::new("queue", self.queue.name()),
                KeyValue::new("kind", kind),
                KeyValue::new("outcome", outcome),
            ];
            self.processed.add(count, &labels);
            self.seconds.add(Duration::from_micros(micros).as_secs_f64(), &labels);
        }
        for times in &self.times {
            times.wait.iter().chain(&times.run).for_each(LocalHistogram::flush);
        }
        let waits =
            std::mem::take(&mut self.waits).into_iter().map(|(bucket, count)| (format!("wait:{bucket}"), count));
        let runs = std::mem::take(&mut self.runs).into_iter().map(|(bucket, count)| (format!("run:{bucket}"), count));
        waits.chain(runs).collect()
    }
}
