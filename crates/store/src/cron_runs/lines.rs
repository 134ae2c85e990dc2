//! Jobs and their runs, as lines for people.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::CronRunId;
use serde_json::Value;
use tokio_postgres::Row;

use crate::statements::query;
use crate::{StoreError, sql};

/// A job with its last run, for people.
#[derive(Debug)]
pub struct JobLine {
    /// The job.
    pub job: String,
    /// What it does.
    pub about: String,
    /// The cron expression.
    pub schedule: String,
    /// Its time zone.
    pub zone: String,
    /// The schedule in words.
    pub words: String,
    /// The next nominal times.
    pub next_runs: Vec<DateTime<Utc>>,
    /// Who paused it, why, and until when.
    pub paused: Option<(String, String, Option<DateTime<Utc>>)>,
    /// Status, nominal time and error of the newest run.
    pub last: Option<LastRun>,
}

/// The newest run of a job.
#[derive(Debug)]
pub struct LastRun {
    /// How it stands.
    pub status: String,
    /// Its nominal time.
    pub scheduled_for: DateTime<Utc>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// What it did.
    pub report: Value,
    /// Why it failed.
    pub error: Option<String>,
}

/// Every job with its last run.
pub async fn jobs(client: &impl GenericClient) -> Result<Vec<JobLine>, StoreError> {
    query(client, sql!("cron_runs/jobs.sql"), &[]).await?.iter().map(job_line).collect()
}

fn job_line(row: &Row) -> Result<JobLine, StoreError> {
    let paused = match (row.try_get::<_, Option<String>>(7)?, row.try_get::<_, Option<String>>(8)?) {
        (Some(by), Some(reason)) => Some((by, reason, row.try_get(9)?)),
        _ => None,
    };
    let last = match row.try_get::<_, Option<String>>(10)? {
        None => None,
        Some(status) => Some(LastRun {
            status,
            scheduled_for: row.try_get(11)?,
            started_at: row.try_get(12)?,
            finished_at: row.try_get(13)?,
            report: row.try_get(14)?,
            error: row.try_get(15)?,
        }),
    };
    Ok(JobLine {
        job: row.try_get(0)?,
        about: row.try_get(1)?,
        schedule: row.try_get(2)?,
        zone: row.try_get(3)?,
        words: row.try_get(4)?,
        next_runs: row.try_get(5)?,
        paused,
        last,
    })
}

/// A run, for people.
#[derive(Debug)]
pub struct RunLine {
    /// The run.
    pub id: CronRunId,
    /// Its job.
    pub job: String,
    /// Its nominal time.
    pub scheduled_for: DateTime<Utc>,
    /// `schedule` or `manual`.
    pub cause: String,
    /// How it stands.
    pub status: String,
    /// Whether it changed nothing.
    pub dry_run: bool,
    /// How often it was tried.
    pub attempt: i32,
    /// Who ran it.
    pub worker: Option<String>,
    /// Who asked for it, and why it was asked for or skipped.
    pub asked: (Option<String>, Option<String>),
    /// What it did.
    pub report: Value,
    /// Why it failed.
    pub error: Option<String>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Runs, the newest first; of one job or of all, with a nominal time before `before`, noted before the run `after`.
pub async fn list(
    client: &impl GenericClient,
    job: Option<&str>,
    before: Option<DateTime<Utc>>,
    after: Option<CronRunId>,
    limit: i64,
) -> Result<Vec<RunLine>, StoreError> {
    let rows = query(client, sql!("cron_runs/list.sql"), &[&job, &before, &after, &limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(RunLine {
                id: row.try_get(0)?,
                job: row.try_get(1)?,
                scheduled_for: row.try_get(2)?,
                cause: row.try_get(3)?,
                status: row.try_get(4)?,
                dry_run: row.try_get(5)?,
                attempt: row.try_get(6)?,
                worker: row.try_get(8)?,
                asked: (row.try_get(9)?, row.try_get(10)?),
                report: row.try_get(11)?,
                error: row.try_get(12)?,
                started_at: row.try_get(13)?,
                finished_at: row.try_get(14)?,
            })
        })
        .collect()
}
