//! When something was last found to be as memory holds it, and what it was found to be.

use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The time of the last look.
#[derive(Debug)]
pub(super) struct Looked(AtomicU64);

/// What times are counted from.
static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Looked {
    /// When the look began: what it finds may be as old.
    pub(super) fn at(time: Instant) -> Self {
        Self(AtomicU64::new(nanos(time)))
    }

    /// How long ago it was.
    pub(super) fn age(&self) -> Duration {
        Duration::from_nanos(nanos(Instant::now()).saturating_sub(self.0.load(Ordering::Relaxed)))
    }

    /// It was looked at again, and is as it was.
    pub(super) fn renew(&self, last: &Self) {
        self.0.fetch_max(last.0.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

fn nanos(time: Instant) -> u64 {
    u64::try_from(time.saturating_duration_since(*BEGIN).as_nanos()).unwrap_or(u64::MAX)
}

/// Tells a text from another without keeping it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print(u64);

impl Print {
    pub(super) fn of(text: &str) -> Self {
        Self(foldhash::quality::FixedState::with_seed(0x6f66_6665_7273).hash_one(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_look_makes_younger_and_never_older() {
        let (hour, now) = (Duration::from_hours(1), Instant::now());
        let begun = *BEGIN;
        let looked = Looked::at(begun);
        assert!(looked.age() >= now - begun.min(now));
        let later = Looked::at(begun + hour);
        looked.renew(&later);
        assert_eq!(looked.age(), Duration::ZERO, "of an hour to come");
        looked.renew(&Looked::at(begun));
        assert_eq!(looked.age(), Duration::ZERO);
    }

    #[test]
    fn texts_have_prints_of_their_own() {
        assert_eq!(Print::of("shoes"), Print::of(String::from("shoes").as_str()));
        assert!(Print::of("shoes") != Print::of("boots") && Print::of("") != Print::of("null"));
    }
}
