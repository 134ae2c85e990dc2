//! Claims nominal times in Postgres and runs what it claimed.
//!
//! Any number of replicas do the same. A nominal time belongs to who inserts its row; the row is held by a lease that is
//! renewed while the job runs. A replica that dies, hangs or is paused loses the lease, another one takes the run over
//! with a higher token, and whatever the first one still tries to commit is refused ([`Context::commit`]).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use chassis::Pulse;
use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::Clock;
use domain::ids::{CronRunId, WorkerId};
use futures_util::FutureExt as _;
use kv::Kv;
use store::Pool;
use store::cron_runs::{self, Held, Orphan, Registration, Wanted};
use telemetry::Trail;
use telemetry::metrics::{Counter, Gauge, Histogram, KeyValue};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::job::{Context, CronJob, Report};
use crate::plan::{self, Overlap, Plan};
use crate::schedule::Schedule;
use crate::settings::Settings;

/// How often due times and orphans are looked for.
const TICK: Duration = Duration::from_secs(1);
/// How long a look may take. A Postgres that says nothing must not hold the loop: what was claimed meanwhile is an orphan soon.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long runs may go on after the signal; then they are given back.
const DRAIN: Duration = Duration::from_secs(20);

/// A job with its schedule.
pub(crate) struct Entry {
    pub(crate) job: Box<dyn CronJob>,
    pub(crate) plan: Plan,
    pub(crate) schedule: Schedule,
}

/// Which clock tells the time.
#[derive(Clone)]
pub(crate) enum Time {
    /// The database's: one for all replicas, so no replica's clock can run ahead.
    Database,
    /// One that a test moves.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests move the clock"))]
    Given(Arc<dyn Clock>),
}

struct Meters {
    runs: Counter<u64>,
    seconds: Histogram<f64>,
    overdue: Gauge<i64>,
    lost: Counter<u64>,
}

/// The scheduler. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Scheduler {
    entries: Arc<Vec<Arc<Entry>>>,
    pool: Pool,
    kv: Kv,
    settings: Arc<Settings>,
    time: Time,
    worker: Arc<str>,
    meters: Arc<Meters>,
}

/// A run that this replica claimed and must carry out.
pub(crate) struct Claimed {
    entry: Arc<Entry>,
    held: Held,
    scheduled_for: DateTime<Utc>,
    dry_run: bool,
}

