//! How merchants decide, and whether that has changed.

use deadpool_postgres::GenericClient;
use domain::ids::MerchantId;
use domain::network::Network;

use crate::statements::query;
use crate::{StoreError, sql};

/// A merchant that approves less than it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalDrop {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// Its name.
    pub merchant: String,
    /// Transactions decided in the last 7 days.
    pub decided_now: i64,
    /// Those of them that were approved.
    pub approved_now: i64,
    /// Transactions decided in the 28 days before.
    pub decided_before: i64,
    /// Those of them that were approved.
    pub approved_before: i64,
}

/// Merchants of a network whose approval rate of the last 7 days lies more than `percent` below that of the 28 days before.
/// Twenty decisions in each period are needed to say anything.
pub async fn approval_drops(
    client: &impl GenericClient,
    network: Network,
    percent: u64,
) -> Result<Vec<ApprovalDrop>, StoreError> {
    let percent = i64::try_from(percent).unwrap_or(100);
    let rows = query(client, sql!("transactions/approval_drops.sql"), &[&network.slug(), &percent]).await?;
    rows.iter()
        .map(|row| {
            Ok(ApprovalDrop {
                merchant_id: row.try_get(0)?,
                merchant: row.try_get(1)?,
                decided_now: row.try_get(2)?,
                approved_now: row.try_get(3)?,
                decided_before: row.try_get(4)?,
                approved_before: row.try_get(5)?,
            })
        })
        .collect()
}
