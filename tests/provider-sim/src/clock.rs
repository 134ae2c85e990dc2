//! The machine's clock, read in this one place.

use chrono::{DateTime, FixedOffset, Utc};

/// Now, by the machine.
pub(crate) fn machine() -> DateTime<Utc> {
    DateTime::from(std::time::SystemTime::now())
}

/// India's offset, for networks that think in it. India has no summer time.
pub(crate) fn ist() -> FixedOffset {
    zone(330)
}

/// An offset of so many minutes; UTC when there is no such offset.
pub(crate) fn zone(minutes: i32) -> FixedOffset {
    FixedOffset::east_opt(minutes.saturating_mul(60)).unwrap_or_else(|| chrono::Offset::fix(&Utc))
}
