//! Working off stored webhooks: each once by itself, and again when an operator asks.

use std::sync::Arc;
use std::time::Duration;

use domain::ids::{ReplayId, WebhookId};
use domain::jobs::payment::ProcessPaymentEvent;
use domain::jobs::receipt::ProcessReceipts;
use domain::jobs::webhook::ReplayWebhook;
use queue::{Handler, JobContext, JobError, Outcome};
use store::outbox::{Lane, push};
use store::webhooks::{ReplayOutcome, Stored, Verdict, WorkedOff, find, find_replay, finish_replay, mark_processed};
use store::withdrawals::PayoutError;
use store::{GenericClient, Pool, StoreError};

use crate::alerts::Alerts;
use crate::source::{Effect, Malformed, Verified};
use crate::sources::Sources;
use crate::{payments, proof, receipts};

/// How long a job waits when Postgres is not there. No attempt is used up.
const POSTGRES_PAUSE: Duration = Duration::from_secs(2);

/// Why a webhook was not worked off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    #[error("webhook {0} is not stored")]
    NotStored(WebhookId),
    #[error("replay {0} is not stored")]
    NoReplay(ReplayId),
    #[error("webhook {0} was not verified: it is never worked off")]
    NotVerified(WebhookId),
    #[error("source {0} is not switched on here")]
    SourceOff(String),
    #[error("the stored content cannot be read")]
    Malformed(#[from] Malformed),
    #[error("no order of ours has the provider's id {0}")]
    UnknownOrder(String),
    #[error("payment {0} was not told of yet")]
    UnknownPayment(String),
    #[error("{0}")]
    Contract(String),
    #[error("the payout's news was not taken")]
    Payout(#[from] PayoutError),
    #[error("its effect was not stored")]
    Store(#[from] StoreError),
}

impl WorkError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) | Self::Payout(PayoutError::Store(error)) => error.is_transient(),
            _ => false,
        }
    }

    /// What becomes of the job. Not by `?`, which would try everything again.
    pub(crate) fn decide(self) -> JobError {
        if self.is_transient() {
            return JobError::Defer(POSTGRES_PAUSE, self.into());
        }
        match self {
            // The row is committed before its job is pushed; an order can be made a moment after its payment, and a refund be
            // told of a moment before it.
            Self::UnknownOrder(_) | Self::UnknownPayment(_) | Self::Store(_) | Self::Payout(_) | Self::NotStored(_) => {
                JobError::Retry(self.into())
            }
            _ => JobError::Fail(self.into()),
        }
    }
}

/// Works off stored webhooks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Desk {
    pool: Pool,
    sources: Sources,
    alerts: Arc<Alerts>,
}

impl Desk {
    pub(crate) fn new(pool: Pool, sources: Sources, alerts: Arc<Alerts>) -> Self {
        Self { pool, sources, alerts }
    }

