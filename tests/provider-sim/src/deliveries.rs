//! Webhooks and postbacks on their way to us: what was sent, when, and what was answered.

use crate::provider::Provider;
use crate::settings::Retry;
use crate::sim::Sim;
use actix_web::web::Bytes;
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many deliveries are kept, and how many bytes of bodies: a batch of events can be large.
const KEPT: usize = 5_000;
const BYTES_KEPT: usize = 64_000_000;

/// A call that is to be made.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) source: Provider,
    /// `payment.captured`, `postback approved`, `batch of 3`.
    pub(crate) event: String,
    pub(crate) event_id: Option<String>,
    /// The entity it tells about, so that a test finds its deliveries.
    pub(crate) entity: String,
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// Tried again when not answered with 2xx.
    pub(crate) retried: bool,
}

/// One try of a delivery.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Attempt {
    pub(crate) at: DateTime<Utc>,
    /// The answer, or nothing when none came.
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    /// The first bytes of the answer.
    pub(crate) answer: String,
    pub(crate) duration_ms: u128,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Recorded while `hold_webhooks` was on.
    Held,
    /// Under way, or waiting for its next try.
    Pending,
    /// Answered with 2xx.
    Delivered,
    /// Given up.
    Failed,
}

/// A delivery with its history.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) id: u64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) draft: Draft,
    pub(crate) state: State,
    pub(crate) attempts: Vec<Attempt>,
    /// The delivery this one repeats.
    pub(crate) resend_of: Option<u64>,
}

/// The last deliveries.
#[derive(Debug, Default)]
pub(crate) struct Log {
    next: u64,
    list: VecDeque<Delivery>,
    bytes: usize,
    /// Counts over everything since the start.
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
}

impl Log {
    fn add(&mut self, draft: Draft, state: State, at: DateTime<Utc>, resend_of: Option<u64>) -> u64 {
        self.next += 1;
        let id = self.next;
        self.bytes += draft.body.len();
        self.list.push_back(Delivery { id, created_at: at, draft, state, attempts: Vec::new(), resend_of });
        while self.list.len() > KEPT || (self.bytes > BYTES_KEPT && self.list.len() > 1) {
            let gone = self.list.pop_front();
            self.bytes -= gone.map_or(0, |delivery| delivery.draft.body.len());
        }
        id
    }

    /// A delivery by its number.
    pub(crate) fn get(&self, id: u64) -> Option<&Delivery> {
        let index = id.checked_sub(self.list.front()?.id)?;
        self.list.get(usize::try_from(index).ok()?)
    }

    fn get_mut(&mut self, id: u64) -> Option<&mut Delivery> {
        let index = id.checked_sub(self.list.front()?.id)?;
        self.list.get_mut(usize::try_from(index).ok()?)
    }

    /// All that are kept, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Delivery> {
        self.list.iter()
    }

    /// How many are still under way.
    pub(crate) fn pending(&self) -> usize {
        self.list.iter().filter(|d| d.state == State::Pending).count()
    }
}

impl Sim {
    /// Records calls and sends them one after the other in the background; returns their numbers. A call that fails
    /// is tried again beside the others, so that it does not hold them up.
    pub(crate) fn deliver(self: &Arc<Self>, drafts: Vec<Draft>) -> Vec<u64> {
        self.deliver_as(drafts, None)
    }

    /// Sends a recorded call again, with the same bytes and event id.
    pub(crate) fn deliver_again(self: &Arc<Self>, id: u64, draft: Draft) -> Vec<u64> {
        self.deliver_as(vec![draft], Some(id))
    }

