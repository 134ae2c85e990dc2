//! Log lines on stdout: JSON for machines, coloured text on a terminal.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt as lines};

use crate::TelemetryError;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Auto,
    Json,
    Pretty,
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err("not a log format (auto, json or pretty)"),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Pretty => "pretty",
        })
    }
}

pub(crate) fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(text)
}

pub(crate) fn install(
    service: &'static str,
    directives: &str,
    format: Format,
    tracer: Option<&SdkTracerProvider>,
) -> Result<(), TelemetryError> {
    let json = match format {
        Format::Auto => !std::io::stdout().is_terminal(),
        Format::Json => true,
        Format::Pretty => false,
    };
    let layer = if json {
        lines::layer().json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    } else {
        lines::layer().compact().with_target(false).boxed()
    };
    let spans = tracer.map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(service)));
    tracing_subscriber::registry().with(filter(directives)?).with(layer).with(spans).try_init()?;
    Ok(())
}
