//! Charts: SVG made here, each with a table of the same numbers.

use std::fmt::Write as _;

use chrono::{DateTime, TimeZone as _, Utc};
use domain::job::Queue;
use kv::KvError;
use queue::admin::{self, Minute};

use crate::state::State;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 48.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 12.0;

/// What happened in equal steps of time, for several queues.
pub(crate) struct Chart {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) times: Vec<DateTime<Utc>>,
    pub(crate) lines: Vec<(&'static str, Vec<u64>)>,
}

/// How long a chart looks back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// Minute by minute.
    Hour,
    /// By quarters of an hour.
    Day,
}

impl Span {
    pub(crate) fn of(text: &str) -> Self {
        if text == "24h" { Self::Day } else { Self::Hour }
    }

    const fn minutes(self) -> u16 {
        match self {
            Self::Hour => 60,
            Self::Day => 1_440,
        }
    }

    const fn step(self) -> usize {
        match self {
            Self::Hour => 1,
            Self::Day => 15,
        }
    }
}

/// Jobs done a minute and waiting times, of all queues.
pub(crate) async fn charts(state: &State, span: Span) -> Result<[Chart; 2], KvError> {
    let read = Queue::ALL.map(|queue| admin::minutes(&state.kv, queue, span.minutes()));
    let queues = futures_util::future::try_join_all(read).await?;
    let steps =
        |minutes: &[Minute], pick: fn(&[Minute]) -> u64| minutes.chunks(span.step()).map(pick).collect::<Vec<_>>();
    let times =
        queues.first().map(|minutes| minutes.chunks(span.step()).filter_map(|some| Some(some.first()?.at)).collect());
    let times: Vec<_> = times.unwrap_or_default();
    let lines = |pick: fn(&[Minute]) -> u64| {
        Queue::ALL.iter().zip(&queues).map(|(queue, minutes)| (queue.name(), steps(minutes, pick))).collect()
    };
    let done = lines(|some| {
        some.iter().map(|minute| minute.done).sum::<u64>().div_ceil(u64::try_from(some.len()).unwrap_or(1).max(1))
    });
    let waits = lines(|some| some.iter().filter_map(|minute| minute.wait_p99_us).max().unwrap_or(0) / 1_000);
    Ok([
        Chart { id: "throughput", title: "Jobs done a minute", unit: "jobs", times: times.clone(), lines: done },
        Chart { id: "waiting", title: "Waiting time, 99 of 100 jobs", unit: "ms", times, lines: waits },
    ])
}

fn float(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

impl Chart {
    fn top(&self) -> u64 {
        self.lines.iter().flat_map(|(_, values)| values).copied().max().unwrap_or(0).max(1)
    }

    /// The time of a step on the shop's wall clock.
    pub(crate) fn clock(time: &DateTime<Utc>) -> String {
        chrono_tz::Asia::Kolkata.from_utc_datetime(&time.naive_utc()).format("%H:%M").to_string()
    }

    /// Rows of the table: a time and a number for each line. Steps in which nothing happened are left out.
    pub(crate) fn rows(&self) -> Vec<(String, Vec<u64>)> {
        let value = |line: &[u64], index: usize| line.get(index).copied().unwrap_or(0);
        let rows = self.times.iter().enumerate().map(|(index, time)| {
            (Self::clock(time), self.lines.iter().map(|(_, line)| value(line, index)).collect::<Vec<_>>())
        });
        rows.filter(|(_, values)| values.iter().any(|value| *value > 0)).collect()
    }

    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let (top, count) = (self.top(), u64::try_from(self.times.len()).unwrap_or(1).max(2));
        let y = |value: u64| HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * float(value) / float(top);
        let x = |index: u64| LEFT + (WIDTH - LEFT - 4.0) * float(index) / float(count - 1);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{0}-title\"><title id=\"{0}-title\">{1}; the numbers are in the table below</title>",
            self.id, self.title,
        );
        // Writing into a text cannot fail.
        for value in [0, top.div_ceil(2), top] {
            let (y, text) = (y(value), crate::view::number(&value));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{WIDTH}\" y2=\"{y:.1}\"/><text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        for (index, time) in (0..).zip(&self.times) {
            if index % (count / 4).max(1) == 0 {
                let _ = write!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
                    x(index).min(WIDTH - 20.0),
                    HEIGHT - 6.0,
                    Self::clock(time)
                );
            }
        }
        for (number, (_, values)) in self.lines.iter().enumerate() {
            let points: Vec<String> =
                (0..).zip(values).map(|(index, value)| format!("{:.1},{:.1}", x(index), y(*value))).collect();
            let _ = write!(svg, "<polyline class=\"line line-{number}\" points=\"{}\"/>", points.join(" "));
        }
        svg.push_str("</svg>");
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_line_for_each_queue_within_its_frame() {
        let times: Vec<_> = (0..60).map(|minute| DateTime::from_timestamp(minute * 60, 0).unwrap()).collect();
        let lines = vec![("email", (0..60).collect()), ("sms", vec![0; 60])];
        let chart = Chart { id: "t", title: "Jobs", unit: "jobs", times, lines };
        let svg = chart.svg();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("48.0,176.0") && svg.contains("636.0,12.0"), "from the corner to the top: {svg}");
        assert!(!svg.contains("style="), "the policy forbids it");
        assert_eq!(chart.rows().len(), 59, "the first minute had nothing");
        assert_eq!(chart.rows()[0], ("05:31".to_owned(), vec![1, 0]));
    }
}
