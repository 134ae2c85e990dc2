//! Whether a loop still goes round.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Beaten by a loop each time it goes round; from [`Life::pulse`](crate::Life::pulse).
#[derive(Debug)]
pub struct Pulse {
    begin: Instant,
    /// Milliseconds from `begin` to the last beat.
    beaten: Arc<AtomicU64>,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self { begin: Instant::now(), beaten: Arc::default() }
    }

    /// The loop goes round.
    pub fn beat(&self) {
        self.beat_at(Instant::now());
    }

    fn beat_at(&self, now: Instant) {
        let now = u64::try_from((now - self.begin).as_millis()).unwrap_or(u64::MAX);
        self.beaten.store(now, Ordering::Relaxed);
    }

    /// The other end.
    pub(crate) fn watched(&self) -> Watched {
        Watched { begin: self.begin, beaten: Arc::downgrade(&self.beaten) }
    }
}

/// Feels a pulse.
pub(crate) struct Watched {
    begin: Instant,
    beaten: Weak<AtomicU64>,
}

impl Watched {
    /// `Err` when the last beat of a loop that did not end was longer ago than `limit`.
    pub(crate) fn check(&self, limit: Duration) -> Result<(), String> {
        self.check_at(Instant::now(), limit)
    }

    fn check_at(&self, now: Instant, limit: Duration) -> Result<(), String> {
        let Some(beaten) = self.beaten.upgrade() else { return Ok(()) };
        let beaten = Duration::from_millis(beaten.load(Ordering::Relaxed));
        let silent = (now - self.begin).saturating_sub(beaten);
        if silent > limit { Err(format!("has not gone round for {} s", silent.as_secs())) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stands_still_is_told_and_one_that_ended_is_not() {
        let pulse = Pulse::new();
        let (watched, limit) = (pulse.watched(), Duration::from_secs(20));
        let at = |seconds| pulse.begin + Duration::from_secs(seconds);
        assert_eq!(watched.check_at(at(20), limit), Ok(()));
        assert_eq!(watched.check_at(at(21), limit), Err("has not gone round for 21 s".to_owned()));
        pulse.beat_at(at(30));
        assert_eq!(watched.check_at(at(50), limit), Ok(()));
        assert_eq!(watched.check_at(at(55), limit), Err("has not gone round for 25 s".to_owned()));
        let after = at(55);
        drop(pulse);
        assert_eq!(watched.check_at(after, limit), Ok(()));
    }
}
