//! The way of every message, whatever its channel: claimed in Postgres, sent once, its outcome written down.
//!
//! ```text
//!  job ─▶ claim ─┬─ Send ─▶ provider ─┬─ accepted ─▶ sent
//!                │                    ├─ refused ──▶ failed, dead letter
//!                │                    ├─ surely not taken ─▶ retry, the job waits and burns no attempt
//!                │                    └─ no answer ─▶ unknown ─┐
//!                ├─ InDoubt ◀──────────────────────────────────┴─ (or the process died): a report settles it, or see Policy
//!                ├─ Withheld: suppressed, throttled, superseded ─▶ done
//!                └─ Settled ─▶ done; refused before and put back by an operator ─▶ Send, unless a provider may have it
//! ```

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use chrono::{DateTime, TimeDelta, Utc};
use domain::clock::{Clock, SystemClock};
use domain::ids::NotificationId;
use queue::JobError;
use store::notifications::{self, Answer, Channel, Claim, Message, Settlement};
use store::suppressions::{self, AddressHash};
use store::{Pool, StoreError};
use telemetry::metrics::{Counter, KeyValue, meter};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::batch::{AsyncRun, BatchError, Batcher};
use crate::deadline::Deadline;
use crate::outcome::Outcome;
use crate::policy::Policy;

/// How long a message is tried before it is given up. A provider's outage burns no tries, only time.
const PATIENCE: TimeDelta = TimeDelta::days(1);
/// How long a second delivery waits for the first to have its outcome.
const IN_HAND: Duration = Duration::from_secs(45);
/// How long anybody waits to learn what became of a message without an answer.
const LONGEST_DOUBT: Duration = Duration::from_hours(24);
/// What a job waits when Postgres cannot be had.
const STORE_PAUSE: Duration = Duration::from_secs(2);
/// What a job waits when too many others were before it.
const CROWDED_PAUSE: Duration = Duration::from_secs(2);

/// What a try brought: who was asked, what they said, and the parts of an SMS.
pub(crate) struct Tried {
    pub(crate) provider: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) parts: Option<i16>,
}

/// Leads messages through claim, try and settlement. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Desk {
    pool: Pool,
    /// One for each message that may be between its claim and its answer.
    may_claim: Arc<Semaphore>,
    /// One for each message that a provider may be asked for at a time.
    may_ask: Arc<Semaphore>,
    claims: Batcher<Message, Claim>,
    answers: Batcher<Answer, ()>,
    messages: Counter<u64>,
}

struct Claims(Pool);

impl AsyncRun<Message, Claim> for Claims {
    async fn run(&self, batch: Vec<Message>) -> Result<Vec<Claim>, StoreError> {
        notifications::claim(&self.0.get().await?, &batch).await
    }

    /// A message that was claimed too late for its job was asked of nobody. Left as it is it would be in doubt, and never sent.
    async fn undo(&self, unheard: Vec<Claim>) {
        let retry = || Settlement::Retry("claimed when its job's time had run out".to_owned());
        let answers: Vec<_> = unheard
            .into_iter()
            .filter_map(|claim| match claim {
                Claim::Send { id, .. } => Some(Answer::of(id, "nobody", retry())),
                Claim::Withheld { .. } | Claim::InDoubt { .. } | Claim::Settled(_) => None,
            })
            .collect();
        if answers.is_empty() {
            return;
        }
        let settle = async { notifications::settle(&self.0.get().await?, &answers).await };
        if let Err(error) = settle.await {
            tracing::error!(
                messages = answers.len(),
                error.chain = telemetry::chain(&error),
                "messages that were claimed too late stay in doubt"
            );
        }
    }
}

struct Answers(Pool);

impl AsyncRun<Answer, ()> for Answers {
    async fn run(&self, batch: Vec<Answer>) -> Result<Vec<()>, StoreError> {
        notifications::settle(&self.0.get().await?, &batch).await?;
        Ok(vec![(); batch.len()])
    }
}

fn permits(count: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS)))
}

fn no_store(error: BatchError) -> JobError {
    if error.is_transient() { JobError::Defer(STORE_PAUSE, error.into()) } else { JobError::Retry(error.into()) }
}

/// How many messages are claimed so that `at_once` of them are being asked for: the next ones stand ready while a place at the
/// provider becomes free. No more than an eighth: should the process die, they are in doubt although nobody was asked.
const fn claimed(at_once: usize) -> usize {
    at_once.saturating_add(at_once.div_ceil(8))
}

/// How many jobs a worker takes in hand so that `at_once` of them are being asked for: those that stand ready, and those whose
/// outcome is being written down and whose end Redis is told of. No more than half as many again: a code that comes now waits
/// behind those who wait for their claim.
pub(crate) const fn in_hand(at_once: usize) -> usize {
    at_once.saturating_add(at_once.div_ceil(2))
}

