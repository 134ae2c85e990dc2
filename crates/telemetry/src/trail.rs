//! What a piece of work belongs to: its W3C trace, and a correlation id that people can search for.
//!
//! A trail begins where work enters a service (a request, a job, a run of cron), with what the caller said or with ids of its
//! own, and lies in the span of that work. Whatever is written or pushed below that span carries it on: log lines, jobs, outbox
//! rows, webhooks, ledger entries, messages. It needs no exporter: where no traces are kept, the caller's context is handed on as
//! it came, as W3C asks of those who only pass it through.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, OnceLock};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

/// The longest correlation id that is taken from a caller.
const LONGEST: usize = 64;
/// How long a `traceparent` is.
const TRACEPARENT: usize = 55;

tokio::task_local! {
    /// The trail of work that has no span.
    static WITHOUT_SPAN: Trail;
}

/// Decides which new traces are kept; absent where none are exported.
static SAMPLER: OnceLock<Sampler> = OnceLock::new();

thread_local! {
    /// Whether the entry span that is being made now is kept; `None` while none is being made.
    static KEEPING: Cell<Option<bool>> = const { Cell::new(None) };
}

/// New traces are kept in this share from now on.
pub(crate) fn export(ratio: f64) {
    let _set_before = SAMPLER.set(Sampler::TraceIdRatioBased(ratio));
}

/// The decision on the entry span that is being made, for the filter of the exporting layer.
pub(crate) fn keeping() -> Option<bool> {
    KEEPING.get()
}

/// Where a piece of work belongs. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Trail {
    trace: TraceId,
    /// Our span once it is open; before that the caller's, if it named one.
    span: Option<SpanId>,
    sampled: bool,
    correlation: Option<Arc<str>>,
}

impl Trail {
    /// Begins a trail of its own.
    #[must_use]
    pub fn begin() -> Self {
        Self::of(None, None)
    }

    /// Goes on with what a caller said. What is no `traceparent` begins a trace; a correlation id that is too long, or holds
    /// anything but letters, digits and `-_.:/+=`, is not taken; without one, that of the trace serves.
    #[must_use]
    pub fn of(traceparent: Option<&str>, correlation: Option<&str>) -> Self {
        let correlation = correlation.filter(|id| is_correlation(id)).map(Arc::from);
        if let Some((trace, span, sampled)) = traceparent.and_then(parse) {
            return Self { trace, span: Some(span), sampled, correlation };
        }
        let trace = RandomIdGenerator::default().new_trace_id();
        let sampled = SAMPLER.get().is_some_and(|sampler| {
            let result = sampler.should_sample(None, trace, "", &SpanKind::Internal, &[], &[]);
            result.decision == SamplingDecision::RecordAndSample
        });
        Self { trace, span: None, sampled, correlation }
    }

    /// Opens the span of the work, which `make` makes as a root (`parent: None`), and puts it on this trail.
    pub fn open(mut self, make: impl FnOnce() -> Span) -> Span {
        let keep = self.is_kept();
        KEEPING.set(Some(keep));
        let span = make();
        KEEPING.set(None);
        if keep {
            if let Some(caller) = self.span_context() {
                // Only a span that nothing follows has no parent to set; the work goes on the same.
                let _not_traced = span.set_parent(Context::new().with_remote_span_context(caller));
            }
            let context = span.context();
            let opened = context.span().span_context().clone();
            if opened.is_valid() {
                (self.trace, self.span) = (opened.trace_id(), Some(opened.span_id()));
            }
        }
        if self.span.is_none() {
            self.span = Some(RandomIdGenerator::default().new_span_id());
        }
        let _correlated = self.correlation.get_or_insert_with(|| Arc::from(self.trace.to_string()));
        lay(&span, self);
        span
    }

    /// Does work on this trail without a span, for work so short that a span would be a good part of it. What [`Self::open`] does
    /// is still to be done where the trail is kept.
    pub fn scope<F: Future>(mut self, work: F) -> impl Future<Output = F::Output> + use<F> {
        let _named = self.span.get_or_insert_with(|| RandomIdGenerator::default().new_span_id());
        WITHOUT_SPAN.scope(self, work)
    }

    /// The trail that the current span is on, or the work without one.
    #[must_use]
    pub fn current() -> Option<Self> {
        let of_span = Span::current()
            .with_subscriber(|(id, dispatch)| {
                let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
                span.scope().find_map(|span| span.extensions().get::<Self>().cloned())
            })
            .flatten();
        of_span.or_else(|| WITHOUT_SPAN.try_with(Self::clone).ok())
    }

