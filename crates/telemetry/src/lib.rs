//! Logs, traces and metrics: how a service is seen from outside. What is measured is the business of those who measure.

mod causes;
mod identity;
mod lines;
mod logs;
pub mod metrics;
pub mod propagation;
mod traces;
mod trail;

pub use causes::chain;
use config::Reader;
pub use trail::Trail;

use crate::identity::Identity;

/// How a service shows itself.
#[derive(Debug, Clone)]
pub struct Settings {
    log_filter: String,
    log_format: logs::Format,
    otlp_endpoint: Option<String>,
    trace_ratio: f64,
}

impl Settings {
    /// Reads `RUST_LOG`, `LOG_FORMAT` and the standard `OTEL_*` variables.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let settings = Self {
            log_filter: reader.default("RUST_LOG", "info".to_owned(), "which logs are written, e.g. info,queue=debug"),
            log_format: reader.default(
                "LOG_FORMAT",
                logs::Format::Auto,
                "json, pretty, or auto (pretty on a terminal)",
            ),
            otlp_endpoint: reader
                .optional("OTEL_EXPORTER_OTLP_ENDPOINT", "where traces go (OTLP over HTTP); none are made without it"),
            trace_ratio: reader.default("OTEL_TRACES_SAMPLER_ARG", 0.1, "the share of new traces that is kept, 0 to 1"),
        };
        if let Err(error) = logs::filter(&settings.log_filter) {
            reader.problem(format!("RUST_LOG: {error}"));
        }
        settings
    }
}

/// Keeps telemetry going; [`Telemetry::shutdown`] sends what is still held.
pub struct Telemetry {
    tracer: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log filter is not one.
    #[error("the log filter cannot be read")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The exporter of traces cannot be built.
    #[error("the exporter of traces cannot be built")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The metrics cannot be exported.
    #[error("the metrics cannot be exported")]
    Metrics(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// The figures of the process cannot be exported.
    #[error("the figures of the process cannot be exported")]
    Process(#[from] prometheus::Error),
    /// Logging was started before.
    #[error("logging was started twice in this process")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logs, traces and metrics for `service`. Call it once, inside the runtime.
pub fn init(service: &'static str, settings: &Settings) -> Result<Telemetry, TelemetryError> {
    let identity = Identity::of(service);
    let tracer = settings
        .otlp_endpoint
        .as_deref()
        .map(|endpoint| traces::provider(&identity, endpoint, settings.trace_ratio))
        .transpose()?;
    metrics::install(&identity)?;
    logs::install(&identity, &settings.log_filter, settings.log_format, tracer.as_ref())?;
    Ok(Telemetry { tracer })
}

impl Telemetry {
    /// Sends what is still held. Waits a few seconds at most: an exporter that is down must not hold up the end.
    pub fn shutdown(self) {
        if let Some(tracer) = self.tracer
            && let Err(error) = tracer.shutdown_with_timeout(std::time::Duration::from_secs(3))
        {
            tracing::debug!(%error, "the last traces were not sent");
        }
    }
}
