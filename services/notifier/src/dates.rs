//! Times as people in India write them.

use chrono::{DateTime, Datelike, FixedOffset, Timelike, Utc};
use domain::jobs::Language;

/// Indian time has no summer time.
const IST_SECONDS: i32 = 5 * 3_600 + 30 * 60;

/// The instant on an Indian clock.
pub(crate) fn in_india(time: DateTime<Utc>) -> DateTime<FixedOffset> {
    // The offset is a constant within a day, so it always exists; without one the time is shown in UTC.
    match FixedOffset::east_opt(IST_SECONDS) {
        Some(offset) => time.with_timezone(&offset),
        None => time.fixed_offset(),
    }
}

const ENGLISH: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const HINDI: [&str; 12] =
    ["जनवरी", "फ़रवरी", "मार्च", "अप्रैल", "मई", "जून", "जुलाई", "अगस्त", "सितंबर", "अक्टूबर", "नवंबर", "दिसंबर"];

/// `24 November 2026, 5:32 pm`, or `24 नवंबर 2026, शाम 5:32 बजे`.
pub(crate) fn written(time: DateTime<Utc>, lang: Language) -> String {
    let local = in_india(time);
    let months = match lang {
        Language::En => ENGLISH,
        Language::Hi => HINDI,
    };
    let month = months.iter().zip(1..).find(|(_, number)| *number == local.month()).map_or("", |(name, _)| name);
    let (afternoon, hour) = local.hour12();
    let (day, year, minute) = (local.day(), local.year(), local.minute());
    match lang {
        Language::En => {
            format!("{day} {month} {year}, {hour}:{minute:02} {}", if afternoon { "pm" } else { "am" })
        }
        Language::Hi => {
            let part = match local.hour() {
                4..=11 => "सुबह",
                12..=15 => "दोपहर",
                16..=19 => "शाम",
                _ => "रात",
            };
            format!("{day} {month} {year}, {part} {hour}:{minute:02} बजे")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_indian_in_both_languages() {
        let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(written(time("2026-11-24T12:02:00Z"), Language::En), "24 November 2026, 5:32 pm");
        assert_eq!(written(time("2026-11-24T12:02:00Z"), Language::Hi), "24 नवंबर 2026, शाम 5:32 बजे");
        assert_eq!(written(time("2026-12-31T18:45:00Z"), Language::En), "1 January 2027, 12:15 am");
        assert_eq!(written(time("2026-02-01T06:30:00Z"), Language::Hi), "1 फ़रवरी 2026, दोपहर 12:00 बजे");
    }
}
