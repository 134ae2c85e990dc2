//! Asking again: exponential back-off with jitter, and the provider's own wish where it names one.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use config::Reader;

use crate::ProviderError;

/// How often and how patiently to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many times to ask in all, the first included.
    pub attempts: usize,
    /// The pause after the first failure; it doubles each time, and up to its own length is added at random.
    pub first: Duration,
    /// The longest wait that is done here. When the provider asks for a longer one, the error goes to the caller at
    /// once, who can put the work away until then.
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 3, first: Duration::from_secs(1), longest: Duration::from_mins(2) }
    }
}

impl RetryPolicy {
    /// Reads `PROVIDER_RETRY_ATTEMPTS`, `PROVIDER_RETRY_FIRST_MS` and `PROVIDER_RETRY_LONGEST_MS`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let attempts = reader.default("PROVIDER_RETRY_ATTEMPTS", 3_usize, "how many times a provider is asked in all");
        let first = reader.default("PROVIDER_RETRY_FIRST_MS", 1_000_u64, "the pause before the second attempt");
        let longest = reader.default("PROVIDER_RETRY_LONGEST_MS", 120_000_u64, "the longest pause inside one job");
        Self {
            attempts: attempts.max(1),
            first: Duration::from_millis(first.max(1)),
            longest: Duration::from_millis(longest),
        }
    }
}

/// Does `call` until it succeeds, fails for good, or has been done `attempts` times. Only for requests that may be
/// repeated: an answer that got lost is asked for again.
pub async fn reading<T, F, Fut>(policy: &RetryPolicy, call: F) -> Result<T, ProviderError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, ProviderError>>,
{
    let longest = policy.longest;
    let backoff = ExponentialBuilder::default()
        .with_min_delay(policy.first)
        .with_max_delay(longest)
        .with_max_times(policy.attempts.saturating_sub(1))
        .with_jitter();
    call.retry(backoff)
        .sleep(tokio::time::sleep)
        .when(ProviderError::is_transient)
        // The wish of the provider comes on top of the jittered pause, so that replicas do not come back as one.
        .adjust(move |error: &ProviderError, pause| match (error.retry_after(), pause) {
            (Some(wish), Some(pause)) if wish <= longest => Some(wish.saturating_add(pause.min(wish))),
            (Some(_too_long), _) => None,
            (None, pause) => pause,
        })
        .notify(|error: &ProviderError, pause| {
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            let (provider, cause) = (error.provider(), telemetry::chain(error));
            tracing::info!(provider, pause_ms, error.chain = cause, "a provider is asked again");
        })
        .await
}
