//! Orders that wait for codes are filled as soon as there are some.

use std::time::Duration;

use domain::ids::OrderId;
use store::{Client, Pool, StoreError, orders};
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
    for id in orders::list_held(&client, BATCH).await? {
        match fill_one(&mut client, id).await {
            Err(error) if !error.is_transient() => {
                tracing::error!(
                    order.id = %id, error.chain = telemetry::chain(&error),
                    "a held order cannot be filled"
                );
            }
            filled => filled?,
        }
    }
    Ok(())
}

/// Each in a transaction of its own: what is wrong with one is no other's trouble, and the products of two would be taken in a
/// sequence in which workers can wait for each other.
async fn fill_one(client: &mut Client, id: OrderId) -> Result<(), StoreError> {
    let transaction = client.transaction().await?;
    let Some(order) = orders::lock_held(&transaction, id).await? else { return Ok(()) };
    let status = fulfil(&transaction, &order).await?;
    transaction.commit().await?;
    if status != "held" {
        tracing::info!(order.id = %id, status, "a held order was filled");
    }
    Ok(())
}
