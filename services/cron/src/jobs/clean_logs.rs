//! Lets old logs go, a whole month at a time. Webhooks are evidence: a month of them goes only when it lies in the archive
//! and was read back from there.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use chrono::{Months, NaiveDate, TimeDelta};
use config::Reader;
use store::upkeep;

use crate::alarm;
use crate::archive::{Archive, month_of};
use crate::depot::{Depot, Place};
use crate::job::{Context, CronJob, Report};
use crate::plan::Plan;

pub(crate) struct CleanLogs;

/// How long what is kept in months is kept, in days.
const KEPT: [(&str, i64); 2] = [("audit_logs", 90), ("dead_letter_log", 90)];
/// What is archived before it goes.
const ARCHIVED: &str = "webhook_logs";
const ARCHIVED_AFTER_DAYS: i64 = 30;
const RUNS_KEPT_DAYS: i32 = 90;
const SAMPLES_KEPT_DAYS: i32 = 8;
/// As long as somebody may tell an event again: a message that is forgotten could be sent twice.
const MESSAGES_KEPT_DAYS: i32 = 400;
/// The rest goes a week later.
const MESSAGES_AT_ONCE: i64 = 100_000;

/// Reads where archives go.
pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Place> {
    reader.optional_parsed(
        "LOG_ARCHIVE_STORE",
        "where webhooks older than 30 days are archived before they are dropped: a directory or s3://bucket/prefix; without it they stay",
    )
}

#[async_trait]
impl CronJob for CleanLogs {
    fn name(&self) -> &'static str {
        "clean_logs"
    }

    fn about(&self) -> &'static str {
        "Old webhooks are archived and dropped; old audit and dead-letter logs, runs, samples and messages go"
    }

    fn plan(&self) -> Plan {
        Plan { time_limit: Duration::from_hours(6), ..Plan::daily("0 5 * * 0") }
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        let mut dropped = 0_u32;
        for (table, days) in KEPT {
            for partition in over(context, table, days).await? {
                let mut client = context.client().await?;
                let transaction = context.begin(&mut client).await?;
                store::archive::lock_and_count(&transaction, table, &partition).await?;
                store::archive::drop_partition(&transaction, table, &partition).await?;
                context.commit(transaction).await?;
                dropped += 1;
            }
        }
        let archived = webhooks(context).await?;
        let mut client = context.client().await?;
        let transaction = context.begin(&mut client).await?;
        let runs = store::cron_runs::delete_older(&transaction, RUNS_KEPT_DAYS).await?;
        let samples = upkeep::delete_samples(&transaction, SAMPLES_KEPT_DAYS).await?;
        let messages = store::notifications::delete_old(&transaction, MESSAGES_KEPT_DAYS, MESSAGES_AT_ONCE).await?;
        context.commit(transaction).await?;
        let report = Report::new().count("months_dropped", dropped).count("runs", runs);
        let report = report.count("webhook_months", archived.months).count("webhooks_archived", archived.rows);
        Ok(report.count("samples", samples).count("messages", messages))
    }
}

/// What was archived and dropped.
#[derive(Default)]
struct Archived {
    months: u32,
    rows: i64,
}

async fn webhooks(context: &Context) -> anyhow::Result<Archived> {
    let months = over(context, ARCHIVED, ARCHIVED_AFTER_DAYS).await?;
    let place = &context.settings.log_archive;
    let missing = format!("{} months wait. Set LOG_ARCHIVE_STORE, or the disk fills.", months.len());
    let trouble =
        (place.is_none() && !months.is_empty()).then_some(("Old webhooks are not archived", missing.as_str()));
    {
        let mut client = context.client().await?;
        let transaction = context.begin(&mut client).await?;
        alarm::set(&transaction, &context.settings, "log-archive-missing", trouble).await?;
        context.commit(transaction).await?;
    }
    let mut done = Archived::default();
    let Some(place) = place else { return Ok(done) };
    if context.dry_run {
        return Ok(Archived { months: u32::try_from(months.len())?, rows: 0 });
    }
    let archive = Archive::new(Depot::open(place, &context.settings.s3)?);
    for partition in months {
        done.rows += archive_and_drop(context, &archive, &partition).await.with_context(|| {
            format!("{partition} was not dropped: it could not be archived, or its archive is not as it should be")
        })?;
        done.months += 1;
    }
    Ok(done)
}

async fn archive_and_drop(context: &Context, archive: &Archive, partition: &str) -> anyhow::Result<i64> {
    let mut client = context.client().await?;
    let manifest = match archive.manifest(partition).await? {
        // A run before this one came as far as this, or somebody restored the month.
        Some(manifest) => manifest,
        None => archive.keep(&client, ARCHIVED, partition, context.now).await?,
    };
    archive.verify(&manifest).await?;
    let transaction = context.begin(&mut client).await?;
    let rows = store::archive::lock_and_count(&transaction, ARCHIVED, partition).await?;
    // Rows of this table are never changed, so as many rows are the same rows.
    ensure!(rows == manifest.rows, "it holds {rows} rows, and the archive {}", manifest.rows);
    store::archive::drop_partition(&transaction, ARCHIVED, partition).await?;
    context.commit(transaction).await?;
    tracing::info!(partition, rows, "a month of webhooks is archived and dropped");
    Ok(rows)
}

/// The months of `table` of which every row is older than `days`.
async fn over(context: &Context, table: &str, days: i64) -> anyhow::Result<Vec<String>> {
    let oldest_kept = (context.now - TimeDelta::days(days)).date_naive();
    let mut partitions = upkeep::partitions_of(&context.client().await?, table).await?;
    partitions.retain(|partition| is_over(partition, table, oldest_kept));
    Ok(partitions)
}

/// Whether every row of the partition `<table>_YYYY_MM` is from before `oldest_kept`.
fn is_over(partition: &str, table: &str, oldest_kept: NaiveDate) -> bool {
    let next = month_of(table, partition).and_then(|first| first.checked_add_months(Months::new(1)));
    next.is_some_and(|next| next <= oldest_kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_over_when_its_last_day_is() {
        let day = |text: &str| text.parse().unwrap();
        assert!(is_over("audit_logs_2026_01", "audit_logs", day("2026-02-01")));
        assert!(!is_over("audit_logs_2026_01", "audit_logs", day("2026-01-31")));
        assert!(is_over("audit_logs_2025_12", "audit_logs", day("2026-01-01")));
        for other in ["audit_logs_default", "audit_logs", "webhook_logs_2020_01"] {
            assert!(!is_over(other, "audit_logs", day("2026-02-01")), "{other}");
        }
    }
}
