//! Questions to a network: at its pace, and again when an answer did not come whole.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::clock::Clock;
use outbound::retry::{RetryPolicy, reading};
use outbound::{Answer, Client, ClientError, ProviderError, RequestBuilder};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::paging::{Addressing, Position, Shape};
use crate::report::Page;
use crate::settings::Calls;

/// Keeps calls apart, so that the network's limit is not reached in the first place.
struct Pace {
    gap: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    fn per_minute(calls: u64) -> Self {
        Self { gap: Duration::from_mins(1) / u32::try_from(calls.max(1)).unwrap_or(u32::MAX), next: Mutex::new(None) }
    }

    async fn wait(&self) {
        let turn = {
            let mut next = self.next.lock().await;
            let turn = next.map_or_else(Instant::now, |next| next.max(Instant::now()));
            *next = Some(turn + self.gap);
            turn
        };
        tokio::time::sleep_until(turn).await;
    }
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    /// When its question left. It shows how things stood then or later, and of two answers the one that was asked for later counts:
    /// a question that waits for its turn is not yet asked.
    pub(crate) asked_at: DateTime<Utc>,
}

/// Asks one network.
pub(crate) struct Caller {
    pub(crate) client: Client,
    retry: RetryPolicy,
    pace: Pace,
    clock: Arc<dyn Clock>,
}

impl Caller {
    pub(crate) fn new(
        provider: &'static str,
        calls: &Calls,
        per_minute: u64,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, ClientError> {
        let client = Client::new(provider, &calls.outbound)?;
        Ok(Self { client, retry: calls.retry, pace: Pace::per_minute(per_minute), clock: Arc::clone(clock) })
    }

    /// One call, at the network's pace.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Reply, ProviderError> {
        self.pace.wait().await;
        let asked_at = self.clock.now();
        let answer = self.client.send(request).await?;
        Ok(Reply { answer, asked_at })
    }

    /// Does `ask` until it gives a whole answer or the attempts are used up.
    pub(crate) async fn until_whole<T, F, Fut>(&self, ask: F) -> Result<T, ProviderError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, ProviderError>>,
    {
        reading(&self.retry, ask).await
    }

    /// A page, and where its piece goes on; a page that cannot be one of this reading is as good as unreadable. `size` is how many
    /// rows the network says that it puts on a page.
    pub(crate) fn placed(
        &self,
        page: Page,
        position: &Position,
        size: Option<u64>,
        addressing: Addressing,
    ) -> Result<(Page, Option<Position>), ProviderError> {
        let shape = Shape {
            rows: u64::try_from(page.rows.len()).unwrap_or(u64::MAX),
            size,
            total: page.total,
            first: page.check.first().and_then(|value| value.external_id.as_deref()),
        };
        let next = position.after(shape, addressing).map_err(|fault| self.unreadable(fault.to_string()))?;
        Ok((page, next))
    }

    /// An answer that cannot be read.
    pub(crate) fn unreadable(&self, detail: impl Into<String>) -> ProviderError {
        ProviderError::Unreadable { provider: self.client.provider(), detail: detail.into() }
    }

    /// JSON that cannot be read. The position only: what stands there may be a shopper's.
    pub(crate) fn bad_json(&self, error: &serde_json::Error) -> ProviderError {
        let kind = match error.classify() {
            serde_json::error::Category::Eof => "the JSON breaks off",
            serde_json::error::Category::Data => "the JSON has another shape",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "this is not JSON",
        };
        self.unreadable(format!("{kind} (line {}, column {})", error.line(), error.column()))
    }

    /// What a status means that every network uses alike. `said` is the network's own explanation.
    pub(crate) fn refusal(&self, answer: &Answer, said: &str) -> ProviderError {
        let provider = self.client.provider();
        let status = answer.status.as_u16();
        let detail = if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}, {said}") };
        match status {
            401 | 403 => ProviderError::Locked { provider, detail },
            408 | 425 | 429 | 500..=599 => ProviderError::TryLater { provider, detail, after: answer.retry_after() },
            // No redirect is part of a contract; one that comes is a wrong base URL or path.
            _ => ProviderError::Refused { provider, detail },
        }
    }
}
