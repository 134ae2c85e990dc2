//! How many messages a second a provider gets, over all replicas.

use std::time::Duration;

use kv::{Kv, keys};

/// The limiter of one provider. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Limiter {
    kv: Kv,
    provider: &'static str,
    per_second: u32,
}

impl Limiter {
    /// At most `per_second` calls; 0 is no limit.
    pub(crate) fn new(kv: Kv, provider: &'static str, per_second: u32) -> Self {
        Self { kv, provider, per_second }
    }

    /// Leave for one call, or how long to wait. A fifth is kept for messages that somebody waits for.
    pub(crate) async fn admit(&self, urgent: bool) -> Result<(), Duration> {
        if self.per_second == 0 {
            return Ok(());
        }
        let share = if urgent { self.per_second } else { (self.per_second.saturating_mul(4) / 5).max(1) };
        let key = keys::provider(self.provider, "second");
        match kv::rate_limit::count(&self.kv, &key, Duration::from_secs(1)).await {
            Ok(count) if count.used > u64::from(share) => Err(count.resets_in.max(Duration::from_millis(10))),
            // Without Redis there are no new jobs; what is in hand may go out.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