impl Desk {
    /// A desk over `pool` for one channel, which asks for at most `at_once` messages at a time.
    pub(crate) fn open(pool: Pool, at_once: usize, tasks: &TaskTracker) -> Self {
        let key = |message: &Message| (message.event_key.clone(), message.channel, message.template);
        Self {
            claims: Batcher::start(tasks, key, Claims(pool.clone())),
            answers: Batcher::start(tasks, |answer: &Answer| answer.id, Answers(pool.clone())),
            pool,
            may_claim: permits(claimed(at_once)),
            may_ask: permits(at_once),
            messages: meter()
                .u64_counter("notifications")
                .with_description("Messages by channel, template and what became of them here")
                .build(),
        }
    }

    /// Delivers a message at most once. `attempt` asks a provider, and is back by `deadline`; it is called only when nobody can
    /// have the message. `replayed_at`: when an operator put it back from the dead letters.
    pub(crate) async fn deliver(
        &self,
        message: Message,
        policy: Policy,
        replayed_at: Option<DateTime<Utc>>,
        deadline: Deadline,
        attempt: impl AsyncFnOnce(NotificationId) -> Tried,
    ) -> queue::Outcome {
        let labels = Labels { channel: message.channel, address: message.address, template: message.template };
        let (provider, queued_at) = (message.provider, message.queued_at);
        if replayed_at.is_some() {
            let client = self.pool.get().await.map_err(store_error)?;
            if notifications::reopen(&client, &message).await.map_err(store_error)? {
                tracing::info!(template = labels.template, "a message that was refused is tried again for an operator");
            }
        }
        let Some(claimed) = deadline.before(self.may_claim.acquire()).await else {
            return Err(JobError::Defer(CROWDED_PAUSE, anyhow!("too many messages were before it")));
        };
        let claim = self.claims.run(message).await.map_err(no_store)?;
        let (id, tries) = match claim {
            Claim::Send { id, attempt } => (id, attempt),
            Claim::InDoubt { id, seconds } => match self.in_doubt(id, seconds, policy, &labels).await? {
                Some(tries) => (id, tries),
                None => return Ok(()),
            },
            Claim::Withheld { status, reason } => {
                tracing::info!(notification.status = status, reason, template = labels.template, "message withheld");
                self.count(&labels, "withheld");
                return Ok(());
            }
            // An operator who asks for it must not take silence for a mail.
            Claim::Settled(status) if replayed_at.is_some() && status == "failed" => {
                return Err(JobError::Fail(anyhow!(
                    "the provider had this message or may have it: it is not sent again"
                )));
            }
            Claim::Settled(_) => {
                self.count(&labels, "repeated");
                return Ok(());
            }
        };
        let place = deadline.before(self.may_ask.acquire()).await;
        let now = SystemClock.now();
        if policy.is_stale(queued_at, now) {
            self.settle(Answer::of(id, provider, Settlement::Expired)).await?;
            self.count(&labels, "expired");
            return Ok(());
        }
        let tried = if place.is_some() {
            attempt(id).await
        } else {
            Tried { provider, outcome: Outcome::too_late(), parts: None }
        };
        drop((place, claimed));
        let asked_for_at = replayed_at.map_or(queued_at, |replayed_at| replayed_at.max(queued_at));
        let is_patient = now.signed_duration_since(asked_for_at) < PATIENCE;
        self.conclude(id, tries, policy, &labels, tried, is_patient).await
    }

    async fn conclude(
        &self,
        id: NotificationId,
        tries: i32,
        policy: Policy,
        labels: &Labels,
        tried: Tried,
        is_patient: bool,
    ) -> queue::Outcome {
        let Tried { provider, outcome, parts } = tried;
        self.count(labels, outcome.name());
        let may_be_taken = outcome.is_in_doubt();
        let answer = |settlement| Answer { may_be_taken, ..Answer::of(id, provider, settlement) };
        match outcome {
            Outcome::Accepted(provider_id) => {
                self.settle(Answer { parts, ..answer(Settlement::Sent(provider_id)) }).await
            }
            Outcome::Refused { reason, bad_address } => {
                if bad_address {
                    self.suppress(id, labels).await;
                }
                self.give_up(answer(Settlement::Failed(reason)), policy).await
            }
            Outcome::TryLater { reason, after, .. } if is_patient => {
                self.settle(answer(Settlement::Retry(reason.clone()))).await?;
                Err(JobError::Defer(after.unwrap_or_else(|| pause(id, tries)), anyhow!("{provider}: {reason}")))
            }
            Outcome::TryLater { reason, .. } => {
                self.give_up(answer(Settlement::Failed(format!("{reason} ({tries} tries)"))), policy).await
            }
            Outcome::NotAsked(wait) => {
                self.settle(answer(Settlement::Retry("the provider is down".to_owned()))).await?;
                Err(JobError::Defer(wait, anyhow!("{provider} is not asked while its circuit is open")))
            }
            Outcome::Locked { reason } => {
                self.settle(answer(Settlement::Retry(reason.clone()))).await?;
                Err(JobError::Defer(Duration::from_secs(60), anyhow!("{provider}: {reason}")))
            }
            Outcome::Unknown { reason } => {
                tracing::warn!(notification.id = %id, provider, reason, "whether the message was taken is unknown");
                self.settle(answer(Settlement::Unknown(reason.clone()))).await?;
                match policy.again_after {
                    Some(wait) => Err(JobError::Defer(wait, anyhow!("{provider}: {reason}"))),
                    None => Ok(()),
                }
            }
        }
    }

