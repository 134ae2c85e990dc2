//! The W3C trace context, as it travels in HTTP headers, envelopes and outbox rows.

use std::collections::HashMap;

use opentelemetry::global;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const HEADER: &str = "traceparent";

/// The `traceparent` of the current span; `None` when no trace is being kept.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    let mut carrier = HashMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&Span::current().context(), &mut carrier));
    carrier.remove(HEADER)
}

/// Makes `span` a child of the span that `traceparent` names. A text that is not one changes nothing.
pub fn set_parent(span: &Span, traceparent: &str) {
    let carrier = HashMap::from([(HEADER.to_owned(), traceparent.to_owned())]);
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(&carrier));
    // A span that no trace follows has no parent to set; the work goes on the same.
    let _not_traced = span.set_parent(parent);
}
