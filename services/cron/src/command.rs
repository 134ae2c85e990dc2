//! `cron list` and `cron run`.

use std::io::Write;

use anyhow::Context as _;
use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use clap::Subcommand;
use tokio_util::sync::CancellationToken;

use crate::scheduler::{Entry, Scheduler};

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
}

impl Command {
    pub(crate) async fn run(self, scheduler: &Scheduler) -> anyhow::Result<()> {
        match self {
            Self::List => list(scheduler).await,
            Self::Run { job, at, dry_run, reason } => run(scheduler, &job, at.as_deref(), dry_run, &reason).await,
        }
    }
}

async fn list(scheduler: &Scheduler) -> anyhow::Result<()> {
    let now = scheduler.now().await?;
    // A reader that went away (`cron list | head`) is no error.
    let _closed = std::io::stdout().write_all(listing(scheduler, now).as_bytes());
    Ok(())
}

/// The jobs as text.
pub(crate) fn listing(scheduler: &Scheduler, now: DateTime<Utc>) -> String {
    let one = |entry: &Entry| {
        let zone = entry.schedule.zone();
        let times = entry.schedule.next(now, 3);
        let times: Vec<_> =
            times.iter().map(|time| time.with_timezone(&zone).format("%a %d %b %Y %H:%M").to_string()).collect();
        format!(
            "{}\n    {}\n    {}  ({}, {})\n    next: {}\n",
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
    let Some(entry) = scheduler.entries().iter().find(|entry| entry.job.name() == job) else {
        let names: Vec<_> = scheduler.entries().iter().map(|entry| entry.job.name()).collect();
        anyhow::bail!("there is no job {job:?}; the jobs are {}", names.join(", "));
    };
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
