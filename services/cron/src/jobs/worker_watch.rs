//! Looks every minute whether somebody is missing: services without a sign of life, queues that grow old, dead letters that
//! pile up or come fast, networks that are read late, runs that should exist and do not. Notes how queues stand, for the
//! charts.

mod late;
mod silent;

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::job::Queue;
use queue::admin::{self, QueueStats};
use store::upkeep::{self, Sample};
use store::{Transaction, cron_runs};

use crate::alarm;
use crate::job::{Context, CronJob, Report};
use crate::plan::Plan;
use crate::settings::Settings;

pub(crate) struct WorkerWatch;

/// A run may begin this late before it counts as missing.
const RUN_MISSING_S: f64 = 300.0;

#[async_trait]
impl CronJob for WorkerWatch {
    fn name(&self) -> &'static str {
        "worker_watch"
    }

    fn about(&self) -> &'static str {
        "Services, queues, dead letters, networks and runs are looked at; troubles are told once"
    }

    fn plan(&self) -> Plan {
        Plan::frequent("* * * * *")
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        let workers = admin::workers(&context.kv).await?;
        let mut alive: BTreeMap<&str, (i32, DateTime<Utc>)> = BTreeMap::new();
        for worker in &workers {
            let entry = alive.entry(&worker.service).or_insert((0, worker.beat_at));
            *entry = (entry.0 + 1, entry.1.max(worker.beat_at));
        }
        let mut queues = Vec::new();
        for queue in Queue::ALL {
            queues.push(admin::stats(&context.kv, queue).await?);
        }
        let mut client = context.client().await?;
        let transaction = context.begin(&mut client).await?;
        let mut begun = 0;
        begun += silent::look(context, &transaction, &alive).await?;
        begun += late::networks(context, &transaction).await?;
        begun += late::dead_letters(context, &transaction, &queues).await?;
        for stats in &queues {
            upkeep::insert_sample(&transaction, &sample(stats, context.scheduled_for)).await?;
            begun += queue_troubles(&context.settings, &transaction, stats).await?;
        }
        begun += missing_runs(context, &transaction).await?;
        context.commit(transaction).await?;
        let dead: u64 = queues.iter().map(|stats| stats.dead).sum();
        let waiting: u64 = queues.iter().map(|stats| stats.waiting + stats.urgent).sum();
        Ok(Report::new()
            .count("workers", workers.len())
            .count("waiting", waiting)
            .count("dead", dead)
            .count("new_troubles", begun))
    }
}

async fn queue_troubles(settings: &Settings, transaction: &Transaction<'_>, stats: &QueueStats) -> anyhow::Result<u32> {
    let queue = stats.queue;
    let title = format!("Dead letters pile up in {queue}");
    let detail = format!("{} jobs of queue {queue} failed for good. Look at their reasons in the console.", stats.dead);
    let trouble = (stats.dead > settings.watch.dead_letters_limit).then_some((title.as_str(), detail.as_str()));
    let mut begun = set(transaction, settings, &format!("dead-letters:{queue}"), trouble).await?;

    let age = stats.oldest_age_s.unwrap_or(0);
    let title = format!("Queue {queue} is late");
    let paused = if stats.paused { " The queue is paused." } else { "" };
    let detail = format!("The first job has waited for {} min; {} wait.{paused}", age / 60, stats.waiting);
    let trouble = (age > settings.watch.queue_age_limit_s).then_some((title.as_str(), detail.as_str()));
    begun += set(transaction, settings, &format!("queue-late:{queue}"), trouble).await?;
    Ok(begun)
}

/// Runs that should exist and do not, and runs that failed for good.
async fn missing_runs(context: &Context, transaction: &Transaction<'_>) -> anyhow::Result<u32> {
    let (settings, mut begun) = (&context.settings, 0);
    let missing: BTreeMap<_, _> = cron_runs::missing(transaction, RUN_MISSING_S).await?.into_iter().collect();
    for job in cron_runs::jobs(transaction).await? {
        let title = format!("Cron job {} did not run", job.job);
        let detail = missing.get(&job.job).map(|time| format!("Its run for {} does not exist.", time.to_rfc3339()));
        let trouble = detail.as_deref().map(|detail| (title.as_str(), detail));
        begun += set(transaction, settings, &format!("run-missing:{}", job.job), trouble).await?;

        let Some(last) = &job.last else { continue };
        let title = format!("Cron job {} failed", job.job);
        let detail = "All its attempts failed. The console shows why, and can run it again.";
        let key = format!("run-failed:{}", job.job);
        // A run that runs now says nothing yet.
        match last.status.as_str() {
            "failed" => begun += set(transaction, settings, &key, Some((title.as_str(), detail))).await?,
            "succeeded" => begun += set(transaction, settings, &key, None).await?,
            _ => {}
        }
    }
    Ok(begun)
}

/// Raises or settles; 1 when a trouble began.
async fn set(
    transaction: &Transaction<'_>,
    settings: &Settings,
    key: &str,
    trouble: Option<(&str, &str)>,
) -> anyhow::Result<u32> {
    Ok(u32::from(alarm::set(transaction, settings, key, trouble).await? && trouble.is_some()))
}

fn sample(stats: &QueueStats, taken_at: DateTime<Utc>) -> Sample {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Sample {
        queue: stats.queue.name().to_owned(),
        taken_at,
        waiting: number(stats.waiting + stats.urgent),
        in_flight: number(stats.in_flight + stats.suspects),
        delayed: number(stats.delayed),
        dead: number(stats.dead),
        oldest_age_s: stats.oldest_age_s,
        done: number(stats.counts.get("done").copied().unwrap_or(0)),
    }
}
