//! The spans of jobs, on the trails of what caused them.

use telemetry::Trail;
use tracing::Span;
use tracing::field::Empty;

use crate::envelope::Envelope;

/// What a job belongs to. One of which nobody said it is found by its own id.
pub(crate) fn trail(envelope: &Envelope<'_>) -> Trail {
    match (envelope.traceparent.as_deref(), envelope.correlation_id.as_deref()) {
        (None, None) => Trail::of(None, Some(&envelope.id.to_string())),
        (traceparent, correlation) => Trail::of(traceparent, correlation),
    }
}

/// The span of one job.
pub(crate) fn open(kind: &'static str, envelope: &Envelope<'_>) -> Span {
    trail(envelope).open(|| {
        tracing::info_span!(
            parent: None, "job",
            otel.name = kind, otel.kind = "consumer", otel.status_code = Empty,
            job.id = %envelope.id, job.kind = kind, job.attempt = envelope.attempt.saturating_add(1), job.outcome = Empty
        )
    })
}

/// The span of one job of a batch, where its trace is kept: the others have only the batch's.
pub(crate) fn open_kept(kind: &'static str, envelope: &Envelope<'_>) -> Option<Span> {
    let traceparent = envelope.traceparent.as_deref()?;
    Trail::of(Some(traceparent), None).is_kept().then(|| open(kind, envelope))
}

/// The span of a batch.
pub(crate) fn open_batch(kind: &'static str, jobs: usize) -> Span {
    Trail::begin().open(|| tracing::info_span!(parent: None, "jobs", otel.name = kind, job.kind = kind, jobs))
}

/// Says how a job ended.
pub(crate) fn conclude(span: &Span, outcome: &'static str) {
    span.record("job.outcome", outcome);
    if matches!(outcome, "retried" | "dead" | "held") {
        span.record("otel.status_code", "error");
    }
}
