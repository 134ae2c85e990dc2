//! Runs of cron jobs: each nominal time claimed once, each claim with a token that the run's own writes check.

mod lines;

use chrono::{DateTime, TimeDelta, Utc};
use deadpool_postgres::{GenericClient, Transaction};
use domain::ids::CronRunId;
use serde_json::Value;

pub use lines::{JobLine, LastRun, RunLine, jobs, list};

use crate::statements::{execute, query, query_one, query_opt};
use crate::{StoreError, sql};

/// The channel on which requested runs are announced.
pub const CHANNEL: &str = "cron";

/// What the scheduler tells of a job, for people.
#[derive(Debug)]
pub struct Registration<'a> {
    /// The job's name.
    pub job: &'a str,
    /// What it does.
    pub about: &'a str,
    /// The cron expression.
    pub schedule: &'a str,
    /// The time zone it is read in.
    pub zone: &'a str,
    /// The schedule in words.
    pub words: &'a str,
    /// The next nominal times.
    pub next_runs: &'a [DateTime<Utc>],
    /// The newest nominal time that has come.
    pub previous_run: Option<DateTime<Utc>>,
}

/// Writes what a job is; `since` is when nominal times begin to count for a job that is new.
pub async fn register(
    client: &impl GenericClient,
    registration: &Registration<'_>,
    since: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let Registration { job, about, schedule, zone, words, next_runs, previous_run } = registration;
    let params: [&(dyn postgres_types::ToSql + Sync); 8] =
        [job, about, schedule, zone, words, next_runs, &since, previous_run];
    execute(client, sql!("cron_runs/register.sql"), &params).await?;
    Ok(())
}

/// Removes jobs that are not in `jobs` any more; their runs stay.
pub async fn forget_others(client: &impl GenericClient, jobs: &[&str]) -> Result<u64, StoreError> {
    execute(client, sql!("cron_runs/forget_others.sql"), &[&jobs]).await
}

/// How a job stands with its nominal times.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The job.
    pub job: String,
    /// Nominal times before it do not count.
    pub known_since: DateTime<Utc>,
    /// Whether an operator paused it.
    pub paused: bool,
    /// The newest nominal time that was claimed or skipped.
    pub last: Option<DateTime<Utc>>,
}

/// How every job stands.
pub async fn standing(client: &impl GenericClient) -> Result<Vec<Standing>, StoreError> {
    let rows = query(client, sql!("cron_runs/standing.sql"), &[]).await?;
    rows.iter()
        .map(|row| {
            Ok(Standing {
                job: row.try_get(0)?,
                known_since: row.try_get(1)?,
                paused: row.try_get::<_, Option<bool>>(2)?.unwrap_or(false),
                last: row.try_get(3)?,
            })
        })
        .collect()
}

/// The database's clock: one for all replicas, whatever theirs say.
pub async fn clock(client: &impl GenericClient) -> Result<DateTime<Utc>, StoreError> {
    Ok(query_one(client, sql!("cron_runs/clock.sql"), &[]).await?.try_get(0)?)
}

/// Jobs that are not paused, with a nominal time that came more than `seconds` ago, after the job was known, and of which
/// no run exists.
pub async fn missing(client: &impl GenericClient, seconds: f64) -> Result<Vec<(String, DateTime<Utc>)>, StoreError> {
    let rows = query(client, sql!("cron_runs/missing.sql"), &[&seconds]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// A run that somebody wants to begin.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The run.
    pub id: CronRunId,
    /// Its job.
    pub job: &'a str,
    /// Its nominal time.
    pub scheduled_for: DateTime<Utc>,
    /// `None`: the schedule. Else who asked, and why.
    pub asked: Option<(&'a str, &'a str)>,
    /// Whether no other run of the job may run beside it.
    pub exclusive: bool,
    /// Whether it must change nothing.
    pub dry_run: bool,
    /// How many earlier nominal times are passed over for it.
    pub passed_over: i32,
}

/// What holds a run: the row and the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The run.
    pub id: CronRunId,
    /// Raised by every claim.
    pub token: i64,
    /// Which attempt this is, from 1.
    pub attempt: i32,
}

