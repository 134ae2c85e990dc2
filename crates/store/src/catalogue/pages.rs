//! What has a page of its own in the shop, one after the other, however many there are.

use chrono::{DateTime, Utc};
use futures_util::{Stream, TryStreamExt as _};
use uuid::Uuid;

use crate::statements::stream;
use crate::{Client, StoreError, sql};

/// Something with a page of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicPage {
    /// `merchant`, `offer` or `product`.
    pub kind: String,
    /// Its id.
    pub id: Uuid,
    /// When it last changed.
    pub changed_at: DateTime<Utc>,
}

/// Active merchants, their active offers that have not expired at `now`, and active products; of these the wanted kinds,
/// in a fixed order.
pub async fn public_pages(
    client: &Client,
    now: DateTime<Utc>,
    kinds: &[&str],
) -> Result<impl Stream<Item = Result<PublicPage, StoreError>> + use<>, StoreError> {
    let rows = stream(client, sql!("catalogue/public_pages.sql"), &[&now, &kinds]).await?;
    Ok(rows.map_err(StoreError::from).and_then(|row| async move {
        Ok(PublicPage { kind: row.try_get(0)?, id: row.try_get(1)?, changed_at: row.try_get(2)? })
    }))
}
