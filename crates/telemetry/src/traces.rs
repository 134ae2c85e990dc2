//! Traces, sent by OTLP over HTTP.

use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::trace::{BatchSpanProcessor, Sampler, SdkTracerProvider};
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use crate::identity::Identity;

/// A provider that keeps `ratio` of the traces begun here, and every trace that a caller decided to keep.
pub(crate) fn provider(
    identity: &Identity,
    endpoint: &str,
    ratio: f64,
) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()?;
    crate::trail::export(ratio);
    Ok(SdkTracerProvider::builder()
        // It has a thread of its own, which is woken for a whole batch: waking a task for each span cost more than the span.
        .with_span_processor(BatchSpanProcessor::builder(exporter).build())
        // What is not kept never gets here: see `Kept`.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_resource(identity.resource())
        .build())
}

/// Spans of work whose trace is kept, and spans below them. The others cost the exporting layer nothing.
pub(crate) struct Kept;

fn is_of_interest(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Filter<S> for Kept {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        // The context of this filter knows only the spans that it let through.
        is_of_interest(metadata) && crate::trail::keeping().unwrap_or_else(|| context.lookup_current().is_some())
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_of_interest(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }
}