/// Claims the nominal time; `None` when somebody else did, or an exclusive run of the job runs.
pub async fn claim(
    client: &impl GenericClient,
    wanted: &Wanted<'_>,
    worker: &str,
    lease: TimeDelta,
) -> Result<Option<Held>, StoreError> {
    let cause = if wanted.asked.is_some() { "manual" } else { "schedule" };
    let (by, reason) = wanted.asked.unzip();
    let params: [&(dyn postgres_types::ToSql + Sync); 11] = [
        &wanted.id,
        &wanted.job,
        &wanted.scheduled_for,
        &cause,
        &wanted.exclusive,
        &wanted.passed_over,
        &worker,
        &seconds(lease),
        &by,
        &reason,
        &wanted.dry_run,
    ];
    let row = query_opt(client, sql!("cron_runs/claim.sql"), &params).await?;
    row.map(|row| Ok(Held { id: wanted.id, token: row.try_get(0)?, attempt: 1 })).transpose()
}

fn seconds(duration: TimeDelta) -> f64 {
    duration.to_std().unwrap_or_default().as_secs_f64()
}

/// Whether the nominal time is taken.
pub async fn exists(client: &impl GenericClient, job: &str, time: DateTime<Utc>) -> Result<bool, StoreError> {
    Ok(query_one(client, sql!("cron_runs/exists.sql"), &[&job, &time]).await?.try_get(0)?)
}

/// Notes that a nominal time was left out, and why. Says whether this call was the one.
pub async fn skip(
    client: &impl GenericClient,
    job: &str,
    time: DateTime<Utc>,
    worker: &str,
    reason: &str,
) -> Result<bool, StoreError> {
    let id = CronRunId::generate();
    Ok(execute(client, sql!("cron_runs/skip.sql"), &[&id, &job, &time, &worker, &reason]).await? == 1)
}

/// Holds the run for `lease` from now; `false` when it is lost.
pub async fn renew(client: &impl GenericClient, held: Held, lease: TimeDelta) -> Result<bool, StoreError> {
    Ok(execute(client, sql!("cron_runs/renew.sql"), &[&held.id, &held.token, &seconds(lease)]).await? == 1)
}

/// A run that waits for somebody: its worker is gone, or an operator asked for it.
#[derive(Debug)]
pub struct Orphan {
    /// The run as last held.
    pub held: Held,
    /// Its job.
    pub job: String,
    /// Its nominal time.
    pub scheduled_for: DateTime<Utc>,
    /// Whether it must change nothing.
    pub dry_run: bool,
    /// Whether an operator asked for it and nobody began it.
    pub requested: bool,
}

/// Runs that wait for somebody.
pub async fn orphans(client: &impl GenericClient) -> Result<Vec<Orphan>, StoreError> {
    let rows = query(client, sql!("cron_runs/orphans.sql"), &[]).await?;
    rows.iter()
        .map(|row| {
            Ok(Orphan {
                held: Held { id: row.try_get(0)?, token: row.try_get(3)?, attempt: row.try_get(4)? },
                job: row.try_get(1)?,
                scheduled_for: row.try_get(2)?,
                dry_run: row.try_get(5)?,
                requested: row.try_get::<_, String>(6)? == "requested",
            })
        })
        .collect()
}

