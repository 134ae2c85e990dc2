//! `cashback.match`: a transaction that had no click when it was first seen. Its click may be on its way through
//! `queue:clicks`; if it is not, somebody has to look.

use std::time::Duration;

use anyhow::anyhow;
use domain::jobs::cashback::MatchTransaction;
use queue::{Handler, JobContext, JobError, Outcome};
use store::transactions;

use crate::apply::{ApplyError, rematch};
use crate::parts::Parts;
use crate::workers::POSTGRES_PAUSE;

/// See the module.
pub(crate) struct Matches {
    parts: Parts,
    click_linger: Duration,
}

impl Matches {
    pub(crate) fn new(parts: Parts, click_linger: Duration) -> Self {
        Self { parts, click_linger }
    }

    /// Whether the transaction has a click now; `None` when there is no such transaction.
    async fn is_matched(&self, job: &MatchTransaction) -> Result<Option<bool>, ApplyError> {
        let id = job.transaction_id;
        let found = transactions::find_many(&self.parts.pool.get().await?, &[id]).await?.pop();
        let Some(found) = found else { return Ok(None) };
        if found.click_id.is_some() {
            return Ok(Some(true));
        }
        let settled = rematch(&self.parts, found.network, &[id]).await?;
        Ok(Some(!settled.without_click.contains(&id)))
    }
}

impl Handler<MatchTransaction> for Matches {
    async fn handle(&self, job: MatchTransaction, context: JobContext) -> Outcome {
        let error = match self.is_matched(&job).await {
            Ok(Some(true)) => return Ok(()),
            Ok(Some(false)) => anyhow!("transaction {} belongs to no click we know", job.transaction_id),
            Ok(None) => return Err(JobError::Fail(anyhow!("there is no transaction {}", job.transaction_id))),
            Err(error) if error.is_transient() => return Err(JobError::Defer(POSTGRES_PAUSE, error.into())),
            Err(error) => return Err(JobError::Fail(error.into())),
        };
        Err(if context.attempt < context.max_attempts {
            JobError::RetryAfter(self.click_linger.saturating_mul(2).saturating_add(Duration::from_secs(1)), error)
        } else {
            JobError::Fail(error)
        })
    }
}
