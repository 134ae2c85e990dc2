//! Metrics: made through the OpenTelemetry API, read by Prometheus at `/metrics`.

use std::sync::OnceLock;

pub use opentelemetry::KeyValue;
use opentelemetry::global;
pub use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Encoder, Registry, TextEncoder};

static REGISTRY: OnceLock<Registry> = OnceLock::new();

pub(crate) fn install(service: &'static str) -> Result<(), OTelSdkError> {
    let registry = Registry::new();
    let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build()?;
    global::set_meter_provider(
        SdkMeterProvider::builder()
            .with_reader(exporter)
            .with_resource(Resource::builder().with_service_name(service).build())
            .build(),
    );
    let _set_before = REGISTRY.set(registry);
    Ok(())
}

/// Where instruments are made. Make each once and keep it.
#[must_use]
pub fn meter() -> Meter {
    global::meter("shop")
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
