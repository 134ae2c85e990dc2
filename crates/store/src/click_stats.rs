//! How much is clicked, and what. Read-only, over a span that ends now.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::click::ClickClass;
use domain::ids::{MerchantId, OfferId};

use crate::statements::query;
use crate::{StoreError, sql};

/// Clicks of one class in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinuteCount {
    /// The minute's beginning.
    pub minute: DateTime<Utc>,
    /// The class.
    pub class: ClickClass,
    /// How many.
    pub clicks: i64,
}

/// How often people clicked an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferCount {
    /// The offer.
    pub offer_id: OfferId,
    /// Its title; empty when it is gone.
    pub title: String,
    /// Its merchant's name; empty when it is gone.
    pub merchant: String,
    /// Human clicks.
    pub clicks: i64,
}

/// How often people clicked a merchant's offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerchantCount {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// Its name; empty when it is gone.
    pub name: String,
    /// Human clicks.
    pub clicks: i64,
}

/// Clicks since `since`, by minute and class, in order.
pub async fn per_minute(client: &impl GenericClient, since: DateTime<Utc>) -> Result<Vec<MinuteCount>, StoreError> {
    let rows = query(client, sql!("click_stats/per_minute.sql"), &[&since]).await?;
    rows.iter()
        .map(|row| {
            let word: &str = row.try_get(1)?;
            let class = ClickClass::ALL.into_iter().find(|class| class.word() == word);
            let class = class.ok_or_else(|| StoreError::WrongRow(format!("{word:?} is no class of clicks")))?;
            Ok(MinuteCount { minute: row.try_get(0)?, class, clicks: row.try_get(2)? })
        })
        .collect()
}

/// The offers with the most human clicks since `since`.
pub async fn top_offers(
    client: &impl GenericClient,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<OfferCount>, StoreError> {
    let rows = query(client, sql!("click_stats/top_offers.sql"), &[&since, &limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(OfferCount {
                offer_id: row.try_get(0)?,
                title: row.try_get(1)?,
                merchant: row.try_get(2)?,
                clicks: row.try_get(3)?,
            })
        })
        .collect()
}

/// The merchants with the most human clicks since `since`.
pub async fn top_merchants(
    client: &impl GenericClient,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<MerchantCount>, StoreError> {
    let rows = query(client, sql!("click_stats/top_merchants.sql"), &[&since, &limit]).await?;
    rows.iter()
        .map(|row| Ok(MerchantCount { merchant_id: row.try_get(0)?, name: row.try_get(1)?, clicks: row.try_get(2)? }))
        .collect()
}