    fn deliver_as(self: &Arc<Self>, drafts: Vec<Draft>, resend_of: Option<u64>) -> Vec<u64> {
        if drafts.is_empty() {
            return Vec::new();
        }
        let (ids, held, epoch) = {
            let mut world = self.world();
            let held = world.settings.hold_webhooks && resend_of.is_none();
            let state = if held { State::Held } else { State::Pending };
            let now = world.now();
            let ids: Vec<u64> =
                drafts.iter().map(|draft| world.deliveries.add(draft.clone(), state, now, resend_of)).collect();
            (ids, held, world.epoch)
        };
        if !held {
            let sim = Arc::clone(self);
            let numbered: Vec<(u64, Draft)> = ids.iter().copied().zip(drafts).collect();
            self.in_background(async move {
                for (id, draft) in numbered {
                    if !sim.attempt(epoch, id, &draft).await && draft.retried {
                        let again = Arc::clone(&sim);
                        sim.in_background(async move { again.retry(epoch, id, draft).await });
                    }
                }
            });
        }
        ids
    }

    /// Tries the rest of the attempts with growing pauses.
    async fn retry(self: Arc<Self>, epoch: u64, id: u64, draft: Draft) {
        let mut tries = 1;
        loop {
            let policy = self.world().settings.retry;
            if tries >= policy.max_attempts {
                break;
            }
            tokio::time::sleep(pause(policy, tries)).await;
            tries += 1;
            if self.attempt(epoch, id, &draft).await {
                return;
            }
        }
        let mut world = self.world();
        if world.epoch == epoch
            && let Some(delivery) = world.deliveries.get_mut(id)
        {
            delivery.state = State::Failed;
            world.deliveries.failed += 1;
        }
    }

    /// One try; true when it was answered with 2xx or nobody waits for it any more.
    async fn attempt(&self, epoch: u64, id: u64, draft: &Draft) -> bool {
        let timeout = {
            let world = self.world();
            if world.epoch != epoch {
                return true;
            }
            Duration::from_millis(world.settings.retry.timeout_ms.max(1))
        };
        // Closed never: the permits live as long as the simulator.
        let _permit = self.calls.acquire().await;
        let started = Instant::now();
        let outcome = self.call(draft, timeout).await;
        let duration_ms = started.elapsed().as_millis();
        let mut world = self.world();
        if world.epoch != epoch {
            return true;
        }
        let at = world.now();
        let (status, error, answer) = match outcome {
            Ok((status, answer)) => (Some(status), None, answer),
            Err(error) => (None, Some(chain(&error)), String::new()),
        };
        let done = status.is_some_and(|s| (200..300).contains(&s));
        if done {
            world.deliveries.delivered += 1;
        } else if !draft.retried {
            world.deliveries.failed += 1;
        }
        if !done {
            tracing::warn!(
                source = draft.source.name(),
                event = %draft.event,
                status,
                error = error.as_deref(),
                "a webhook was not taken"
            );
        }
        if let Some(delivery) = world.deliveries.get_mut(id) {
            delivery.attempts.push(Attempt { at, status, error, answer, duration_ms });
            if done {
                delivery.state = State::Delivered;
            } else if !draft.retried {
                delivery.state = State::Failed;
            }
        }
        done
    }

    async fn call(&self, draft: &Draft, timeout: Duration) -> Result<(u16, String), reqwest::Error> {
        let mut request = self.http.request(draft.method.clone(), &draft.url).timeout(timeout);
        for (name, value) in &draft.headers {
            request = request.header(name, value);
        }
        let response = request.body(draft.body.clone()).send().await?;
        let status = response.status().as_u16();
        let answer = response.text().await.unwrap_or_default();
        Ok((status, answer.chars().take(200).collect()))
    }
}

/// The pause after the `tries`-th failed try.
fn pause(policy: Retry, tries: u32) -> Duration {
    let factor = 1_u64.checked_shl(tries.saturating_sub(1)).unwrap_or(u64::MAX);
    Duration::from_millis(policy.base_ms.saturating_mul(factor).min(policy.max_ms))
}

/// An error with its causes, the URL (which holds our secret) left out.
fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "no answer in time".to_owned() } else { "no answer".to_owned() };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
