//! What no job asks for: matches that a crash left behind, ended holding periods, the ledger's chain. Every step looks at
//! the state and makes it right, so it may be done by several replicas at once, and again.

use std::time::Duration;

use store::wallet::chain;
use store::{StoreError, cashback, transactions};
use tokio_util::sync::CancellationToken;

use crate::apply::{ApplyError, rematch};
use crate::parts::Parts;

const BATCH: i64 = 500;

/// Works every `interval` until `shutdown`.
pub(crate) async fn run(parts: Parts, interval: Duration, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        // Each by itself: what stops one of them must not stop the others.
        note("matching", sweep(&parts).await);
        note("releasing", release(&parts).await.map_err(ApplyError::from));
        note("sealing", seal(&parts).await.map_err(ApplyError::from));
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(interval) => {}
        }
    }
}

fn note(step: &'static str, outcome: Result<(), ApplyError>) {
    if let Err(error) = outcome {
        tracing::warn!(step, error.chain = format!("{:#}", anyhow::Error::from(error)), "the upkeep is put off");
    }
}

async fn sweep(parts: &Parts) -> Result<(), ApplyError> {
    let waiting = transactions::sweep(&parts.pool.get().await?, BATCH).await?;
    for (network, ids) in waiting {
        let settled = rematch(parts, network, &ids).await?;
        tracing::info!(%network, matched = settled.matched, "transactions were matched late");
    }
    Ok(())
}

async fn seal(parts: &Parts) -> Result<(), StoreError> {
    let sealed = chain::seal(&mut parts.pool.get().await?).await?;
    if sealed > 0 {
        tracing::debug!(rows = sealed, "ledger rows were sealed");
    }
    Ok(())
}

async fn release(parts: &Parts) -> Result<(), StoreError> {
    let mut client = parts.pool.get().await?;
    while cashback::release_held(&mut client, parts.clock.now(), BATCH).await? > 0 {}
    Ok(())
}
