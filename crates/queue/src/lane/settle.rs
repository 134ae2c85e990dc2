//! Writing outcomes: what is done rides with the next turn, everything else in calls of up to a hundred.

use std::collections::VecDeque;

use kv::redis::RedisError;

use super::Lane;
use crate::layout::Claim;
use crate::scripts::{SETTLE, SETTLE_LIMIT, call, run};
use crate::verdict::{End, Settlement};

/// Outcomes that Redis does not know of yet. They are kept until it does, or until the lease is lost.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) done: Vec<Claim>,
    pub(super) other: VecDeque<(Claim, Settlement)>,
}

impl Ledger {
    pub(super) fn add(&mut self, claim: Claim, end: End) {
        match end {
            End::Done => self.done.push(claim),
            End::Settle(settlement) => self.other.push_back((claim, settlement)),
            End::Left => {}
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.done.is_empty() && self.other.is_empty()
    }
}

impl Lane {
    /// Writes all outcomes that are not simply "done".
    pub(super) async fn write_outcomes(&mut self) -> Result<(), RedisError> {
        while !self.ledger.other.is_empty() {
            self.vitals.looped(self.slot);
            let layout = &self.layout;
            let mut cmd = call(
                &SETTLE,
                &[
                    &self.inflight,
                    &layout.leases,
                    &layout.counts,
                    &self.minute_key,
                    &layout.delayed,
                    &layout.dead,
                    &layout.dead_times,
                    &layout.ready,
                    &layout.urgent,
                    &layout.suspects,
                    &layout.expired,
                ],
            );
            cmd.arg(&self.lease);
            let count = self.ledger.other.len().min(SETTLE_LIMIT);
            for (claim, outcome) in self.ledger.other.iter().take(count) {
                cmd.arg(claim.to_string()).arg(outcome.what).arg(&outcome.bytes).arg(outcome.score).arg(&outcome.id);
            }
            let (written, unknown): (i64, i64) = run(&mut self.redis, &SETTLE, &cmd).await?;
            self.note_up();
            if written < 0 {
                return self.lose_lease().await;
            }
            if unknown > 0 {
                // The call before this one was carried out, and its answer lost.
                tracing::debug!(queue = %self.layout.queue, unknown, "outcomes were written before");
            }
            for (claim, _) in self.ledger.other.drain(..count) {
                self.known.remove(&claim.number);
            }
        }
        Ok(())
    }
}
