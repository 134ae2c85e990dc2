//! What all pages have in common, and how things are written in them.

use std::fmt;

use actix_web::HttpResponse;
use actix_web::http::header;
use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, Datelike as _, TimeZone as _, Utc};
use domain::clock::{Clock as _, SystemClock};
use domain::money::indian_grouping;

use crate::access::Who;
use crate::assets;
use crate::error::PageError;
use crate::role::Role;

/// The frame of a page.
pub(crate) struct Page {
    /// Who looks at it.
    pub(crate) who: Who,
    /// Which entry of the navigation is lit.
    pub(crate) section: &'static str,
    /// What has just been done.
    pub(crate) note: Option<&'static str>,
}

impl Page {
    pub(crate) fn new(who: Who, section: &'static str) -> Self {
        Self { who, section, note: None }
    }

    /// Adds what has just been done, by the word in the address.
    pub(crate) fn noting(mut self, word: Option<&str>) -> Self {
        self.note = word.and_then(|word| NOTES.iter().find(|(known, _)| *known == word)).map(|(_, text)| *text);
        self
    }

    /// Whether queues, jobs and matching may be steered.
    pub(crate) fn operates(&self) -> bool {
        self.who.role == Role::Operator
    }

    /// Whether money may be decided about.
    pub(crate) fn decides_money(&self) -> bool {
        self.who.role == Role::Finance
    }

    /// Whether what is masked may be revealed.
    pub(crate) fn reveals(&self) -> bool {
        self.operates() || self.decides_money()
    }

    /// Marks the lit entry.
    pub(crate) fn lit(&self, section: &str) -> &'static str {
        if self.section == section { "page" } else { "false" }
    }
}

/// What a page was asked with: a word for what has just been done.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Done {
    pub(crate) done: Option<String>,
}

/// Words in the address after an action, and what they say. Only these can be said, so a link cannot put words into our
/// mouth.
const NOTES: [(&str, &str); 25] = [
    ("replayed", "The job is back on its queue."),
    ("deleted", "The dead letter is deleted."),
    ("paused", "The queue is paused: nothing is claimed from it."),
    ("resumed", "The queue is claimed from again."),
    ("bulk", "The replay has begun; it goes on in the background."),
    ("aborted", "The replay ends after its present batch."),
    ("requested", "The run is asked for; the scheduler begins it within a second."),
    ("job-paused", "The job is paused."),
    ("job-resumed", "The job runs by its schedule again."),
    ("requeued", "The replay is asked for; its outcome shows below within a second."),
    ("previewed", "What replaying them would do shows below within a second. Nothing is replayed yet."),
    ("begun", "The replay has begun; it goes on in the background."),
    ("stopped", "No more webhooks are asked for."),
    ("assigned", "The transaction belongs to that click now."),
    ("synced", "The pull is asked for."),
    ("frozen", "Withdrawals of this shopper are blocked."),
    ("unfrozen", "This shopper can withdraw again."),
    ("adjusted", "The adjustment waits for a second person."),
    ("decided", "The adjustment is decided."),
    ("repair-asked", "The repair waits for a second person."),
    ("repair-decided", "The repair is decided."),
    ("ended", "The sessions are ended."),
    ("revoked", "The token is void."),
    ("suppressed", "Such messages to this address are held back."),
    ("unsuppressed", "Such messages to this address go out again."),
];

/// Shows a page.
pub(crate) fn html(page: &impl Template) -> Result<HttpResponse, PageError> {
    let text = page.render().map_err(|error| PageError::Failed(error.into()))?;
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(text))
}

/// Goes to another page after an action.
pub(crate) fn go(to: impl Into<String>) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, to.into())).finish()
}

/// A text for a part of an address.
pub(crate) fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A time on the shop's wall clock; the exact time shows on hover.
pub(crate) struct When(Option<DateTime<Utc>>);

