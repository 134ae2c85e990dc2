//! The chart of clicks per minute: an SVG made here, so that the page needs no script.

use std::fmt::Write;

use chrono::{DateTime, TimeDelta, Utc};
use domain::click::ClickClass;

use super::Minute;

const MINUTES: i64 = 1_440;
const HEIGHT: u64 = 200;

/// One bar a minute, people below, everything else on top, with a grid of hours and a scale.
pub(super) fn minutes(since: DateTime<Utc>, minutes: &[Minute]) -> String {
    let sums = minutes.iter().map(|minute| {
        let human = minute.classes.get(ClickClass::Human.word()).copied().unwrap_or(0);
        (minute.minute, human, minute.classes.values().sum::<u64>())
    });
    let sums: Vec<_> = sums.collect();
    let most = sums.iter().map(|(.., all)| *all).max().unwrap_or(0).max(1);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {MINUTES} {}\" role=\"img\" aria-label=\"Clicks per minute over 24 hours, {most} at most\">",
        HEIGHT + 24
    );
    // Writing into a text cannot fail.
    for hour in 0..24_i64 {
        let at = since.checked_add_signed(TimeDelta::hours(hour)).unwrap_or(since);
        let x = hour * 60;
        let _infallible = write!(svg, "<line class=\"grid\" x1=\"{x}\" y1=\"0\" x2=\"{x}\" y2=\"{HEIGHT}\"/>");
        if hour % 3 == 0 {
            let _infallible = write!(svg, "<text x=\"{}\" y=\"{}\">{}</text>", x + 3, HEIGHT + 18, at.format("%H:%M"));
        }
    }
    for (minute, human, all) in sums {
        let x = minute.signed_duration_since(since).num_minutes().clamp(0, MINUTES - 1);
        let (human, all) = (human * HEIGHT / most, (all * HEIGHT).div_ceil(most));
        let _infallible = write!(
            svg,
            "<rect class=\"other\" x=\"{x}\" y=\"{}\" width=\"1\" height=\"{}\"/><rect class=\"human\" x=\"{x}\" y=\"{}\" width=\"1\" height=\"{human}\"/>",
            HEIGHT - all,
            all - human,
            HEIGHT - human,
        );
    }
    let _infallible = write!(svg, "<text x=\"4\" y=\"14\">{most} a minute</text></svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Classes;

    #[test]
    fn bars_stand_where_their_minute_is() {
        let since = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let minute =
            Minute { minute: since + TimeDelta::minutes(90), classes: Classes::from([("human", 3), ("bot", 1)]) };
        let svg = minutes(since, &[minute]);
        assert!(svg.contains("<rect class=\"other\" x=\"90\" y=\"0\" width=\"1\" height=\"50\"/>"), "{svg}");
        assert!(svg.contains("<rect class=\"human\" x=\"90\" y=\"50\" width=\"1\" height=\"150\"/>"), "{svg}");
        assert!(minutes(since, &[]).ends_with("</svg>"));
    }
}