/// Takes a run over; `None` when somebody else did, or it came back.
pub async fn take(
    client: &impl GenericClient,
    orphan: &Orphan,
    worker: &str,
    lease: TimeDelta,
) -> Result<Option<Held>, StoreError> {
    let params: [&(dyn postgres_types::ToSql + Sync); 4] =
        [&orphan.held.id, &orphan.held.token, &worker, &seconds(lease)];
    match query_opt(client, sql!("cron_runs/take.sql"), &params).await {
        Ok(row) => {
            row.map(|row| Ok(Held { id: orphan.held.id, token: row.try_get(0)?, attempt: row.try_get(1)? })).transpose()
        }
        // Another run of the job began in the same moment; this one is taken later.
        Err(error) if error.violated() == Some("cron_runs_one_running") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Notes that an attempt failed and another one follows; `false` when the run is lost.
pub async fn note_attempt(
    client: &impl GenericClient,
    held: Held,
    attempt: i32,
    error: &str,
) -> Result<bool, StoreError> {
    Ok(execute(client, sql!("cron_runs/note_attempt.sql"), &[&held.id, &held.token, &attempt, &error]).await? == 1)
}

/// Ends a run; `false` when it was lost, and then nothing was written.
pub async fn finish(
    client: &impl GenericClient,
    held: Held,
    report: &Value,
    error: Option<&str>,
    attempt: i32,
) -> Result<bool, StoreError> {
    let status = if error.is_none() { "succeeded" } else { "failed" };
    let params: [&(dyn postgres_types::ToSql + Sync); 6] = [&held.id, &held.token, &status, report, &error, &attempt];
    Ok(execute(client, sql!("cron_runs/finish.sql"), &params).await? == 1)
}

/// Commits a job's own writes if its run is still held, in one round trip: between the check and the commit there is no
/// moment in which this process could be paused. SQLSTATE `CR001` when the run is lost.
pub async fn commit(transaction: Transaction<'_>, held: Held) -> Result<(), StoreError> {
    let text = format!("SELECT cron_fence('{}', {}); COMMIT AND CHAIN", held.id, held.token);
    transaction.batch_execute(&text).await?;
    // The driver does not know that the transaction is over, and ends the empty one behind it: without one the server warns.
    transaction.commit().await?;
    Ok(())
}

/// Whether the run is still held.
pub async fn is_held(client: &impl GenericClient, held: Held) -> Result<bool, StoreError> {
    Ok(query_one(client, sql!("cron_runs/is_held.sql"), &[&held.id, &held.token]).await?.try_get(0)?)
}

/// Gives a run back, for another replica to take at once.
pub async fn give_back(client: &impl GenericClient, held: Held) -> Result<(), StoreError> {
    execute(client, sql!("cron_runs/give_back.sql"), &[&held.id, &held.token]).await?;
    Ok(())
}

/// Asks for a run as soon as somebody is free; `false` when that nominal time is taken.
pub async fn request(
    client: &impl GenericClient,
    id: CronRunId,
    job: &str,
    at: Option<DateTime<Utc>>,
    by: &str,
    reason: &str,
    dry_run: bool,
) -> Result<bool, StoreError> {
    Ok(execute(client, sql!("cron_runs/request.sql"), &[&id, &job, &at, &by, &reason, &dry_run]).await? == 1)
}

/// Stops the schedule of a job, for ever or until a time; `false` when there is no such job.
pub async fn pause(
    client: &impl GenericClient,
    job: &str,
    by: &str,
    reason: &str,
    until: Option<DateTime<Utc>>,
) -> Result<bool, StoreError> {
    Ok(execute(client, sql!("cron_runs/pause.sql"), &[&job, &by, &reason, &until]).await? == 1)
}

/// Lets the schedule of a job go on; `false` when there is no such job.
pub async fn resume(client: &impl GenericClient, job: &str) -> Result<bool, StoreError> {
    Ok(execute(client, sql!("cron_runs/resume.sql"), &[&job]).await? == 1)
}

/// Deletes runs that ended more than `days` ago, but never a job's newest; returns how many.
pub async fn delete_older(client: &impl GenericClient, days: i32) -> Result<u64, StoreError> {
    execute(client, sql!("cron_runs/delete_older.sql"), &[&days]).await
}
