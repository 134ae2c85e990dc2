//! Moves replays of many, second by second. How far one is stands in Postgres, so each process may move each, and what one that
//! died left is moved by another.

use std::time::Duration;

use actix_web::web;
use store::StoreError;
use store::webhooks::advance_run;

use crate::state::State;

/// How often it is looked for runs whose turn it is.
const LOOK: Duration = Duration::from_millis(500);

/// Moves them until the end.
pub(crate) async fn keep(state: web::Data<State>) {
    let shutdown = state.shutdown.clone();
    loop {
        tokio::select! { () = tokio::time::sleep(LOOK) => {}, () = shutdown.cancelled() => return }
        while !shutdown.is_cancelled() {
            match advance(&state).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(error.chain = telemetry::chain(&error), "a replay of many was not moved");
                    break;
                }
            }
        }
    }
}

/// Moves one; `false` when no run's turn has come.
async fn advance(state: &State) -> Result<bool, StoreError> {
    let mut client = state.pool.get().await?;
    let transaction = client.transaction().await?;
    let Some((run, webhooks)) = advance_run(&transaction).await? else { return Ok(false) };
    transaction.commit().await?;
    tracing::info!(replay.run = %run, webhooks, "a replay of many moved");
    Ok(true)
}
