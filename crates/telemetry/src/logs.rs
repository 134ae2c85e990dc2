//! Log lines on stdout: JSON for machines, coloured text on a terminal.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt as lines};

use crate::TelemetryError;
use crate::identity::Identity;
use crate::lines::Lines;
use crate::traces::Kept;

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
    identity: &Identity,
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
        lines::layer().fmt_fields(Lines::fields()).event_format(Lines::of(identity)).boxed()
    } else {
        lines::layer().compact().with_target(false).boxed()
    };
    let spans = tracer.map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(identity.service))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(Kept)
    });
    tracing_subscriber::registry()
        .with(layer.with_filter(filter(directives)?))
        .with(spans)
        .with(
            Work.with_filter(
                filter_fn(|of| of.is_span() && *of.level() <= Level::INFO).with_max_level_hint(Level::INFO),
            ),
        )
        .try_init()?;
    Ok(())
}

/// Asks for the spans of work, whatever is logged: they carry the trail.
struct Work;

impl<S: Subscriber> Layer<S> for Work {}
