//! Metrics, read by Prometheus at `/metrics`. Most are made through the OpenTelemetry API ([`meter`]); what is counted on a hot
//! path has handles that cost an atomic addition ([`histogram`]).

use std::sync::OnceLock;

pub use opentelemetry::KeyValue;
use opentelemetry::global;
pub use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};
use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, SdkMeterProvider, Stream};
pub use prometheus::local::LocalHistogram;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder, Registry, TextEncoder};
pub use prometheus::{Histogram as DirectHistogram, HistogramVec};

use crate::TelemetryError;
use crate::identity::Identity;

static REGISTRY: OnceLock<Registry> = OnceLock::new();

/// Bounds of what is measured in seconds: from a redirect to a long pull.
const SECONDS: &[f64] =
    &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];

pub(crate) fn install(identity: &Identity) -> Result<(), TelemetryError> {
    let registry = Registry::new();
    // There is one scope, so saying which one with every series says nothing.
    let exporter =
        opentelemetry_prometheus::exporter().with_registry(registry.clone()).scope_info_enabled(false).build()?;
    registry.register(Box::new(ProcessCollector::for_self()))?;
    global::set_meter_provider(
        SdkMeterProvider::builder()
            .with_reader(exporter)
            .with_view(in_seconds)
            .with_resource(identity.resource())
            .build(),
    );
    let _set_before = REGISTRY.set(registry);
    Ok(())
}

/// The library's bounds are made for milliseconds.
fn in_seconds(instrument: &Instrument) -> Option<Stream> {
    let is_in_seconds = instrument.unit() == "s" || instrument.name().ends_with("_seconds");
    if instrument.kind() != InstrumentKind::Histogram || !is_in_seconds {
        return None;
    }
    let bounds = Aggregation::ExplicitBucketHistogram { boundaries: SECONDS.to_vec(), record_min_max: false };
    Stream::builder().with_aggregation(bounds).build().ok()
}

/// Where instruments are made. Make each once and keep it.
#[must_use]
pub fn meter() -> Meter {
    global::meter("shop")
}

/// A histogram of seconds whose series, once looked up, cost an atomic addition or, as [`LocalHistogram`], less. Make it once
/// and keep it. Before telemetry started, and for a name that is taken, it counts for nobody.
#[must_use]
pub fn histogram(name: &str, about: &str, labels: &[&str]) -> Option<HistogramVec> {
    let options = prometheus::HistogramOpts::new(name, about).buckets(SECONDS.to_vec());
    let made = HistogramVec::new(options, labels).and_then(|histogram| {
        if let Some(registry) = REGISTRY.get() {
            registry.register(Box::new(histogram.clone()))?;
        }
        Ok(histogram)
    });
    made.inspect_err(|error| tracing::warn!(%error, name, "a histogram cannot be exported")).ok()
}

/// All metrics in Prometheus' text form; empty before telemetry started.
#[must_use]
pub fn text() -> String {
    let mut text = Vec::new();
    if let Some(registry) = REGISTRY.get()
        && let Err(error) = TextEncoder::new().encode(&registry.gather(), &mut text)
    {
        tracing::warn!(%error, "metrics could not be written out");
    }
    String::from_utf8(text).unwrap_or_default()
}
