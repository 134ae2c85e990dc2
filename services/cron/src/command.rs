//! The command line: what there is, run it now, leave it out for a while, and what it archived.

mod archive;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use anyhow::Context as _;
use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use clap::Subcommand;
use store::audit::{self, Action};
use store::{Pool, cron_runs};
use tokio_util::sync::CancellationToken;

use crate::scheduler::{Entry, Scheduler};
use crate::settings::Settings;

/// What can be asked on the command line.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the jobs, their schedules in words, and their next three runs
    List,
    /// Run a job here and now, and wait for its end
    Run {
        /// The job's name
        job: String,
        /// The nominal time to run it for, as 2026-01-31T02:00 on the job's wall clock or with an offset; now by default
        #[arg(long)]
        at: Option<String>,
        /// Do everything, then undo it
        #[arg(long)]
        dry_run: bool,
        /// Why; it is kept with the run
        #[arg(long, default_value = "asked for on the command line")]
        reason: String,
    },
    /// Leave a job's times out, until a time or until `cron resume`
    Pause {
        /// The job's name
        job: String,
        /// Why; it is shown
        #[arg(long)]
        reason: String,
        /// Until when, as 2026-01-31T02:00 on the job's wall clock or with an offset; for ever by default
        #[arg(long)]
        until: Option<String>,
    },
    /// Let a paused job run by its schedule again
    Resume {
        /// The job's name
        job: String,
        /// Why; it is kept in the audit log
        #[arg(long, default_value = "asked for on the command line")]
        reason: String,
    },
    /// Look into archived logs, or put a month of them back
    #[command(subcommand)]
    Archive(archive::Command),
}

impl Command {
    pub(crate) async fn run(self, scheduler: &Scheduler, settings: &Settings, pool: &Pool) -> anyhow::Result<()> {
        match self {
            Self::List => list(scheduler, pool).await,
            Self::Run { job, at, dry_run, reason } => run(scheduler, &job, at.as_deref(), dry_run, &reason).await,
            Self::Pause { job, reason, until } => {
                let zone = known(scheduler, &job)?.schedule.zone();
                let until = until.map(|text| time(&text, zone)).transpose()?;
                steer(pool, &job, Order::Pause(until), &reason).await
            }
            Self::Resume { job, reason } => {
                known(scheduler, &job)?;
                steer(pool, &job, Order::Resume, &reason).await
            }
            Self::Archive(command) => command.run(settings, pool).await,
        }
    }
}

fn known<'a>(scheduler: &'a Scheduler, job: &str) -> anyhow::Result<&'a Arc<Entry>> {
    scheduler.entries().iter().find(|entry| entry.job.name() == job).with_context(|| {
        let names: Vec<_> = scheduler.entries().iter().map(|entry| entry.job.name()).collect();
        format!("there is no job {job:?}; the jobs are {}", names.join(", "))
    })
}

/// What becomes of a job's schedule.
enum Order {
    Pause(Option<DateTime<Utc>>),
    Resume,
}

/// Does it and writes it down, both or neither.
async fn steer(pool: &Pool, job: &str, order: Order, reason: &str) -> anyhow::Result<()> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await.context("a transaction could not begin")?;
    let (action, known) = match order {
        Order::Pause(until) => ("cron.pause", cron_runs::pause(&transaction, job, "cli", reason, until).await?),
        Order::Resume => ("cron.resume", cron_runs::resume(&transaction, job).await?),
    };
    anyhow::ensure!(known, "{job} was never registered: no scheduler has run yet");
    let target = format!("cron:{job}");
    let action = Action { actor: "cli", role: "cli", action, target: &target, reason, ..Action::default() };
    audit::insert(&transaction, &action).await?;
    transaction.commit().await.context("the order was not committed")
}

async fn list(scheduler: &Scheduler, pool: &Pool) -> anyhow::Result<()> {
    let now = scheduler.now().await?;
    let jobs = cron_runs::jobs(&pool.get().await?).await?;
    let paused = jobs.into_iter().filter_map(|job| {
        let (by, reason, until) = job.paused.filter(|(_, _, until)| until.is_none_or(|until| until > now))?;
        let zone = job.zone.parse().unwrap_or(chrono_tz::UTC);
        let until = until.map_or("for ever".to_owned(), |until| format!("until {}", shown(until, zone)));
        Some((job.job, format!("paused {until} by {by}: {reason}")))
    });
    // A reader that went away (`cron list | head`) is no error.
    let _closed = std::io::stdout().write_all(listing(scheduler, now, &paused.collect()).as_bytes());
    Ok(())
}

fn shown(time: DateTime<Utc>, zone: chrono_tz::Tz) -> String {
    time.with_timezone(&zone).format("%a %d %b %Y %H:%M").to_string()
}

/// The jobs as text, with what is said of those that are paused.
pub(crate) fn listing(scheduler: &Scheduler, now: DateTime<Utc>, paused: &BTreeMap<String, String>) -> String {
    let one = |entry: &Entry| {
        let zone = entry.schedule.zone();
        let times = entry.schedule.next(now, 3);
        let times: Vec<_> = times.iter().map(|time| shown(*time, zone)).collect();
        let paused = paused.get(entry.job.name()).map(|text| format!("    {text}\n")).unwrap_or_default();
        format!(
            "{}\n    {}\n    {}  ({}, {})\n{paused}    next: {}\n",
            entry.job.name(),
            entry.job.about(),
            entry.schedule.words().trim_end_matches('.'),
            entry.schedule.text(),
            zone.name(),
            times.join(", "),
        )
    };
    let listed: Vec<_> = scheduler.entries().iter().map(|entry| one(entry)).collect();
    listed.concat()
}

async fn run(scheduler: &Scheduler, job: &str, at: Option<&str>, dry_run: bool, reason: &str) -> anyhow::Result<()> {
    let entry = known(scheduler, job)?;
    let at = match at {
        None => scheduler.now().await?,
        Some(text) => time(text, entry.schedule.zone())?,
    };
    let claimed = scheduler.claim_manual(entry, at, ("cli", reason), dry_run).await?.with_context(|| {
        format!("{job} has a run for {at} already, or one that runs just now; `--at` takes another nominal time")
    })?;
    match scheduler.carry_out(claimed, CancellationToken::new()).await {
        Some(Ok(report)) => {
            let _closed = writeln!(std::io::stdout(), "{}", report.into_value());
            Ok(())
        }
        Some(Err(error)) => Err(anyhow::anyhow!("{job} failed: {error}")),
        None => Err(anyhow::anyhow!("{job} was taken over by another replica; `cron list` and the console show it")),
    }
}

fn time(text: &str, zone: chrono_tz::Tz) -> anyhow::Result<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let wall = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .with_context(|| {
            format!("{text:?} is no time (2026-01-31T02:00, or with an offset 2026-01-31T02:00:00+05:30)")
        })?;
    let time = zone.from_local_datetime(&wall).earliest();
    Ok(time.with_context(|| format!("the wall clock of {zone} never shows {text}"))?.to_utc())
}
