//! The W3C trace context, as it travels in HTTP headers, envelopes and outbox rows.

use opentelemetry::trace::TraceContextExt;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::Trail;

/// The `traceparent` of the current span, for what it causes; `None` outside of any piece of work.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    traceparent_of(&Trail::current()?)
}

fn traceparent_of(trail: &Trail) -> Option<String> {
    if trail.is_kept() {
        let context = Span::current().context();
        let span = context.span();
        let span = span.span_context();
        if span.is_valid() {
            return Some(format!("00-{}-{}-01", span.trace_id(), span.span_id()));
        }
    }
    trail.traceparent()
}

/// The correlation id of the current piece of work.
#[must_use]
pub fn current_correlation() -> Option<String> {
    Trail::current().map(|trail| trail.with_correlation_id(str::to_owned))
}

/// Both, as a row or an envelope holds them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// The trace.
    pub traceparent: Option<String>,
    /// What people search for.
    pub correlation_id: Option<String>,
}

impl Carried {
    /// What the current piece of work hands on.
    #[must_use]
    pub fn current() -> Self {
        let Some(trail) = Trail::current() else { return Self::default() };
        Self { traceparent: traceparent_of(&trail), correlation_id: Some(trail.with_correlation_id(str::to_owned)) }
    }

    /// This, and what is missing here as `other` says it.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            traceparent: self.traceparent.or(other.traceparent),
            correlation_id: self.correlation_id.or(other.correlation_id),
        }
    }
}