    /// Does what the webhook says, once.
    async fn work_off(&self, id: WebhookId) -> Result<(), WorkError> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await.map_err(StoreError::from)?;
        let stored = find(&transaction, id).await?.ok_or(WorkError::NotStored(id))?;
        if stored.processed {
            tracing::debug!(webhook.id = %id, "was worked off before");
            return Ok(());
        }
        let done = self.apply(&transaction, id, &stored).await?;
        // Two deliveries of one job at the same time: the second waits here for the first, and then has done nothing.
        if mark_processed(&transaction, id, &done, None).await? {
            transaction.commit().await.map_err(StoreError::from)?;
            tracing::info!(webhook.id = %id, webhook.source = stored.source, webhook.event = stored.event, effect = done.effect, "worked off");
        }
        Ok(())
    }

    /// Does it again, or in a transaction that is given up, to tell what it would do.
    async fn replay(&self, replay_id: ReplayId) -> Result<(), WorkError> {
        let mut client = self.pool.get().await?;
        let replay = find_replay(&client, replay_id).await?.ok_or(WorkError::NoReplay(replay_id))?;
        if replay.finished_at.is_some() {
            return Ok(());
        }
        let id = replay.webhook_id;
        let stored = find(&client, id).await?.ok_or(WorkError::NotStored(id))?;
        let transaction = client.transaction().await.map_err(StoreError::from)?;
        let done = match self.apply(&transaction, id, &stored).await {
            Ok(done) => done,
            // What a preview meets is its answer.
            Err(error) if replay.dry_run && !error.is_transient() => {
                WorkedOff { effect: format!("it would fail: {}", telemetry::chain(&error)), about: None }
            }
            Err(error) => return Err(error),
        };
        let outcome = if replay.dry_run {
            transaction.rollback().await.map_err(StoreError::from)?;
            finish_replay(&client, replay_id, ReplayOutcome::Previewed, &done.effect).await?;
            ReplayOutcome::Previewed
        } else {
            let hint = matches!(self.effect(id, &stored)?, Some(Effect::Hint(_)));
            let outcome = if hint { ReplayOutcome::HandedOn } else { ReplayOutcome::Applied };
            mark_processed(&transaction, id, &done, Some(replay_id)).await?;
            if !finish_replay(&transaction, replay_id, outcome, &done.effect).await? {
                // Another delivery of the job was faster; what this one did is given up.
                return Ok(());
            }
            transaction.commit().await.map_err(StoreError::from)?;
            outcome
        };
        tracing::info!(webhook.id = %id, replay.id = %replay_id, outcome = outcome.word(), report = done.effect, "replayed");
        Ok(())
    }

    /// The webhook's content, on the strength of the verdict it was stored with.
    fn verified(id: WebhookId, stored: &Stored) -> Result<Verified<'_>, WorkError> {
        let proof = proof::stored(stored.verdict).ok_or(WorkError::NotVerified(id))?;
        Ok(Verified::new(proof, &stored.body, stored.received_at).with_event_id(Some(&stored.event_id)))
    }

    fn effect(&self, id: WebhookId, stored: &Stored) -> Result<Option<Effect>, WorkError> {
        let source = self.sources.get(&stored.source).ok_or_else(|| WorkError::SourceOff(stored.source.clone()))?;
        Ok(source.decode(&Self::verified(id, stored)?, id)?.effect)
    }

    /// Applies a webhook in the caller's transaction; gives what changed.
    async fn apply(&self, client: &impl GenericClient, id: WebhookId, stored: &Stored) -> Result<WorkedOff, WorkError> {
        let effect = self.effect(id, stored)?;
        if stored.verdict == Verdict::Conflict {
            let detail = format!("source {}, event id {}, webhook {id}", stored.source, stored.event_id);
            let title = "A known event id came with another, correctly signed body";
            self.alerts.raise(client, &format!("conflict:{id}"), title, &detail).await?;
        }
        let verified = Self::verified(id, stored)?;
        match effect {
            None => Ok(WorkedOff { effect: "nothing to do".to_owned(), about: None }),
            Some(Effect::Payment(_)) => payments::apply(client, &verified, &self.alerts).await,
            Some(Effect::Receipts(_)) => {
                Ok(WorkedOff { effect: receipts::apply(client, &stored.source, &verified).await?, about: None })
            }
            Some(Effect::Hint(hint)) => {
                push(client, &hint, Lane::Normal).await?;
                let effect = format!("{} is asked about {}", hint.network, hint.about().unwrap_or_default());
                Ok(WorkedOff { effect, about: hint.about().map(str::to_owned) })
            }
        }
    }
}

impl Handler<ProcessPaymentEvent> for Desk {
    async fn handle(&self, job: ProcessPaymentEvent, _context: JobContext) -> Outcome {
        self.work_off(job.webhook_id).await.map_err(WorkError::decide)
    }
}

impl Handler<ProcessReceipts> for Desk {
    async fn handle(&self, job: ProcessReceipts, _context: JobContext) -> Outcome {
        self.work_off(job.webhook_id).await.map_err(WorkError::decide)
    }
}

impl Handler<ReplayWebhook> for Desk {
    async fn handle(&self, job: ReplayWebhook, _context: JobContext) -> Outcome {
        self.replay(job.replay_id).await.map_err(WorkError::decide)
    }
}

/// The sender broke its contract, or ours does not know something: a person must look.
pub(crate) fn contract(text: impl Into<String>) -> WorkError {
    WorkError::Contract(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_succeed_is_buried_at_once_and_the_rest_tried_again() {
        let id = WebhookId::generate();
        assert!(matches!(WorkError::NotVerified(id).decide(), JobError::Fail(_)));
        assert!(matches!(contract("x").decide(), JobError::Fail(_)));
        assert!(matches!(WorkError::UnknownOrder("order_1".to_owned()).decide(), JobError::Retry(_)));
        assert!(matches!(WorkError::UnknownPayment("pay_1".to_owned()).decide(), JobError::Retry(_)));
    }
}
