//! The end of a lane: what has not started goes back at once, what runs may finish, the rest goes back.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kv::redis::RedisError;

use super::Lane;
use crate::execute::Claimed;
use crate::scripts::{LEAVE, call, run};
use crate::verdict::{End, give_back};

/// How long abandoned handlers have to notice.
const LAST_MOMENT: Duration = Duration::from_secs(1);

impl Lane {
    pub(super) async fn drain(mut self) {
        self.shop.draining.store(true, Ordering::Relaxed);
        let limit = Instant::now() + self.settings.drain;
        self.disarm();
        self.give_back_unstarted();
        if let Err(error) = self.write_all().await {
            tracing::warn!(queue = %self.layout.queue, %error, "jobs that have not started could not be given back yet");
        }
        while self.running > 0 {
            let wait = limit.min(Instant::now() + self.settings.tick);
            tokio::select! {
                Some(ended) = self.endings.recv() => self.note_ended(ended),
                () = tokio::time::sleep_until(wait.into()) => {}
            }
            while let Ok(ended) = self.endings.try_recv() {
                self.note_ended(ended);
            }
            self.vitals.looped(self.slot);
            if let Err(error) = self.write_all().await {
                self.note_down(&error);
            }
            if Instant::now() >= limit {
                break;
            }
        }
        if self.running > 0 {
            tracing::warn!(queue = %self.layout.queue, running = self.running, "jobs still run; they are given back");
            self.shop.abandon.cancel();
            let end = Instant::now() + LAST_MOMENT;
            while self.running > 0
                && let Ok(Some(ended)) = tokio::time::timeout_at(end.into(), self.endings.recv()).await
            {
                self.note_ended(ended);
            }
        }
        let left = async {
            self.write_all().await?;
            self.leave().await
        };
        if let Err(error) = left.await {
            tracing::error!(
                queue = %self.layout.queue, %error,
                "the lease could not be given up; what was in hand is handed on when it ends"
            );
        }
        self.vitals.let_go(self.slot);
    }

    /// What is in hand and does not run goes back, the first claimed to the head.
    fn give_back_unstarted(&mut self) {
        let mut waiting: Vec<Claimed> = self.backlog.drain(..).map(|(job, _)| job).collect();
        waiting.extend(self.batches.take_all());
        waiting.sort_by_key(|job| std::cmp::Reverse(job.claim.number));
        self.in_hand = self.in_hand.saturating_sub(waiting.len());
        self.vitals.in_hand(self.slot, self.in_hand);
        for job in waiting {
            self.ledger.add(job.claim, End::Settle(give_back(job.body)));
        }
    }

    /// Writes every outcome, and gives back what calls claimed whose answer was lost.
    async fn write_all(&mut self) -> Result<(), RedisError> {
        if !self.uncertain.is_empty() {
            self.look_up_uncertain().await?;
            self.give_back_unstarted();
        }
        self.write_outcomes().await?;
        while !self.ledger.is_empty() {
            self.turn(0).await?;
            self.write_outcomes().await?;
        }
        Ok(())
    }

    async fn leave(&mut self) -> Result<(), RedisError> {
        self.flush_measures(true).await?;
        let layout = &self.layout;
        let mut cmd = call(
            &LEAVE,
            &[
                &layout.leases,
                &self.inflight,
                &layout.ready,
                &layout.urgent,
                &layout.suspects,
                &layout.suspect_turn,
                &layout.turns,
                &layout.counts,
            ],
        );
        cmd.arg(&self.lease);
        while let (_, 1) = run::<(i64, i64)>(&mut self.redis, &LEAVE, &cmd).await? {}
        Ok(())
    }
}
