//! `click.record`: thousands of clicks in one `COPY`, then the transactions that were waiting for them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use anyhow::anyhow;
use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use domain::ids::ClickId;
use domain::jobs::click::RecordClick;
use queue::{BatchHandler, JobContext, JobError, Outcome};
use store::{StoreError, clicks, transactions};
use telemetry::metrics::{Counter, Histogram};
use telemetry::propagation::Carried;

use crate::apply::{ApplyError, rematch};
use crate::parts::Parts;
use crate::workers::POSTGRES_PAUSE;

/// How far ahead of ours a redirector's clock may be.
const AHEAD: TimeDelta = TimeDelta::days(1);

/// See the module.
pub(crate) struct Clicks {
    parts: Parts,
    /// Months whose partition is known to be there.
    months: Mutex<HashSet<NaiveDate>>,
    written: Counter<u64>,
    seconds: Histogram<f64>,
}

/// A click with what it belongs to.
type Arrived<'a> = (&'a RecordClick, &'a Carried);

impl Clicks {
    pub(crate) fn new(parts: Parts) -> Self {
        let meter = telemetry::metrics::meter();
        Self {
            parts,
            months: Mutex::default(),
            written: meter.u64_counter("clicks_written").with_description("Clicks stored for the first time").build(),
            seconds: meter
                .f64_histogram("click_flush_seconds")
                .with_description("Time to store a batch of clicks")
                .build(),
        }
    }

    async fn flush(&self, batch: &[Arrived<'_>]) -> Result<(), ApplyError> {
        let begin = std::time::Instant::now();
        let mut client = self.parts.pool.get().await?;
        self.partitions(&client, batch).await?;
        let written = clicks::record(&mut client, batch).await?;
        self.written.add(written, &[]);
        self.seconds.record(begin.elapsed().as_secs_f64(), &[]);
        drop(client);
        match self.match_waiting(batch).await {
            // The clicks are stored, so there is nothing wrong with their jobs.
            Err(error) if !error.is_transient() => {
                let chain = telemetry::chain(&error);
                tracing::warn!(error.chain = chain, "what waits for these clicks is left to the sweep");
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// In a transaction of its own: it sees every report that did not see these clicks.
    async fn match_waiting(&self, batch: &[Arrived<'_>]) -> Result<(), ApplyError> {
        let ids: Vec<_> = batch.iter().map(|(click, _)| click.click_id).collect();
        let waiting = transactions::unmatched_of_clicks(&self.parts.pool.get().await?, &ids).await?;
        for (network, ids) in waiting {
            let settled = rematch(&self.parts, network, &ids).await?;
            tracing::info!(%network, matched = settled.matched, "transactions found the click they were waiting for");
        }
        Ok(())
    }

    async fn partitions(&self, client: &store::Client, batch: &[Arrived<'_>]) -> Result<(), StoreError> {
        let missing: HashSet<_> = {
            let known = self.months.lock().unwrap_or_else(PoisonError::into_inner);
            let months = batch.iter().filter_map(|(click, _)| month_of(click.click_id));
            months.filter(|month| !known.contains(month)).collect()
        };
        for month in missing {
            clicks::ensure_partitions(client, month, 1).await?;
            self.months.lock().unwrap_or_else(PoisonError::into_inner).insert(month);
        }
        Ok(())
    }

    /// A batch that Postgres refuses is halved until the click that it refuses stands alone.
    async fn store(&self, batch: &[Arrived<'_>]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(batch.len());
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            match self.flush(part).await {
                Ok(()) => outcomes.extend(part.iter().map(|_| Ok(()))),
                Err(error) if !error.is_transient() && part.len() > 1 => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.push(right);
                    parts.push(left);
                }
                Err(error) => {
                    let is_transient = error.is_transient();
                    let error = anyhow::Error::from(error);
                    let text = format!("{error:#}");
                    outcomes.extend(part.iter().map(|_| {
                        Err(if is_transient {
                            JobError::Defer(POSTGRES_PAUSE, anyhow!("{text}"))
                        } else {
                            JobError::Fail(anyhow!("{text}"))
                        })
                    }));
                }
            }
        }
        outcomes
    }
}

impl BatchHandler<RecordClick> for Clicks {
    async fn handle(&self, jobs: Vec<(RecordClick, JobContext)>) -> Vec<Outcome> {
        let now = self.parts.clock.now();
        let problems: Vec<_> = jobs.iter().map(|(click, _)| problem(click, now)).collect();
        let carried: Vec<_> = jobs.iter().map(|(_, context)| context.carried()).collect();
        let good: Vec<_> = jobs
            .iter()
            .zip(&carried)
            .zip(&problems)
            .filter(|(_, problem)| problem.is_none())
            .map(|(((click, _), carried), _)| (click, carried))
            .collect();
        let mut outcomes = self.store(&good).await.into_iter();
        problems
            .into_iter()
            .map(|problem| match problem {
                Some(problem) => Err(JobError::Fail(anyhow!(problem))),
                // What nobody speaks of is not done.
                None => outcomes
                    .next()
                    .unwrap_or_else(|| Err(JobError::Defer(POSTGRES_PAUSE, anyhow!("nothing was said of the click")))),
            })
            .collect()
    }
}

/// What is wrong with a click that no table could take.
fn problem(click: &RecordClick, now: DateTime<Utc>) -> Option<&'static str> {
    let made_at = made_at(click.click_id);
    if made_at.is_none() {
        return Some("the click's id is not a UUIDv7 of our time");
    }
    if made_at.is_some_and(|at| at > now + AHEAD) {
        return Some("the click's id is of a time to come");
    }
    if click.cap.is_some_and(domain::money::Paise::is_negative) {
        return Some("the click's cap is negative");
    }
    None
}

fn made_at(click: ClickId) -> Option<DateTime<Utc>> {
    let at = DateTime::from_timestamp_millis(i64::try_from(click.unix_millis()?).ok()?)?;
    (at.year() >= 2020).then_some(at)
}

fn month_of(click: ClickId) -> Option<NaiveDate> {
    made_at(click)?.date_naive().with_day(1)
}
