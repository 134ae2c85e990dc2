//! What a lane does a few times a second besides jobs: due jobs, dead leases, the watchdog, measures.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kv::redis::{self, RedisError};

use super::Lane;
use crate::circuit::Passage;
use crate::intake;
use crate::layout::{MINUTES_KEPT, this_minute};
use crate::scripts::{CALL_LIMIT, OUTAGE, REAP, TICK, call, run};
use crate::verdict::{End, give_back, millis};

/// A gap this long in which no worker looked after a queue means that Redis, or everybody, was away.
const OUTAGE_GAP: Duration = Duration::from_secs(2);
/// How long everybody then has to renew a lease: more than two of the lease thread's tries.
const GRACE: Duration = Duration::from_millis(2_500);
/// How long jobs may wait with room for them before a lane counts as stuck.
const STUCK: Duration = Duration::from_secs(10);
/// Calls of one tick for a dead lease, 500 jobs each.
const REAPS: usize = 20;
/// How often outcomes are reported to the outage gate.
const REPORT: Duration = Duration::from_secs(1);

impl Lane {
    /// Looks after the queue. Gives the time until the next look.
    pub(super) async fn tick(&mut self) -> Result<Duration, RedisError> {
        self.turn_the_minute();
        let layout = &self.layout;
        let mut cmd = call(
            &TICK,
            &[
                &layout.delayed,
                &layout.ready,
                &layout.urgent,
                &layout.leases,
                &layout.counts,
                &layout.pulse,
                &layout.suspects,
                &self.inflight,
            ],
        );
        cmd.arg(&self.lease).arg(millis(OUTAGE_GAP)).arg(millis(GRACE));
        let (moved, due, dead, waiting, suspects, held, in_flight): (usize, i64, String, usize, usize, i64, usize) =
            run(&mut self.redis, &TICK, &cmd).await?;
        self.note_up();
        self.vitals.answered(self.slot);
        if held == 0 {
            self.lose_lease().await?;
        } else if in_flight > self.known.len() {
            self.look_up_forgotten().await?;
        }
        let found_dead = !dead.is_empty();
        if found_dead {
            self.reap(&dead).await?;
        }
        if let Some(list) = &self.layout.intake {
            let (vitals, slot) = (&self.vitals, self.slot);
            intake::empty(&mut self.redis, list, &self.layout, || vitals.looped(slot)).await?;
        }
        self.suspects = suspects;
        // A wake-up that was lost costs no more than a tick.
        if (waiting > 0 || suspects > 0) && self.room() > 0 {
            self.eager = true;
        }
        if self.alone && self.permit.is_none() && self.in_hand > 0 {
            // Somebody else may have run the suspects meanwhile.
            self.alone = false;
            self.eager = true;
        }
        self.watch_over(waiting);
        self.return_what_waits();
        if self.next_report <= Instant::now() || self.circuit.is_some() {
            self.next_report = Instant::now() + REPORT;
            self.report_outcomes().await?;
        }
        self.flush_measures(false).await?;
        if moved == CALL_LIMIT || found_dead {
            return Ok(Duration::ZERO);
        }
        Ok(u64::try_from(due)
            .map_or(self.settings.tick, |due| self.settings.tick.min(Duration::from_millis(due.max(1)))))
    }

    fn turn_the_minute(&mut self) {
        let minute = this_minute();
        if minute != self.minute {
            self.minute = minute;
            self.minute_key = self.layout.minute(minute);
        }
    }

    /// Hands on what a dead lease had in hand.
    async fn reap(&mut self, dead: &str) -> Result<(), RedisError> {
        for _ in 0..REAPS {
            // Each call is short enough for the loop to live; twenty at a slow Redis are not.
            self.vitals.looped(self.slot);
            let layout = &self.layout;
            let inflight = layout.inflight(dead);
            let mut cmd = call(&REAP, &[&layout.leases, &inflight, &layout.suspects, &layout.counts, &layout.turns]);
            cmd.arg(dead);
            let (moved, more): (i64, i64) = run(&mut self.redis, &REAP, &cmd).await?;
            self.vitals.answered(self.slot);
            if moved > 0 {
                tracing::warn!(
                    queue = %self.layout.queue, lease = dead, jobs = moved,
                    "a worker died; its jobs are handed on"
                );
            }
            if more != 1 {
                break;
            }
        }
        Ok(())
    }

    /// The watchdog: jobs wait, there is room for them, and none is claimed.
    fn watch_over(&mut self, waiting: usize) {
        if waiting == 0 || self.room() == 0 || self.probing {
            self.idle_since = None;
        } else {
            self.idle_since.get_or_insert_with(Instant::now);
        }
        let stuck = self.idle_since.is_some_and(|since| since.elapsed() > STUCK);
        if stuck {
            tracing::error!(queue = %self.layout.queue, waiting, "jobs wait and none is claimed; connecting anew");
            self.idle_since = None;
            self.disarm();
            self.redis.reset();
        }
        self.vitals.stuck(self.slot, stuck);
    }

    /// A job that was claimed and cannot start is better off with somebody else.
    fn return_what_waits(&mut self) {
        let tick = self.settings.tick;
        while self.running >= self.concurrency
            && let Some((job, _)) = self.backlog.pop_back_if(|(_, since)| since.elapsed() > tick)
        {
            self.in_hand = self.in_hand.saturating_sub(1);
            self.ledger.add(job.claim, End::Settle(give_back(job.body)));
        }
        self.vitals.in_hand(self.slot, self.in_hand);
    }

    /// Reports outcomes to the queue's circuit and the outage gate, and hears how things stand.
    async fn report_outcomes(&mut self) -> Result<(), RedisError> {
        let (ok, bad) = self.measures.take_outcomes();
        let mut cmd = call(&OUTAGE, &[&self.layout.outcomes]);
        let gate = &self.settings.outage;
        cmd.arg(ok).arg(bad).arg(gate.failures).arg(gate.percent).arg(millis(gate.longest));
        let (outage, since): (i64, i64) = run(&mut self.redis, &OUTAGE, &cmd).await?;
        let mut open = false;
        if let Some(circuit) = &self.circuit {
            match circuit.settle(&mut self.redis, ok, bad, self.in_hand == 0).await? {
                Passage::Closed => self.probing = false,
                Passage::Probe => {
                    (self.probing, self.eager, self.hold_until) = (true, true, None);
                    open = true;
                }
                Passage::Open(wait) => {
                    open = true;
                    if !self.probing || self.in_hand == 0 {
                        self.probing = false;
                        let wait = wait.clamp(self.settings.tick, Duration::from_secs(1));
                        self.hold_until = Some(Instant::now() + wait);
                    }
                }
            }
        }
        let now = outage == 1 || open;
        if now != self.shop.outage.swap(now, Ordering::Relaxed) {
            if now {
                tracing::error!(queue = %self.layout.queue, since_ms = since, circuit = open, "outage: tries are not counted");
            } else {
                tracing::info!(queue = %self.layout.queue, "the outage is over: tries are counted");
            }
        }
        Ok(())
    }

    /// Adds this worker's histograms to the minute's.
    pub(super) async fn flush_measures(&mut self, now: bool) -> Result<(), RedisError> {
        let buckets = self.measures.take_due(now);
        if buckets.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for (field, count) in buckets {
            pipe.hincr(&self.minute_key, field, count).ignore();
        }
        pipe.expire(&self.minute_key, i64::try_from(MINUTES_KEPT.as_secs()).unwrap_or(i64::MAX)).ignore();
        pipe.query_async(&mut self.redis).await
    }
}
