//! The form of a line for machines: the library's JSON, with who speaks and what it belongs to before it.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

use crate::Trail;
use crate::identity::Identity;

pub(crate) struct Lines {
    inner: Format<Json>,
    /// `{"service":…,"version":…,"instance":…`.
    head: String,
}

impl Lines {
    pub(crate) fn of(identity: &Identity) -> Self {
        let who = serde_json::json!({
            "service": identity.service, "version": identity.version, "instance": identity.instance,
        });
        Self {
            inner: format().json().flatten_event(true).with_current_span(true).with_span_list(false),
            head: who.to_string().trim_end_matches('}').to_owned(),
        }
    }

    /// How fields of spans are kept for the line.
    pub(crate) fn fields() -> JsonFields {
        JsonFields::new()
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::with_capacity(512);
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&self.head)?;
        if let Some(trail) = Trail::current() {
            trail.write_fields(&mut writer)?;
        }
        writer.write_char(',')?;
        writer.write_str(line.strip_prefix('{').unwrap_or(&line))
    }
}
