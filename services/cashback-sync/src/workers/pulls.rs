//! `cashback.sync`: a pull.

use std::time::Duration;

use anyhow::anyhow;
use domain::jobs::cashback::SyncNetwork;
use domain::network::Network;
use queue::{Handler, JobContext, JobError, Outcome};
use store::{StoreError, transactions};
use tokio_util::sync::CancellationToken;

use crate::parts::Parts;
use crate::pull::{Order, PullError, Pulled, give_up, is_swapped, pull};
use crate::workers::POSTGRES_PAUSE;

/// How long a pull waits for another one of the same network.
const BUSY: Duration = Duration::from_secs(30);
/// How long after a network's sums moved it is read again.
const MOVING: Duration = Duration::from_mins(1);
/// Below this many new transactions a share says nothing.
const FEW: u64 = 20;

/// See the module.
pub(crate) struct Pulls {
    parts: Parts,
    shutdown: CancellationToken,
}

impl Pulls {
    pub(crate) fn new(parts: Parts, shutdown: CancellationToken) -> Self {
        Self { parts, shutdown }
    }

    async fn fail(&self, job: &SyncNetwork, error: &PullError, chain: &str) -> Result<(), PullError> {
        if !matches!(error, PullError::NotSetUp(_)) {
            give_up(&self.parts, job.network, chain).await?;
        }
        let day = self.parts.clock.now().date_naive();
        let title = format!("The pull of {} failed", job.network);
        let detail = format!(
            "Asked for by {}: {chain}. The cursor has not moved, so nothing is lost; the next pull reads the same again.",
            job.requested_by
        );
        let client = self.parts.pool.get().await?;
        self.parts.alarm.raise(&client, "sync_failed", job.network, &day.to_string(), &title, &detail).await?;
        Ok(())
    }
}

impl Handler<SyncNetwork> for Pulls {
    async fn handle(&self, job: SyncNetwork, context: JobContext) -> Outcome {
        if is_swapped(job.window) {
            return Err(JobError::Fail(anyhow!("the window ends before it begins: {:?}", job.window)));
        }
        let order = Order { network: job.network, window: job.window, requested_by: &job.requested_by, dry_run: false };
        let error = match pull(&self.parts, &order, &self.shutdown, &mut |_read, _total| {}).await {
            Ok(pulled) => {
                tell(&self.parts, job.network, &pulled).await?;
                return Ok(());
            }
            Err(error) => error,
        };
        if matches!(error, PullError::Busy(_)) {
            return Err(JobError::Defer(BUSY, error.into()));
        }
        if matches!(error, PullError::Interrupted) {
            return Err(JobError::Defer(Duration::ZERO, error.into()));
        }
        // The run stays open; its end could not be noted anyway.
        if is_without_postgres(&error) {
            return Err(JobError::Defer(POSTGRES_PAUSE, error.into()));
        }
        let wait = match &error {
            PullError::Network(_, error) => error.retry_after(),
            PullError::Moving(_) => Some(MOVING),
            _ => None,
        };
        let is_last = context.attempt >= context.max_attempts;
        let may_go_on = error.can_go_on() || matches!(error, PullError::Moving(_));
        if may_go_on && !is_last {
            if matches!(error, PullError::Moving(_)) {
                give_up(&self.parts, job.network, &error.to_string()).await?;
            }
            return Err(match wait {
                Some(wait) => JobError::RetryAfter(wait, error.into()),
                None => JobError::Retry(error.into()),
            });
        }
        let chain = telemetry::chain(&error);
        self.fail(&job, &error, &chain).await?;
        Err(JobError::Fail(error.into()))
    }
}

/// Whether Postgres was not there. As with every other job, no attempt is used up then.
fn is_without_postgres(error: &PullError) -> bool {
    match error {
        PullError::Store(error) => error.is_transient(),
        PullError::Apply(_, error) => error.is_transient(),
        _ => false,
    }
}

/// Notes what a pull came to, and tells the admins what looks wrong.
pub(crate) async fn tell(parts: &Parts, network: Network, pulled: &Pulled) -> Result<(), StoreError> {
    let settled = &pulled.applied.settled;
    tracing::info!(
        %network,
        pages = pulled.pages,
        rows.read = settled.read,
        rows.new = settled.new,
        rows.changed = settled.changed,
        rows.matched = settled.matched,
        rows.unmatched = settled.unmatched,
        rows.quarantined = pulled.applied.quarantined,
        postings = settled.postings,
        "the pull has ended"
    );
    let client = parts.pool.get().await?;
    let day = parts.clock.now().date_naive();
    let percent = settled.unmatched.saturating_mul(100).checked_div(settled.new).unwrap_or(0);
    if settled.new >= FEW && percent > parts.alarm.unmatched_percent {
        let title = format!("{percent} % of the new transactions of {network} have no click");
        let detail = format!(
            "{} of {} new transactions belong to no click we know. Is the sub-id still in the links, and are clicks written?",
            settled.unmatched, settled.new
        );
        parts.alarm.raise(&client, "unmatched", network, &day.to_string(), &title, &detail).await?;
    }
    for drop in transactions::approval_drops(&client, network, parts.alarm.approval_drop_percent).await? {
        let title = format!("{} approves less than before", drop.merchant);
        let detail = format!(
            "{} of {} decisions of the last 7 days were approvals, {} of {} in the 28 days before.",
            drop.approved_now, drop.decided_now, drop.approved_before, drop.decided_before
        );
        let key = format!("{}:{day}", drop.merchant_id);
        parts.alarm.raise(&client, "approval_drop", network, &key, &title, &detail).await?;
    }
    Ok(())
}
