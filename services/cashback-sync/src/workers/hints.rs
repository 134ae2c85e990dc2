//! `cashback.hint`: a postback said that something changed. It is not signed, so the network itself is asked, and only its
//! answer counts.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use domain::ids::WebhookId;
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

/// So many hints are known to have been refused; what comes beyond is written down once more.
const REMEMBERED: usize = 10_000;

/// See the module.
pub(crate) struct Hints {
    parts: Parts,
    /// Hints that wait, and of which it was written down that their network refused.
    noted: Mutex<HashSet<WebhookId>>,
}

impl Hints {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts, noted: Mutex::default() }
    }

    /// How long the hint has been waiting for an answer that can be used.
    fn age(&self, context: &JobContext) -> Option<chrono::TimeDelta> {
        context.enqueued_at.map(|at| self.parts.clock.now() - at)
    }

    /// Whether the daily pull is trusted instead from now on.
    fn is_over(&self, context: &JobContext) -> bool {
        self.age(context).is_none_or(|age| age >= PATIENCE)
    }

    /// Writes down the first refusal of a hint, and the last: an outage puts each hint off dozens of times.
    async fn note_refusal(&self, hint: &ConfirmHint, error: &NetworkError, is_last: bool) {
        let is_first = {
            let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            if noted.len() >= REMEMBERED {
                noted.clear();
            }
            noted.insert(hint.webhook_id)
        };
        if is_last {
            self.forget(hint);
        }
        if is_first || is_last {
            note_error(&self.parts, hint.network, "postback", error).await;
        }
    }

    fn forget(&self, hint: &ConfirmHint) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).remove(&hint.webhook_id);
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
                let wait = error.retry_after();
                let is_last = wait.is_none() && self.is_over(&context) && context.attempt >= context.max_attempts;
                self.note_refusal(&hint, &error, is_last).await;
                let error = anyhow!(error);
                return Err(match wait {
                    Some(wait) => JobError::Defer(wait, error),
                    None => self.later(&context, error),
                });
            }
            Err(error) => {
                self.note_refusal(&hint, &error, true).await;
                return Err(JobError::Fail(anyhow!(error)));
            }
        };
        self.forget(&hint);
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
