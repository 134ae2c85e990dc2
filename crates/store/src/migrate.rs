//! Brings the schema up to date. Safe to run twice, and by several replicas at once.

use crate::{Pool, StoreError};

mod embedded {
    refinery::embed_migrations!("../../migrations");
}

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Postgres could not be asked.
    #[error("the migrations could not start")]
    Store(#[from] StoreError),
    /// A migration failed, or one that was applied has changed since.
    #[error("a migration failed; the schema stays at the last one that succeeded")]
    Migration(#[from] refinery::Error),
}

/// Every replica that migrates takes this advisory lock, so one runs and the others wait and then find nothing to do.
const LOCK: i64 = 0x6361_7368_6261_636b;

/// Applies what is missing and returns the names of what was applied.
pub async fn run(pool: &Pool) -> Result<Vec<String>, MigrateError> {
    let mut client = pool.get().await?;
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.map_err(StoreError::from)?;
    let report = embedded::migrations::runner().run_async(&mut **client.as_mut()).await;
    // Also on failure: the connection goes back to the pool and must not keep the lock.
    client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await.map_err(StoreError::from)?;
    Ok(report?.applied_migrations().iter().map(ToString::to_string).collect())
}
