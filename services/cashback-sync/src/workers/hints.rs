//! `cashback.hint`: a postback said that something changed. It is not signed, so the network itself is asked, and only its
//! answer counts.

use std::time::Duration;

use anyhow::anyhow;
use domain::jobs::cashback::ConfirmHint;
use networks::NetworkError;
use queue::{Handler, JobContext, JobError, Outcome};
use store::cashback::Settled;
use store::webhooks::{WorkedOff, mark_processed};

use crate::apply::{Applied, apply};
use crate::evidence::note_error;
use crate::parts::Parts;
use crate::workers::POSTGRES_PAUSE;

/// Networks' reports lag behind their postbacks by up to half an hour; after this long the daily pull is trusted instead.
const PATIENCE: chrono::TimeDelta = chrono::TimeDelta::hours(3);

/// See the module.
pub(crate) struct Hints {
    parts: Parts,
}

impl Hints {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// How long the hint has been waiting for an answer that can be used.
    fn age(&self, context: &JobContext) -> Option<chrono::TimeDelta> {
        context.enqueued_at.map(|at| self.parts.clock.now() - at)
    }

    /// Not yet: later again without using up an attempt, as long as there is patience.
    fn later(&self, context: &JobContext, error: anyhow::Error) -> JobError {
        match self.age(context) {
            Some(age) if age < chrono::TimeDelta::minutes(2) => JobError::Defer(Duration::from_secs(15), error),
            Some(age) if age < PATIENCE => JobError::Defer(Duration::from_mins(10), error),
            _ => JobError::Retry(error),
        }
    }

    /// Writes down what the postback led to. The network's word is applied by now, and is applied again without effect if this fails.
    async fn note(&self, hint: &ConfirmHint, applied: &Applied) -> Outcome {
        let Settled { new, changed, .. } = &applied.settled;
        let effect = format!("{} told: {new} new, {changed} changed", hint.network);
        let done = WorkedOff { effect, about: hint.about().map(str::to_owned) };
        let noted = async { mark_processed(&self.parts.pool.get().await?, hint.webhook_id, &done, None).await };
        match noted.await {
            Ok(_first) => Ok(()),
            Err(error) if error.is_transient() => Err(JobError::Defer(POSTGRES_PAUSE, error.into())),
            Err(error) => Err(JobError::Retry(error.into())),
        }
    }
}

impl Handler<ConfirmHint> for Hints {
    async fn handle(&self, hint: ConfirmHint, context: JobContext) -> Outcome {
        let Some(network) = self.parts.network(hint.network) else {
            return Err(JobError::Fail(anyhow!("{} has no credentials here", hint.network)));
        };
        let rows = match (&hint.external_transaction_id, &hint.sub_id) {
            (Some(id), sub_id) => match (network.by_id(id).await, sub_id) {
                // Not every network can be asked by its own ids; the click leads to the transaction as well.
                (Err(NetworkError::Unsupported { .. }), Some(sub_id)) => network.by_sub_id(sub_id).await,
                (answer, _) => answer,
            },
            (None, Some(sub_id)) => network.by_sub_id(sub_id).await,
            (None, None) => return Err(JobError::Fail(anyhow!("the hint names neither transaction nor click"))),
        };
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) if error.is_transient() => {
                note_error(&self.parts, hint.network, "postback", &error).await;
                let wait = error.retry_after();
                let error = anyhow!(error);
                return Err(match wait {
                    Some(wait) => JobError::Defer(wait, error),
                    None => self.later(&context, error),
                });
            }
            Err(error) => {
                note_error(&self.parts, hint.network, "postback", &error).await;
                return Err(JobError::Fail(anyhow!(error)));
            }
        };
        if rows.is_empty() {
            return Err(self.later(&context, anyhow!("{} does not report the transaction yet", hint.network)));
        }
        // A transaction without a click is looked for again by a job of its own.
        match apply(&self.parts, hint.network, rows, "postback", None, false).await {
            Ok(applied) => self.note(&hint, &applied).await,
            Err(error) if error.is_transient() => Err(JobError::Defer(POSTGRES_PAUSE, error.into())),
            Err(error) => Err(JobError::Fail(error.into())),
        }
    }
}