    /// As it travels in headers, envelopes and rows; `None` before the work has begun.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        let span = self.span?;
        // Written by hand: the ids' own formatting is slow for something that every click and job says.
        let mut text = String::with_capacity(TRACEPARENT);
        text.push_str("00-");
        Hex::<32>::of(&self.trace.to_bytes()).add_to(&mut text);
        text.push('-');
        Hex::<16>::of(&span.to_bytes()).add_to(&mut text);
        text.push_str(if self.sampled { "-01" } else { "-00" });
        Some(text)
    }

    /// The id to search for.
    #[must_use]
    pub fn correlation_id(&self) -> Arc<str> {
        self.correlation.clone().unwrap_or_else(|| Arc::from(self.trace.to_string()))
    }

    /// Hands over the id to search for, without a copy of it.
    pub fn with_correlation_id<T>(&self, take: impl FnOnce(&str) -> T) -> T {
        match &self.correlation {
            Some(correlation) => take(correlation),
            None => take(Hex::<32>::of(&self.trace.to_bytes()).as_str()),
        }
    }

    /// The id to search for where somebody gave one; else the trace says it.
    #[must_use]
    pub fn given_correlation(&self) -> Option<&str> {
        self.correlation.as_deref().filter(|id| *id != self.trace.to_string())
    }

    /// Whether the spans of this work are exported by this process.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.sampled && SAMPLER.get().is_some()
    }

    fn span_context(&self) -> Option<SpanContext> {
        let flags = if self.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        self.span.map(|span| SpanContext::new(self.trace, span, flags, true, TraceState::default()))
    }

    /// The fields of a log line, each after a comma.
    pub(crate) fn write_fields(&self, line: &mut dyn fmt::Write) -> fmt::Result {
        write!(line, r#","trace_id":"{}""#, self.trace)?;
        if let Some(span) = self.span {
            write!(line, r#","span_id":"{span}""#)?;
        }
        // Nothing in it needs to be escaped: see `is_correlation`.
        write!(line, r#","correlation_id":"{}""#, self.correlation_id())
    }
}

/// An id as `N` hexadecimal digits.
struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Hex<N> {
    fn of(bytes: &[u8]) -> Self {
        let mut digits = [b'0'; N];
        let _fits = hex::encode_to_slice(bytes, &mut digits);
        Self(digits)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    fn add_to(&self, text: &mut String) {
        text.push_str(self.as_str());
    }
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trail({} of {})", self.correlation_id(), self.trace)
    }
}

fn lay(span: &Span, trail: Trail) {
    span.with_subscriber(|(id, dispatch)| {
        if let Some(span) = dispatch.downcast_ref::<Registry>().and_then(|registry| registry.span(id)) {
            span.extensions_mut().replace(trail);
        }
    });
}

fn is_correlation(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= LONGEST
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte))
}

/// `00-<trace>-<span>-<flags>`, of version 00 or of a later one, which may say more.
fn parse(text: &str) -> Option<(TraceId, SpanId, bool)> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_form = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    if !is_form || version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    (trace != TraceId::INVALID && span != SpanId::INVALID).then_some((trace, span, sampled))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_a_caller_said_is_handed_on_where_no_traces_are_kept() {
        let trail = Trail::of(Some(CALLER), Some("order-7"));
        assert_eq!((trail.traceparent().as_deref(), &*trail.correlation_id()), (Some(CALLER), "order-7"));
        assert!(!trail.is_kept(), "no exporter");
    }

    #[test]
    fn what_is_no_traceparent_begins_a_trace() {
        for text in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            assert_ne!(Trail::of(Some(text), None).trace.to_string(), "0af7651916cd43dd8448eb211c80319c", "{text}");
        }
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more";
        assert_eq!(Trail::of(Some(later), None).trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
    }

    #[test]
    fn only_plain_correlation_ids_are_taken_and_the_trace_serves_else() {
        for id in ["", "a b", "a\"b", "asha@example.in", "é", &"x".repeat(65)] {
            let trail = Trail::of(Some(CALLER), Some(id));
            assert_eq!(&*trail.correlation_id(), "0af7651916cd43dd8448eb211c80319c", "{id:?}");
        }
    }

    #[test]
    fn the_current_span_knows_its_trail_and_so_do_spans_below() {
        let subscriber = <Registry as Default>::default();
        tracing::subscriber::with_default(subscriber, || {
            assert_eq!(Trail::current(), None);
            let span = Trail::of(Some(CALLER), Some("order-7")).open(|| tracing::info_span!(parent: None, "work"));
            let _entered = span.enter();
            let below = tracing::info_span!("part");
            let _below = below.enter();
            let trail = Trail::current().unwrap();
            assert_eq!((trail.traceparent().as_deref(), &*trail.correlation_id()), (Some(CALLER), "order-7"));
        });
    }

    #[test]
    fn a_new_trail_has_ids_of_its_own_that_travel() {
        let subscriber = <Registry as Default>::default();
        tracing::subscriber::with_default(subscriber, || {
            let span = Trail::begin().open(|| tracing::info_span!(parent: None, "work"));
            let trail = span.in_scope(Trail::current).unwrap();
            let on = Trail::of(trail.traceparent().as_deref(), Some(&*trail.correlation_id()));
            assert_eq!(on, trail);
        });
    }
}
