//! Calls to one provider.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use config::Reader;
use reqwest::{Method, RequestBuilder, StatusCode, Url, header};
use telemetry::metrics::{Counter, Histogram, KeyValue};
use tracing::Instrument;

use crate::ProviderError;

/// The longest body that is read. No contract of ours comes near it; a longer one is a fault that must not take our
/// memory.
const BODY_LIMIT_BYTES: usize = 32 * 1024 * 1024;

/// The longest wait that a provider is believed to mean.
const LONGEST_WISH: Duration = Duration::from_hours(24);

/// How providers are called.
#[derive(Debug, Clone)]
pub struct Settings {
    timeout: Duration,
}

impl Settings {
    /// Reads `OUTBOUND_TIMEOUT_MS`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let millis = reader.default("OUTBOUND_TIMEOUT_MS", 15_000_u64, "how long a provider may take to answer");
        Self { timeout: Duration::from_millis(millis.max(1)) }
    }
}

/// Reads where a provider's API is, without the slash at its end. Each can be set, so that a simulator can stand in.
pub fn base_url(reader: &mut Reader<'_>, key: &str, default: &str, about: &str) -> String {
    let text = reader.default(key, default.to_owned(), about);
    match Url::parse(text.trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.query().is_none() => {}
        _ => reader.problem(format!("{key}: not a base URL such as {default}")),
    }
    text.trim().trim_end_matches('/').to_owned()
}

/// A client that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the client for {provider} could not be made")]
pub struct ClientError {
    provider: &'static str,
    #[source]
    source: reqwest::Error,
}

/// An answer with its body read.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: header::HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// How long the provider asks us to wait: `Retry-After` in seconds, or `X-RateLimit-Reset` as a time.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let number = |name: &str| self.headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        if let Some(seconds) = number("retry-after") {
            return Some(Duration::from_secs(seconds).min(LONGEST_WISH));
        }
        let reset = UNIX_EPOCH.checked_add(Duration::from_secs(number("x-ratelimit-reset")?))?;
        Some(reset.duration_since(SystemTime::now()).unwrap_or_default().min(LONGEST_WISH))
    }
}

/// Calls one provider. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    provider: &'static str,
    calls: Counter<u64>,
    seconds: Histogram<f64>,
}

impl Client {
    /// A client for `provider`, as it is named in metrics and errors.
    #[expect(clippy::disallowed_methods, reason = "this is the one door out")]
    pub fn new(provider: &'static str, settings: &Settings) -> Result<Self, ClientError> {
        // Where no service started, as in tests, nobody has chosen the cryptography yet.
        let _already_chosen = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(settings.timeout)
            // Sooner than a provider lets go of an idle connection: a request on one that is just being closed may or may not
            // have been taken.
            .pool_idle_timeout(Duration::from_secs(20))
            .connect_timeout(Duration::from_secs(5).min(settings.timeout))
            // A redirect would drop our headers or carry them elsewhere; each caller says what one means.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("shop/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| ClientError { provider, source })?;
        let meter = telemetry::metrics::meter();
        Ok(Self {
            http,
            provider,
            calls: meter.u64_counter("provider_calls").with_description("Calls to providers by outcome").build(),
            seconds: meter.f64_histogram("provider_call_seconds").with_description("How long providers took").build(),
        })
    }

    /// The provider's name, for errors.
    #[must_use]
    pub const fn provider(&self) -> &'static str {
        self.provider
    }

    /// Begins a request.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends a request and reads the whole answer, whatever its status. An error tells whether the request can have reached
    /// the provider: one that could not connect has not.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, ProviderError> {
        let span = tracing::info_span!(
            "provider.call",
            otel.kind = "client",
            provider = self.provider,
            http.response.status_code = tracing::field::Empty,
        );
        let begin = Instant::now();
        let result = self.exchange(request).instrument(span.clone()).await;
        let outcome = match &result {
            Ok(answer) if answer.status.is_success() => "ok",
            Ok(answer) if answer.status.is_server_error() => "server_error",
            Ok(_) => "client_error",
            Err(ProviderError::TryLater { .. }) => "unreachable",
            Err(_) => "unknown",
        };
        if let Ok(answer) = &result {
            span.record("http.response.status_code", answer.status.as_u16());
        }
        let labels = [KeyValue::new("provider", self.provider), KeyValue::new("outcome", outcome)];
        self.calls.add(1, &labels);
        self.seconds.record(begin.elapsed().as_secs_f64(), &labels);
        result
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Answer, ProviderError> {
        let provider = self.provider;
        let unknown = |error: reqwest::Error| ProviderError::Unknown { provider, source: error.without_url() };
        let mut response = request.send().await.map_err(|error| {
            if error.is_connect() {
                let detail = format!("no connection: {}", telemetry::chain(&error.without_url()));
                ProviderError::TryLater { provider, detail, after: None }
            } else if error.is_builder() {
                ProviderError::Refused {
                    provider,
                    detail: format!("the request cannot be made: {}", error.without_url()),
                }
            } else {
                unknown(error)
            }
        })?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unknown)? {
            if body.len().saturating_add(chunk.len()) > BODY_LIMIT_BYTES {
                let detail = format!("a body longer than {BODY_LIMIT_BYTES} bytes");
                return Err(ProviderError::Unreadable { provider, detail });
            }
            body.extend_from_slice(&chunk);
        }
        let body = match String::from_utf8(body) {
            Ok(text) => text,
            // Error pages come in any encoding; what is not UTF-8 in a contract's answer fails where it is decoded.
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        Ok(Answer { status, headers, body })
    }
}
