//! When advertising may be sent.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Timelike, Utc};

use crate::dates::in_india;

/// Hours of the Indian day, such as 10 to 21.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: u32,
    pub(crate) until: u32,
}

impl Window {
    /// How long until it is open; nothing when it is.
    pub(crate) fn opens_in(self, now: DateTime<Utc>) -> Option<Duration> {
        let local = in_india(now);
        if (self.from..self.until).contains(&local.hour()) {
            return None;
        }
        let today = local.with_hour(self.from)?.with_minute(0)?.with_second(0)?.with_nanosecond(0)?;
        let opens = if today > local { today } else { today.checked_add_signed(TimeDelta::days(1))? };
        opens.signed_duration_since(local).to_std().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advertising_waits_for_the_morning_in_india() {
        let window = Window { from: 10, until: 21 };
        let opens = |text: &str| window.opens_in(text.parse().unwrap()).map(|wait| wait.as_secs());
        assert_eq!(opens("2026-11-24T04:30:00Z"), None, "10:00 in India");
        assert_eq!(opens("2026-11-24T15:29:59Z"), None, "20:59:59");
        assert_eq!(opens("2026-11-24T15:30:00Z"), Some(13 * 3_600), "21:00");
        assert_eq!(opens("2026-11-24T04:29:00Z"), Some(60), "9:59");
        assert_eq!(opens("2026-11-24T18:31:00Z"), Some(9 * 3_600 + 59 * 60), "0:01");
    }
}
