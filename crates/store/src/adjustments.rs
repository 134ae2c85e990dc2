//! Money moved by hand: asked for by one person, decided by another.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{AdjustmentId, AdminId, UserId, WalletTransactionId};
use domain::money::Paise;
use tokio_postgres::Row;

use crate::statements::{execute, query, query_opt};
use crate::{StoreError, sql};

/// An adjustment.
#[derive(Debug, Clone)]
pub struct Adjustment {
    /// Its row.
    pub id: AdjustmentId,
    /// Whose wallet.
    pub user_id: UserId,
    /// What it gives (above zero) or takes (below).
    pub amount: Paise,
    /// Why.
    pub reason: String,
    /// requested, approved or refused.
    pub status: String,
    /// Who asked.
    pub requested_by: AdminId,
    /// That person's mail address.
    pub requester: String,
    /// When.
    pub requested_at: DateTime<Utc>,
    /// The mail address of who decided.
    pub decider: Option<String>,
    /// When.
    pub decided_at: Option<DateTime<Utc>>,
}

/// Asks for an adjustment. It moves nothing.
pub async fn request(
    client: &impl GenericClient,
    user: UserId,
    amount: Paise,
    reason: &str,
    by: AdminId,
) -> Result<AdjustmentId, StoreError> {
    let id = AdjustmentId::generate();
    execute(client, sql!("adjustments/insert.sql"), &[&id, &user, &amount, &reason, &by]).await?;
    Ok(id)
}

/// The adjustment, held against others who would decide it, until the caller's transaction ends.
pub async fn lock(client: &impl GenericClient, id: AdjustmentId) -> Result<Option<Adjustment>, StoreError> {
    query_opt(client, sql!("adjustments/lock.sql"), &[&id]).await?.as_ref().map(adjustment).transpose()
}

/// Notes the decision: approved with the ledger's row, or refused without one. `false` when it was decided before, or when
/// the decider is the one who asked.
pub async fn decide(
    client: &impl GenericClient,
    id: AdjustmentId,
    by: AdminId,
    posted: Option<WalletTransactionId>,
) -> Result<bool, StoreError> {
    Ok(execute(client, sql!("adjustments/decide.sql"), &[&id, &by, &posted]).await? == 1)
}

/// Open adjustments first, then the newest decided ones; of one shopper, or of all.
pub async fn list(
    client: &impl GenericClient,
    user: Option<UserId>,
    limit: i64,
) -> Result<Vec<Adjustment>, StoreError> {
    query(client, sql!("adjustments/list.sql"), &[&user, &limit]).await?.iter().map(adjustment).collect()
}

fn adjustment(row: &Row) -> Result<Adjustment, StoreError> {
    Ok(Adjustment {
        id: row.try_get(0)?,
        user_id: row.try_get(1)?,
        amount: row.try_get(2)?,
        reason: row.try_get(3)?,
        status: row.try_get(4)?,
        requested_by: row.try_get(5)?,
        requester: row.try_get(6)?,
        requested_at: row.try_get(7)?,
        decider: row.try_get(8)?,
        decided_at: row.try_get(9)?,
    })
}