    /// A message that was asked for without an answer. `Some` when it may be sent after all.
    async fn in_doubt(
        &self,
        id: NotificationId,
        seconds: f64,
        policy: Policy,
        labels: &Labels,
    ) -> Result<Option<i32>, JobError> {
        if seconds < IN_HAND.as_secs_f64() {
            return Err(JobError::Defer(IN_HAND, anyhow!("another delivery of this message is under way")));
        }
        if let Some(wait) = policy.again_after {
            let client = self.pool.get().await.map_err(store_error)?;
            if let Some(tries) = notifications::take_over(&client, id, wait.as_secs_f64()).await.map_err(store_error)? {
                tracing::warn!(notification.id = %id, "no report came of a message while others were reported: it is sent again");
                return Ok(Some(tries));
            }
            if seconds < LONGEST_DOUBT.as_secs_f64() {
                return Err(JobError::Defer(wait, anyhow!("no answer and no report yet")));
            }
        }
        tracing::error!(notification.id = %id, template = labels.template, "nobody knows whether this message was sent; it is not sent again");
        self.count(labels, "lost_sight_of");
        let lost = Settlement::Unknown("the sender died or got no answer".to_owned());
        self.settle(Answer { may_be_taken: true, ..Answer::of(id, "unknown", lost) }).await?;
        Ok(None)
    }

    /// Refused for good: to the dead letters, unless the payload holds a secret that is worth nothing any more.
    async fn give_up(&self, answer: Answer, policy: Policy) -> queue::Outcome {
        let (id, provider, reason) = (answer.id, answer.provider, answer.settlement.reason().to_owned());
        self.settle(answer).await?;
        if policy.secret {
            tracing::error!(notification.id = %id, provider, reason, "message refused");
            return Ok(());
        }
        Err(JobError::Fail(anyhow!("{provider}: {reason}")))
    }

    /// An address that the provider knows to be none is not asked for again. Losing this costs one more refusal.
    async fn suppress(&self, id: NotificationId, labels: &Labels) {
        let insert = async {
            let client = self.pool.get().await?;
            suppressions::insert(&client, labels.channel, &labels.address, None, "invalid").await
        };
        if let Err(error) = insert.await {
            tracing::warn!(notification.id = %id, error.chain = telemetry::chain(&error), "a wrong address was not noted");
        }
    }

    /// Writes an outcome down. The provider has acted, so this is tried for as long as the job's own time allows.
    async fn settle(&self, answer: Answer) -> queue::Outcome {
        let id = answer.id;
        let mut pause = Duration::from_millis(50);
        for _ in 0..6 {
            match self.answers.run(answer.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_transient() => {
                    tracing::warn!(notification.id = %id, error.chain = telemetry::chain(&error), "an outcome was not written down yet");
                    tokio::time::sleep(pause).await;
                    pause *= 3;
                }
                Err(error) => return Err(no_store(error)),
            }
        }
        // The row says `sending`: the next delivery of the job finds it in doubt and does not send again.
        Err(JobError::Defer(IN_HAND, anyhow!("the outcome could not be written down")))
    }

    fn count(&self, labels: &Labels, outcome: &'static str) {
        self.messages.add(
            1,
            &[
                KeyValue::new("channel", labels.channel.name()),
                KeyValue::new("template", labels.template),
                KeyValue::new("outcome", outcome),
            ],
        );
    }
}

struct Labels {
    channel: Channel,
    address: AddressHash,
    template: &'static str,
}

/// A failed statement of one job.
pub(crate) fn store_error(error: StoreError) -> JobError {
    no_store(BatchError::Store(Arc::new(error)))
}

/// 1 s, 2 s, 4 s … 10 min, each spread over its second half by the message's own id.
fn pause(id: NotificationId, tries: i32) -> Duration {
    let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(0).min(10);
    let bound = Duration::from_secs(2_u64.saturating_pow(doublings)).min(Duration::from_mins(10));
    let spread = u32::from(id.as_uuid().as_bytes().last().copied().unwrap_or(0));
    bound / 2 + bound * spread / 512
}