impl Scheduler {
    pub(crate) fn new(entries: Vec<Entry>, pool: Pool, kv: Kv, settings: Arc<Settings>, time: Time) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        // Host names repeat; the id does not.
        let worker = format!("{}:{}", host.trim(), WorkerId::generate());
        let meter = telemetry::metrics::meter();
        let meters = Meters {
            runs: meter.u64_counter("cron_runs").with_description("Runs that ended, by job and outcome").build(),
            seconds: meter.f64_histogram("cron_run_seconds").with_description("How long runs took").build(),
            overdue: meter
                .i64_gauge("expected_run_overdue_seconds")
                .with_description("For how long the run that should exist does not, by job")
                .build(),
            lost: meter.u64_counter("cron_runs_lost").with_description("Runs that another replica took over").build(),
        };
        let entries = Arc::new(entries.into_iter().map(Arc::new).collect());
        Self { entries, pool, kv, settings, time, worker: worker.into(), meters: Arc::new(meters) }
    }

    pub(crate) fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// Works until `shutdown`, then lets runs end or gives them back.
    pub(crate) async fn run(&self, shutdown: CancellationToken, pulse: &Pulse) -> anyhow::Result<()> {
        let runs = TaskTracker::new();
        let stop = CancellationToken::new();
        let mut listener = None;
        let mut registered: Option<DateTime<Utc>> = None;
        while !shutdown.is_cancelled() {
            pulse.beat();
            if listener.is_none() {
                listener = self.pool.listen(&[cron_runs::CHANNEL]).await.ok();
            }
            let turn = tokio::time::timeout(PATIENCE, self.turn(&mut registered)).await;
            match turn.context("Postgres did not answer in time").flatten() {
                Ok(claimed) => {
                    for claimed in claimed {
                        let (scheduler, stop) = (self.clone(), stop.clone());
                        runs.spawn(async move { scheduler.carry_out(claimed, stop).await });
                    }
                }
                Err(error) => tracing::warn!(error.chain = format!("{error:#}"), "the scheduler waits"),
            }
            let asked = async {
                match &mut listener {
                    Some(open) => open.next().await.is_some(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                open = asked => if !open { listener = None },
                () = tokio::time::sleep(TICK) => {}
                () = shutdown.cancelled() => {}
            }
        }
        runs.close();
        if tokio::time::timeout(DRAIN, runs.wait()).await.is_err() {
            tracing::warn!("runs are given back: they did not end in time");
            stop.cancel();
            runs.wait().await;
        }
        Ok(())
    }

    async fn turn(&self, registered: &mut Option<DateTime<Utc>>) -> anyhow::Result<Vec<Claimed>> {
        let now = self.now().await?;
        if registered.is_none_or(|at| now - at >= TimeDelta::seconds(30) || now < at) {
            self.register(now).await?;
            *registered = Some(now);
        }
        let mut claimed = self.claim_due(now).await?;
        claimed.extend(self.take_orphans().await?);
        Ok(claimed)
    }

    pub(crate) async fn now(&self) -> anyhow::Result<DateTime<Utc>> {
        Ok(match &self.time {
            Time::Database => cron_runs::clock(&self.pool.get().await?).await?,
            Time::Given(clock) => clock.now(),
        })
    }

    /// Tells everybody which jobs there are and when they run next.
    pub(crate) async fn register(&self, now: DateTime<Utc>) -> anyhow::Result<()> {
        let client = self.pool.get().await?;
        let mut names = Vec::new();
        for entry in self.entries.iter() {
            let (words, next_runs) = (entry.schedule.words(), entry.schedule.next(now, 3));
            let registration = Registration {
                job: entry.job.name(),
                about: entry.job.about(),
                schedule: entry.schedule.text(),
                zone: entry.schedule.zone().name(),
                words: &words,
                next_runs: &next_runs,
                previous_run: entry.schedule.latest(now - TimeDelta::days(400), now),
            };
            cron_runs::register(&client, &registration, Some(now)).await?;
            names.push(entry.job.name());
        }
        cron_runs::forget_others(&client, &names).await?;
        Ok(())
    }

    /// Claims what is due at `now`.
    pub(crate) async fn claim_due(&self, now: DateTime<Utc>) -> anyhow::Result<Vec<Claimed>> {
        let client = self.pool.get().await?;
        let mut claimed = Vec::new();
        for standing in cron_runs::standing(&client).await? {
            let Some(entry) = self.entries.iter().find(|entry| entry.job.name() == standing.job) else { continue };
            let last = standing.last.map_or(standing.known_since, |last| last.max(standing.known_since));
            let due = plan::due(&entry.plan, &entry.schedule, &standing.job, last, now, standing.paused);
            let overdue = due.run.first().map_or(0, |time| (now - *time).num_seconds());
            self.meters.overdue.record(overdue, &[KeyValue::new("job", entry.job.name())]);
            if let Some((time, why)) = due.skip {
                cron_runs::skip(&client, &standing.job, time, &self.worker, why).await?;
            }
            for (index, time) in due.run.into_iter().enumerate() {
                let wanted = Wanted {
                    id: CronRunId::generate(),
                    job: &standing.job,
                    scheduled_for: time,
                    asked: None,
                    exclusive: entry.plan.overlap != Overlap::Allow,
                    dry_run: false,
                    passed_over: if index == 0 { i32::try_from(due.passed_over).unwrap_or(i32::MAX) } else { 0 },
                };
                if let Some(held) = cron_runs::claim(&client, &wanted, &self.worker, self.settings.lease).await? {
                    claimed.push(Claimed { entry: entry.clone(), held, scheduled_for: time, dry_run: false });
                } else if !cron_runs::exists(&client, &standing.job, time).await? {
                    // Another run of this job runs. The order of times is kept: later ones wait with this one.
                    if entry.plan.overlap == Overlap::Skip {
                        cron_runs::skip(&client, &standing.job, time, &self.worker, "the run before still worked")
                            .await?;
                    } else {
                        break;
                    }
                }
            }
        }
        Ok(claimed)
    }

    /// Takes over runs whose worker is gone, and runs that operators asked for.
    pub(crate) async fn take_orphans(&self) -> anyhow::Result<Vec<Claimed>> {
        let client = self.pool.get().await?;
        let mut claimed = Vec::new();
        for orphan in cron_runs::orphans(&client).await? {
            let Some(entry) = self.entries.iter().find(|entry| entry.job.name() == orphan.job) else { continue };
            if let Some(held) = cron_runs::take(&client, &orphan, &self.worker, self.settings.lease).await? {
                let Orphan { scheduled_for, dry_run, requested, .. } = orphan;
                if !requested {
                    tracing::warn!(job = orphan.job, %scheduled_for, attempt = held.attempt, "a run is taken over");
                }
                claimed.push(Claimed { entry: entry.clone(), held, scheduled_for, dry_run });
            }
        }
        Ok(claimed)
    }

    /// Claims a run that somebody asked for on the command line.
    pub(crate) async fn claim_manual(
        &self,
        entry: &Arc<Entry>,
        at: DateTime<Utc>,
        asked: (&str, &str),
        dry_run: bool,
    ) -> anyhow::Result<Option<Claimed>> {
        let wanted = Wanted {
            id: CronRunId::generate(),
            job: entry.job.name(),
            scheduled_for: at,
            asked: Some(asked),
            exclusive: entry.plan.overlap != Overlap::Allow,
            dry_run,
            passed_over: 0,
        };
        let held = cron_runs::claim(&self.pool.get().await?, &wanted, &self.worker, self.settings.lease).await?;
        Ok(held.map(|held| Claimed { entry: entry.clone(), held, scheduled_for: at, dry_run }))
    }

    /// Runs a claimed run to its end, to its loss, or to `stop`. `None` when it was lost or given back.
    pub(crate) async fn carry_out(&self, claimed: Claimed, stop: CancellationToken) -> Option<Result<Report, String>> {
        let name = claimed.entry.job.name();
        let held = claimed.held;
        let span = Trail::of(None, Some(&held.id.to_string())).open(|| {
            tracing::info_span!(
                parent: None, "cron",
                otel.name = name, job = name, run = %held.id, scheduled_for = %claimed.scheduled_for
            )
        });
        let begin = std::time::Instant::now();
        // Set when the outcome is being written: a run that is not held any more because it has ended is not lost.
        let ending = AtomicBool::new(false);
        let outcome = tokio::select! {
            outcome = self.attempts(&claimed, &ending).instrument(span) => outcome,
            () = self.hold(held, &ending) => {
                self.meters.lost.add(1, &[KeyValue::new("job", name)]);
                tracing::warn!(job = name, run = %held.id, "the run was lost to another replica");
                None
            }
            () = stop.cancelled() => {
                if let Ok(client) = self.pool.get().await {
                    let _lease_runs_out_anyway = cron_runs::give_back(&client, held).await;
                }
                None
            }
        };
        if let Some(result) = &outcome {
            let word = if result.is_ok() { "succeeded" } else { "failed" };
            self.meters.runs.add(1, &[KeyValue::new("job", name), KeyValue::new("outcome", word)]);
            self.meters.seconds.record(begin.elapsed().as_secs_f64(), &[KeyValue::new("job", name)]);
        }
        outcome
    }

    /// Renews the lease; returns when it is lost.
    async fn hold(&self, held: Held, ending: &AtomicBool) {
        let lease = self.settings.lease.to_std().unwrap_or_default();
        let mut renewed = std::time::Instant::now();
        loop {
            tokio::time::sleep(lease / 4).await;
            let answer =
                async { anyhow::Ok(cron_runs::renew(&self.pool.get().await?, held, self.settings.lease).await?) };
            match tokio::time::timeout(lease / 2, answer).await {
                Ok(Ok(true)) => renewed = std::time::Instant::now(),
                Ok(Ok(false)) if ending.load(Ordering::Relaxed) => std::future::pending().await,
                Ok(Ok(false)) => return,
                // Postgres does not answer: nobody can take the run over either, but we cannot know.
                Ok(Err(_)) | Err(_) => {
                    if renewed.elapsed() > lease {
                        return;
                    }
                }
            }
        }
    }

    async fn attempts(&self, claimed: &Claimed, ending: &AtomicBool) -> Option<Result<Report, String>> {
        let Claimed { entry, held, .. } = claimed;
        let mut attempt = held.attempt;
        loop {
            let result = self.attempt(claimed, attempt).await;
            let error = match result {
                Ok(report) => {
                    let report_value = report.clone().into_value();
                    tracing::info!(job = entry.job.name(), report = %report_value, "done");
                    ending.store(true, Ordering::Relaxed);
                    return self.finish(*held, &report_value, None, attempt).await.then_some(Ok(report));
                }
                Err(error) => format!("{error:#}"),
            };
            tracing::warn!(job = entry.job.name(), attempt, error.chain = error, "an attempt failed");
            if attempt >= entry.plan.attempts {
                let nothing = Report::new().into_value();
                ending.store(true, Ordering::Relaxed);
                return self.finish(*held, &nothing, Some(&error), attempt).await.then_some(Err(error));
            }
            attempt += 1;
            if let Ok(client) = self.pool.get().await {
                let _shown_next_time = cron_runs::note_attempt(&client, *held, attempt, &error).await;
            }
            tokio::time::sleep(Duration::from_secs(2_u64.saturating_pow(u32::try_from(attempt).unwrap_or(1)))).await;
        }
    }

    async fn attempt(&self, claimed: &Claimed, attempt: i32) -> anyhow::Result<Report> {
        let Claimed { entry, held, scheduled_for, dry_run } = claimed;
        let context = Context {
            pool: self.pool.clone(),
            kv: self.kv.clone(),
            settings: self.settings.clone(),
            scheduled_for: *scheduled_for,
            now: self.now().await?,
            dry_run: *dry_run,
            held: Held { attempt, ..*held },
        };
        let run = AssertUnwindSafe(entry.job.run(&context)).catch_unwind();
        match tokio::time::timeout(entry.plan.time_limit, run).await {
            Err(_elapsed) => anyhow::bail!("not done within {} s", entry.plan.time_limit.as_secs()),
            Ok(Err(_panic)) => anyhow::bail!("the job panicked"),
            Ok(Ok(result)) => result,
        }
    }

    /// Writes the outcome down, for as long as the run is ours.
    async fn finish(&self, held: Held, report: &serde_json::Value, error: Option<&str>, attempt: i32) -> bool {
        loop {
            let written = async {
                let client = self.pool.get().await.context("no connection")?;
                anyhow::Ok(cron_runs::finish(&client, held, report, error, attempt).await?)
            };
            match written.await {
                Ok(written) => return written,
                Err(error) => tracing::warn!(error.chain = format!("{error:#}"), "the outcome of a run waits"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

#[cfg(test)]
mod tests;
