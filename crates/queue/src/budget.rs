//! How much memory the waiting jobs of a queue may take. Redis estimates it (`MEMORY USAGE`), so foreign producers' jobs
//! count too, and there is no counter that could drift. It is asked a few times a second, not for each push.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::job::Queue;
use kv::redis;
use kv::{Connection, tried};

use crate::layout::Layout;
use crate::producer::EnqueueError;

/// How long an estimate is good for.
const FRESH: Duration = Duration::from_millis(250);

pub(crate) struct Budgets {
    limit: u64,
    seen: Mutex<HashMap<Queue, Instant>>,
}

impl Budgets {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, seen: Mutex::default() }
    }

    /// `Full` while the queue's lists take more than they may. What was found well is believed for a moment; what was full
    /// is looked at again each time, so that the first push after the backlog shrank gets through.
    pub(crate) async fn check(&self, redis: &mut Connection, layout: &Layout) -> Result<(), EnqueueError> {
        let queue = layout.queue;
        let is_fresh = |seen: &HashMap<Queue, Instant>| seen.get(&queue).is_some_and(|when| when.elapsed() < FRESH);
        if is_fresh(&self.seen.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for list in [&layout.ready, &layout.urgent, &layout.delayed] {
            pipe.cmd("MEMORY").arg("USAGE").arg(list).arg("SAMPLES").arg(5);
        }
        let parts: Vec<Option<u64>> = pipe.query_async(redis).await.map_err(tried("measuring a queue"))?;
        let used = parts.into_iter().flatten().sum();
        if used > self.limit {
            return Err(EnqueueError::Full { queue, used, limit: self.limit });
        }
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(queue, Instant::now());
        Ok(())
    }
}
