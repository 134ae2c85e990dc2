//! The one door out: a client with time-outs, metrics and an error that says what may be done next.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use config::Reader;
pub use reqwest::{Method, RequestBuilder, StatusCode, header};
use telemetry::metrics::{Counter, Histogram, KeyValue};

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

/// Why a provider did not do what was asked, by what may be done next.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It did not take the request; the same request may succeed later.
    #[error("{provider} cannot take requests now: {detail}")]
    TryLater {
        /// Who.
        provider: &'static str,
        /// What it said.
        detail: String,
        /// How long it asked us to wait.
        after: Option<Duration>,
    },
    /// It refused; the same request will be refused again.
    #[error("{provider} refused: {detail}")]
    Refused {
        /// Who.
        provider: &'static str,
        /// What it said.
        detail: String,
    },
    /// It does not let us in, or our account is out of order: nothing will succeed until a person acts.
    #[error("{provider} does not serve us: {detail}")]
    Locked {
        /// Who.
        provider: &'static str,
        /// What it said.
        detail: String,
    },
    /// The request was sent and no answer came: it may have had its effect.
    #[error("{provider} did not answer in time; whether it acted is unknown")]
    Unknown {
        /// Who.
        provider: &'static str,
        /// What happened on the wire.
        #[source]
        source: reqwest::Error,
    },
    /// It answered with something that is not its contract.
    #[error("{provider} answered with something unreadable: {detail}")]
    Unreadable {
        /// Who.
        provider: &'static str,
        /// What came.
        detail: String,
    },
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
    /// The start of the body, for messages; providers repeat our input in their errors, so keep it out of logs where that is personal.
    #[must_use]
    pub fn excerpt(&self) -> String {
        self.body.chars().take(200).collect()
    }

    /// How long the provider asks us to wait: `Retry-After` in seconds, or `X-RateLimit-Reset` as a time.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let number = |name: &str| self.headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        if let Some(seconds) = number("retry-after") {
            return Some(Duration::from_secs(seconds.min(86_400)));
        }
        let reset = UNIX_EPOCH + Duration::from_secs(number("x-ratelimit-reset")?);
        Some(reset.duration_since(SystemTime::now()).unwrap_or_default().min(Duration::from_secs(86_400)))
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
    pub fn new(provider: &'static str, settings: &Settings) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(settings.timeout)
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("shop/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let meter = telemetry::metrics::meter();
        Ok(Self {
            http,
            provider,
            calls: meter.u64_counter("provider_calls").with_description("Calls to providers by outcome").build(),
            seconds: meter.f64_histogram("provider_call_seconds").with_description("How long providers took").build(),
        })
    }

    /// Begins a request.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends a request and reads the whole answer, whatever its status. An error tells whether the request can have reached
    /// the provider: one that could not connect has not.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, ProviderError> {
        let begin = Instant::now();
        let result = self.exchange(request).await;
        let outcome = match &result {
            Ok(answer) if answer.status.is_success() => "ok",
            Ok(answer) if answer.status.is_server_error() => "server_error",
            Ok(_) => "client_error",
            Err(ProviderError::TryLater { .. }) => "unreachable",
            Err(_) => "unknown",
        };
        let labels = [KeyValue::new("provider", self.provider), KeyValue::new("outcome", outcome)];
        self.calls.add(1, &labels);
        self.seconds.record(begin.elapsed().as_secs_f64(), &labels);
        result
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Answer, ProviderError> {
        let provider = self.provider;
        let response = request.send().await.map_err(|error| {
            let error = error.without_url();
            if error.is_connect() || error.is_builder() {
                ProviderError::TryLater { provider, detail: "no connection".to_owned(), after: None }
            } else {
                ProviderError::Unknown { provider, source: error }
            }
        })?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body =
            response.text().await.map_err(|error| ProviderError::Unknown { provider, source: error.without_url() })?;
        Ok(Answer { status, headers, body })
    }
}
