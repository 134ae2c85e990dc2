//! Orders that wait for codes are filled as soon as there are some.

use std::time::Duration;

use store::{Pool, StoreError, orders};
use tokio_util::sync::CancellationToken;

use super::orders::fulfil;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(10);
/// Orders a turn.
const BATCH: i64 = 50;

/// Works until `shutdown`.
pub(crate) async fn fill(pool: Pool, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        if let Err(error) = turn(&pool).await {
            tracing::warn!(error.chain = telemetry::chain(&error), "held orders were not looked at");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

async fn turn(pool: &Pool) -> Result<(), StoreError> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    for order in orders::claim_held(&transaction, BATCH).await? {
        let status = fulfil(&transaction, &order).await?;
        if status != "held" {
            tracing::info!(order.id = %order.id, status, "a held order was filled");
        }
    }
    transaction.commit().await?;
    Ok(())
}