impl HtmlSafe for When {}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(at) = self.0 else { return f.write_str("–") };
        let exact = at.format("%Y-%m-%dT%H:%M:%S%.3fZ");
        let at = chrono_tz::Asia::Kolkata.from_utc_datetime(&at.naive_utc());
        let now = SystemClock.now().with_timezone(&chrono_tz::Asia::Kolkata);
        let short = if at.date_naive() == now.date_naive() {
            at.format("%H:%M:%S")
        } else if at.year() == now.year() {
            at.format("%-d %b %H:%M")
        } else {
            at.format("%-d %b %Y %H:%M")
        };
        let hover = at.format("%A, %-d %B %Y, %H:%M:%S%.3f IST");
        write!(f, "<time datetime=\"{exact}\" title=\"{hover}\">{short}</time>")
    }
}

/// A time.
pub(crate) fn when(at: &DateTime<Utc>) -> When {
    When(Some(*at))
}

/// A time that may be missing.
#[expect(clippy::ref_option, reason = "templates hand over what stands in the fields, by reference")]
pub(crate) fn maybe(at: &Option<DateTime<Utc>>) -> When {
    When(*at)
}

/// A duration in seconds, as people say it: `42 s`, `3 min`, `2 h 5 min`, `4 d`.
pub(crate) fn age(seconds: &impl Whole) -> String {
    match seconds.whole() {
        ..0 => "0 s".to_owned(),
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// Whole numbers of all sizes, as templates hand them over.
pub(crate) trait Whole {
    /// The number.
    fn whole(&self) -> i128;
}

macro_rules! whole {
    ($($type:ty)+) => {$(
        impl Whole for $type {
            fn whole(&self) -> i128 {
                i128::try_from(*self).unwrap_or_default()
            }
        }
    )+};
}

whole!(i32 u32 i64 u64 usize);

impl<T: Whole + ?Sized> Whole for &T {
    fn whole(&self) -> i128 {
        (**self).whole()
    }
}

/// A whole number with commas as Indians set them.
pub(crate) fn number(number: &impl Whole) -> String {
    let number = number.whole();
    let grouped = indian_grouping(number.unsigned_abs());
    if number < 0 { format!("-{grouped}") } else { grouped }
}

/// What a run reported, as `expired 3 · checked 20`.
pub(crate) fn figures(report: &serde_json::Value) -> String {
    let Some(report) = report.as_object() else { return String::new() };
    let word = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let parts: Vec<_> =
        report.iter().map(|(what, value)| format!("{} {}", what.replace('_', " "), word(value))).collect();
    parts.join(" · ")
}

/// A JSON value on one line; nothing for nothing.
#[expect(clippy::ref_option, reason = "templates hand over what stands in the fields, by reference")]
pub(crate) fn json(value: &Option<serde_json::Value>) -> String {
    value.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// The id of a path.
pub(crate) fn id<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, PageError> {
    text.parse().map_err(|_not_an_id| PageError::NotFound(what))
}

/// A text for a cell of a spreadsheet: what would be taken for a formula is not one any more.
pub(crate) fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// The address of a style sheet or script.
pub(crate) fn asset(name: &str) -> String {
    assets::address(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ages_read_as_people_write_them() {
        assert_eq!(number(&1_234_567_i64), "12,34,567");
        assert_eq!(number(&-999_i64), "-999");
        assert_eq!(number(&1_000_u64), "1,000");
        for (seconds, text) in [(-1, "0 s"), (119, "119 s"), (120, "2 min"), (7_500, "2 h 5 min"), (400_000, "4 d")] {
            assert_eq!(age(&i64::from(seconds)), text);
        }
    }

    #[test]
    fn a_time_says_the_exact_time_on_hover() {
        let text = when(&"2025-03-01T20:30:00.25Z".parse().unwrap()).to_string();
        assert_eq!(
            text,
            "<time datetime=\"2025-03-01T20:30:00.250Z\" title=\"Sunday, 2 March 2025, 02:00:00.250 IST\">2 Mar 2025 02:00</time>"
        );
    }
}
