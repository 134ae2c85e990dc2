//! Jobs that wait for company: kinds that are handled many at a time.

use std::collections::HashMap;
use std::time::Instant;

use crate::envelope::Envelope;
use crate::execute::Claimed;
use crate::handler::BatchPolicy;
use crate::kinds::{Kinds, Run};

struct Buffer {
    policy: BatchPolicy,
    jobs: Vec<Claimed>,
    since: Instant,
}

/// One buffer a kind.
pub(super) struct Batches(HashMap<&'static str, Buffer>);

impl Batches {
    pub(super) fn new(kinds: &Kinds) -> Self {
        let buffers = kinds.values().filter_map(|kind| match &kind.run {
            Run::One(_) => None,
            Run::Many(policy, _) => {
                let policy = BatchPolicy { max: policy.max.max(1), ..*policy };
                Some((kind.name, Buffer { policy, jobs: Vec::new(), since: Instant::now() }))
            }
        });
        Self(buffers.collect())
    }

    /// How many jobs may be in hand when `concurrency` handlers or batches may run: one batch more than run, to be filled.
    pub(super) fn limit(&self, concurrency: usize) -> usize {
        let largest = self.0.values().map(|buffer| buffer.policy.max).max();
        largest.map_or(concurrency, |max| max.saturating_mul(concurrency.saturating_add(1)))
    }

    /// Keeps a job of a batch kind; gives back any other.
    pub(super) fn sort_in(&mut self, job: Claimed) -> Option<Claimed> {
        if self.0.is_empty() {
            return Some(job);
        }
        let buffer = Envelope::parse(&job.body).ok().and_then(|envelope| self.0.get_mut(envelope.kind.as_ref()));
        let Some(buffer) = buffer else { return Some(job) };
        if buffer.jobs.is_empty() {
            buffer.since = Instant::now();
        }
        buffer.jobs.push(job);
        None
    }

    /// A batch that is full or old enough; `now` takes any.
    pub(super) fn due(&mut self, now: bool) -> Option<Vec<Claimed>> {
        let is_due = |buffer: &&mut Buffer| {
            !buffer.jobs.is_empty()
                && (now || buffer.jobs.len() >= buffer.policy.max || buffer.since.elapsed() >= buffer.policy.linger)
        };
        let buffer = self.0.values_mut().find(is_due)?;
        let rest = buffer.jobs.split_off(buffer.jobs.len().min(buffer.policy.max));
        Some(std::mem::replace(&mut buffer.jobs, rest))
    }

    /// When the next batch is old enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0
            .values()
            .filter(|buffer| !buffer.jobs.is_empty())
            .filter_map(|buffer| buffer.since.checked_add(buffer.policy.linger))
            .min()
    }

    /// Everything that waits.
    pub(super) fn take_all(&mut self) -> Vec<Claimed> {
        self.0.values_mut().flat_map(|buffer| std::mem::take(&mut buffer.jobs)).collect()
    }

    pub(super) fn clear(&mut self) {
        self.0.values_mut().for_each(|buffer| buffer.jobs.clear());
    }
}
