//! Clicks on their way to Postgres.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use domain::click::ClickClass;
use domain::job::Queue;
use domain::jobs::click::RecordClick;
use kv::redis::AsyncCommands;
use kv::{Kv, keys};
use serde::Serialize;

use super::Classes;
use crate::spool::Level;

/// How much of a list is read; of a longer one the rest is taken to be alike.
const READ: isize = 5_000;
const STEP: isize = 500;
const LIMIT: Duration = Duration::from_secs(2);

/// What waits, and of which class it is.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Waiting {
    /// On the list.
    pub(super) list: u64,
    /// In a worker's hand, or set aside by the queue to be tried again.
    pub(super) in_hand: u64,
    /// In this process' spool.
    pub(super) spool: u64,
    /// Whether the classes of a part are taken from the rest.
    pub(super) estimated: bool,
    #[serde(skip)]
    pub(super) redis_answered: bool,
    #[serde(skip)]
    pub(super) classes: Classes,
    #[serde(skip)]
    pub(super) minutes: BTreeMap<DateTime<Utc>, Classes>,
    #[serde(skip)]
    pub(super) offers: BTreeMap<String, u64>,
    #[serde(skip)]
    pub(super) merchants: BTreeMap<String, u64>,
}

impl Waiting {
    pub(super) fn total(&self) -> u64 {
        self.list + self.in_hand + self.spool
    }

    fn count(&mut self, click: &RecordClick) {
        let class = click.class.word();
        *self.classes.entry(class).or_default() += 1;
        if let Ok(minute) = click.clicked_at.duration_trunc(TimeDelta::minutes(1)) {
            *self.minutes.entry(minute).or_default().entry(class).or_default() += 1;
        }
        if click.class == ClickClass::Human {
            *self.offers.entry(click.offer_id.to_string()).or_default() += 1;
            *self.merchants.entry(click.merchant_id.to_string()).or_default() += 1;
        }
    }

    /// Gives what was not read the classes of what was; all of it human when nothing was read.
    fn estimate(&mut self) {
        let known: u64 = self.classes.values().sum();
        let unknown = self.total().saturating_sub(known);
        self.estimated = unknown > 0;
        let mut left = unknown;
        for clicks in self.classes.values_mut() {
            let share = unknown.saturating_mul(*clicks).checked_div(known).unwrap_or(0);
            *clicks += share;
            left = left.saturating_sub(share);
        }
        *self.classes.entry(ClickClass::Human.word()).or_default() += left;
    }
}

/// Looks at the list, the queue and the spool.
pub(super) async fn look(kv: &Kv, spool: &Level) -> Waiting {
    let mut waiting = Waiting { spool: spool.records(), ..Waiting::default() };
    match tokio::time::timeout(LIMIT, read(kv, &mut waiting)).await {
        Ok(Ok(())) => waiting.redis_answered = true,
        Ok(Err(error)) => {
            tracing::warn!(error.chain = telemetry::chain(&error), "figures without what waits in Redis");
        }
        Err(_elapsed) => tracing::warn!("figures without what waits in Redis: no answer in time"),
    }
    waiting.estimate();
    waiting
}

async fn read(kv: &Kv, waiting: &mut Waiting) -> Result<(), kv::KvError> {
    let stats = queue::admin::stats(kv, Queue::Clicks).await?;
    waiting.list = stats.waiting + stats.urgent;
    waiting.in_hand = stats.in_flight + stats.delayed + stats.suspects;
    let mut redis = kv.commands();
    for from in (0..READ).step_by(STEP.unsigned_abs()) {
        let elements: Vec<Vec<u8>> = redis
            .lrange(keys::ready(Queue::Clicks), from, from + STEP - 1)
            .await
            .map_err(kv::tried("reading waiting clicks"))?;
        for element in &elements {
            let click = queue::Envelope::parse(element).ok();
            if let Some(click) = click.and_then(|envelope| serde_json::from_str(envelope.payload.get()).ok()) {
                waiting.count(&click);
            }
        }
        if elements.len() < STEP.unsigned_abs() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_taken_to_be_like_the_rest() {
        let mut waiting =
            Waiting { list: 1_000, classes: Classes::from([("human", 60), ("bot", 40)]), ..Waiting::default() };
        waiting.estimate();
        assert_eq!((waiting.classes["human"], waiting.classes["bot"], waiting.estimated), (600, 400, true));
        let mut waiting = Waiting { spool: 7, ..Waiting::default() };
        waiting.estimate();
        assert_eq!((waiting.classes["human"], waiting.estimated), (7, true));
        let mut waiting = Waiting { list: 2, classes: Classes::from([("head", 2)]), ..Waiting::default() };
        waiting.estimate();
        assert_eq!((waiting.classes["head"], waiting.classes["human"], waiting.estimated), (2, 0, false));
    }
}
