//! Lets old logs go, a whole month at a time.

use async_trait::async_trait;
use chrono::{Months, NaiveDate, TimeDelta};
use store::upkeep;

use crate::job::{Context, CronJob, Report};
use crate::plan::Plan;

pub(crate) struct CleanLogs;

/// How long what is kept in months is kept, in days.
const KEPT: [(&str, i64); 2] = [("audit_logs", 90), ("dead_letter_log", 90)];
const RUNS_KEPT_DAYS: i32 = 90;
const SAMPLES_KEPT_DAYS: i32 = 8;
/// As long as somebody may tell an event again: a message that is forgotten could be sent twice.
const MESSAGES_KEPT_DAYS: i32 = 400;
/// The rest goes a week later.
const MESSAGES_AT_ONCE: i64 = 100_000;

#[async_trait]
impl CronJob for CleanLogs {
    fn name(&self) -> &'static str {
        "clean_logs"
    }

    fn about(&self) -> &'static str {
        "Audit and dead-letter logs, runs, samples and messages older than their time go"
    }

    fn plan(&self) -> Plan {
        Plan::daily("0 5 * * 0")
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        let mut client = context.client().await?;
        let transaction = context.begin(&mut client).await?;
        let mut dropped = 0_u32;
        for (table, days) in KEPT {
            let oldest_kept = (context.now - TimeDelta::days(days)).date_naive();
            for partition in upkeep::partitions_of(&transaction, table).await? {
                if is_over(&partition, table, oldest_kept) {
                    upkeep::drop_partition(&transaction, table, &partition).await?;
                    dropped += 1;
                }
            }
        }
        let runs = store::cron_runs::delete_older(&transaction, RUNS_KEPT_DAYS).await?;
        let samples = upkeep::delete_samples(&transaction, SAMPLES_KEPT_DAYS).await?;
        let messages = store::notifications::delete_old(&transaction, MESSAGES_KEPT_DAYS, MESSAGES_AT_ONCE).await?;
        context.commit(transaction).await?;
        let report = Report::new().count("partitions_dropped", dropped).count("runs", runs);
        Ok(report.count("samples", samples).count("messages", messages))
    }
}

/// Whether every row of the partition `<table>_YYYY_MM` is from before `oldest_kept`.
fn is_over(partition: &str, table: &str, oldest_kept: NaiveDate) -> bool {
    let month = partition.strip_prefix(table).and_then(|rest| rest.strip_prefix('_'));
    let first = month.and_then(|month| NaiveDate::parse_from_str(&format!("{month}_01"), "%Y_%m_%d").ok());
    first.and_then(|first| first.checked_add_months(Months::new(1))).is_some_and(|next| next <= oldest_kept)
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
