//! Wallets that do not hold what their entries come to: noted with their withdrawals blocked, and repaired when one person
//! asks and another decides.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{AdminId, UserId, WalletDriftId, WalletRepairId};
use domain::money::Paise;
use tokio_postgres::Row;

use crate::statements::{execute, query, query_one, query_opt};
use crate::wallet::{Drift, sqlstate};
use crate::{StoreError, sql};

/// Notes drifts and blocks the shoppers' withdrawals. Noting one again changes nothing but its figures.
pub async fn note(client: &impl GenericClient, drifts: &[Drift]) -> Result<(), StoreError> {
    let ids: Vec<_> = drifts.iter().map(|_| WalletDriftId::generate()).collect();
    let users: Vec<_> = drifts.iter().map(|drift| drift.user_id).collect();
    let balances: Vec<_> = drifts.iter().map(|drift| drift.balance).collect();
    let entries: Vec<_> = drifts.iter().map(|drift| drift.entries).collect();
    execute(client, sql!("drifts/note.sql"), &[&ids, &users, &balances, &entries]).await?;
    Ok(())
}

/// Ends the drifts of all wallets but `of`; gives whose. Withdrawals stay as they are.
pub async fn end_others(client: &impl GenericClient, of: &[UserId]) -> Result<Vec<UserId>, StoreError> {
    let rows = query(client, sql!("drifts/end_others.sql"), &[&of]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// How many wallets drift, as the last check found.
pub async fn count_open(client: &impl GenericClient) -> Result<i64, StoreError> {
    Ok(query_one(client, sql!("drifts/count_open.sql"), &[]).await?.try_get(0)?)
}

/// What a wallet holds now beyond what its entries come to.
pub async fn of_wallet(client: &impl GenericClient, user: UserId) -> Result<Paise, StoreError> {
    Ok(query_one(client, sql!("drifts/of_wallet.sql"), &[&user]).await?.try_get(0)?)
}

/// A repair.
#[derive(Debug, Clone)]
pub struct Repair {
    /// Its row.
    pub id: WalletRepairId,
    /// Whose wallet.
    pub user_id: UserId,
    /// What the balance holds too much.
    pub drift: Paise,
    /// Why.
    pub reason: String,
    /// requested, repaired or refused.
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

/// Asks for a repair of the drift as it is now. It changes nothing. `None` when one is asked for already.
pub async fn request_repair(
    client: &impl GenericClient,
    user: UserId,
    drift: Paise,
    reason: &str,
    by: AdminId,
) -> Result<Option<WalletRepairId>, StoreError> {
    let id = WalletRepairId::generate();
    let new = execute(client, sql!("drifts/request_repair.sql"), &[&id, &user, &drift, &reason, &by]).await? == 1;
    Ok(new.then_some(id))
}

/// The repair, held against others who would decide it, until the caller's transaction ends.
pub async fn lock_repair(client: &impl GenericClient, id: WalletRepairId) -> Result<Option<Repair>, StoreError> {
    query_opt(client, sql!("drifts/lock_repair.sql"), &[&id]).await?.as_ref().map(repair_of).transpose()
}

/// Open repairs first, then the newest decided ones; of one shopper, or of all.
pub async fn list_repairs(
    client: &impl GenericClient,
    user: Option<UserId>,
    limit: i64,
) -> Result<Vec<Repair>, StoreError> {
    query(client, sql!("drifts/list_repairs.sql"), &[&user, &limit]).await?.iter().map(repair_of).collect()
}

/// Notes the decision. `false` when it was decided before, or when the decider is the one who asked.
pub async fn decide_repair(
    client: &impl GenericClient,
    id: WalletRepairId,
    by: AdminId,
    yes: bool,
) -> Result<bool, StoreError> {
    let status = if yes { "repaired" } else { "refused" };
    Ok(execute(client, sql!("drifts/decide_repair.sql"), &[&id, &by, &status]).await? == 1)
}

/// Sets a wallet's balance to the sum of its entries, if it drifts by `drift`, and lifts the block of its withdrawals if
/// the check had set it. `false` when the wallet drifts by another sum, or not at all.
pub async fn repair(client: &impl GenericClient, user: UserId, drift: Paise) -> Result<bool, StoreError> {
    match query_one(client, sql!("drifts/repair.sql"), &[&user, &drift]).await {
        Ok(_) => Ok(true),
        Err(error) if sqlstate(&error) == Some("WA006") => Ok(false),
        Err(error) => Err(error),
    }
}

fn repair_of(row: &Row) -> Result<Repair, StoreError> {
    Ok(Repair {
        id: row.try_get(0)?,
        user_id: row.try_get(1)?,
        drift: row.try_get(2)?,
        reason: row.try_get(3)?,
        status: row.try_get(4)?,
        requested_by: row.try_get(5)?,
        requester: row.try_get(6)?,
        requested_at: row.try_get(7)?,
        decider: row.try_get(8)?,
        decided_at: row.try_get(9)?,
    })
}
