//! Times as people enter them: in a browser's field on the shop's wall clock, in a program's call with their zone.

use chrono::{DateTime, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::Asia::Kolkata;
use schemars::JsonSchema;
use serde::Deserialize;

/// A time that was entered, or none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub(crate) struct WallTime(pub(crate) Option<DateTime<Utc>>);

/// How a browser writes what was entered into a field for a day and a time; seconds only when there are some.
const FIELD: [&str; 3] = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f"];

impl TryFrom<String> for WallTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self(None));
        }
        if let Ok(exact) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self(Some(exact.to_utc())));
        }
        let entered = FIELD.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
        let at = entered.and_then(|entered| Kolkata.from_local_datetime(&entered).single());
        at.map(|at| Self(Some(at.to_utc()))).ok_or_else(|| format!("{text:?} is no time such as 2026-11-24T10:00"))
    }
}

impl WallTime {
    /// As it stands in a browser's field, and in an address.
    pub(crate) fn field(&self) -> String {
        self.0
            .map(|at| Kolkata.from_utc_datetime(&at.naive_utc()).format("%Y-%m-%dT%H:%M:%S").to_string())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_sends_is_the_shops_wall_clock_and_what_a_program_sends_says_its_zone() {
        let read = |text: &str| WallTime::try_from(text.to_owned());
        let at = read("2026-11-24T10:00").unwrap();
        assert_eq!(at, read("2026-11-24T04:30:00Z").unwrap());
        assert_eq!(at, read("2026-11-24T10:00:00+05:30").unwrap());
        assert_eq!(read(&at.field()).unwrap(), at);
        assert_eq!(read(" ").unwrap().field(), "");
        assert!(read("yesterday").is_err());
    }
}
