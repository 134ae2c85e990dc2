//! What no job asks for: matches that a crash left behind, ended holding periods, the ledger's chain. Every step looks at
//! the state and makes it right, so it may be done by several replicas at once, and again.

use std::time::Duration;

use store::{StoreError, cashback, transactions};
use tokio_util::sync::CancellationToken;

use crate::apply::{ApplyError, rematch};
use crate::parts::Parts;

const BATCH: i64 = 500;

/// Works every `interval` until `shutdown`.
pub(crate) async fn run(parts: Parts, interval: Duration, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        if let Err(error) = once(&parts).await {
            tracing::warn!(error.chain = format!("{:#}", anyhow::Error::from(error)), "the upkeep is put off");
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(interval) => {}
        }
    }
}

async fn once(parts: &Parts) -> Result<(), ApplyError> {
    let waiting = transactions::sweep(&parts.pool.get().await?, BATCH).await?;
    for (network, ids) in waiting {
        let settled = rematch(parts, network, &ids).await?;
        tracing::info!(%network, matched = settled.matched, "transactions were matched late");
    }
    release(parts).await?;
    Ok(())
}

async fn release(parts: &Parts) -> Result<(), StoreError> {
    let mut client = parts.pool.get().await?;
    while cashback::release_held(&mut client, parts.clock.now(), BATCH).await? > 0 {}
    Ok(())
}
