//! Merchants, offers, products and their stock.
//!
//! Every change of a merchant or an offer raises its `version` and says `NOTIFY catalogue` (`offer:<id>`,
//! `merchant:<id>` or `all`) in its commit, by triggers, whoever makes it. What an offer promised at each version stays
//! in `offer_versions`.

mod pages;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{MerchantId, OfferId, ProductId};
use domain::money::{BasisPoints, Paise};
use domain::network::Network;
use domain::offer::{AllowedHosts, Schemes, TrackingTemplate};
use tokio_postgres::Row;

pub use pages::{PublicPage, public_pages};

use crate::statements::{execute, query, query_opt};
use crate::{StoreError, sql};

/// The channel on which changes of merchants and offers are announced.
pub const CHANNEL: &str = "catalogue";

/// A shop, reached through one programme of one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merchant {
    /// The shop.
    pub id: MerchantId,
    /// Its name.
    pub name: String,
    /// The network that pays.
    pub network: Network,
    /// The network's id of the programme.
    pub campaign_id: String,
    /// The network's link with `{click_id}` and `{url}`.
    pub tracking_template: String,
    /// The hosts a shopper may be sent to; `*.shop.in` for all below.
    pub allowed_hosts: Vec<String>,
    /// Where an offer that is gone leads instead, if so configured.
    pub landing_url: String,
    /// The shopper's share of the commission.
    pub cashback: BasisPoints,
    /// The most cashback of one purchase.
    pub cashback_cap: Option<Paise>,
    /// Whether its offers can be clicked.
    pub active: bool,
    /// Raised by every change; ignored when inserting.
    pub version: i32,
    /// The last change; ignored when writing.
    pub updated_at: DateTime<Utc>,
}

/// One thing a shopper can click.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The offer.
    pub id: OfferId,
    /// Its shop.
    pub merchant_id: MerchantId,
    /// What the shopper reads.
    pub title: String,
    /// The page at the shop.
    pub target_url: String,
    /// Its own share; `None` is the merchant's.
    pub cashback: Option<BasisPoints>,
    /// Its own cap; `None` is the merchant's.
    pub cashback_cap: Option<Paise>,
    /// Whether it can be clicked.
    pub active: bool,
    /// Until when.
    pub expires_at: Option<DateTime<Utc>>,
    /// Raised by every change; ignored when inserting.
    pub version: i32,
    /// The last change; ignored when writing.
    pub updated_at: DateTime<Utc>,
}

/// What kind of thing a product is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProductKind {
    /// A voucher code, sent by mail.
    Voucher,
    /// A parcel.
    Physical,
}

impl ProductKind {
    /// The word in tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Voucher => "voucher",
            Self::Physical => "physical",
        }
    }
}

/// Something we sell ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// The product.
    pub id: ProductId,
    /// The shop it is of, if any.
    pub merchant_id: Option<MerchantId>,
    /// What the shopper reads.
    pub title: String,
    /// What kind of thing.
    pub kind: ProductKind,
    /// What it is worth.
    pub face_value: Paise,
    /// What it costs.
    pub price: Paise,
    /// Whether it can be bought.
    pub active: bool,
}

/// A product that runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LowStock {
    /// The product.
    pub product_id: ProductId,
    /// Its title.
    pub title: String,
    /// How many are left.
    pub stock: i32,
    /// The number at which somebody wants to be told.
    pub low_stock_at: i32,
}

/// Whether the redirector could use the merchant. Whether `http` will do is a setting of the redirector, which says so when
/// it loads the merchant.
fn lint(merchant: &Merchant) -> Result<(), StoreError> {
    TrackingTemplate::parse(merchant.network, &merchant.tracking_template, Schemes::HttpToo)?;
    AllowedHosts::parse(&merchant.allowed_hosts)?;
    Ok(())
}

/// Adds a merchant, unless its template or its hosts cannot be used.
pub async fn insert_merchant(client: &impl GenericClient, merchant: &Merchant) -> Result<(), StoreError> {
    lint(merchant)?;
    let Merchant {
        id,
        name,
        network,
        campaign_id,
        tracking_template,
        allowed_hosts,
        landing_url,
        cashback,
        cashback_cap,
        active,
        ..
    } = merchant;
    execute(
        client,
        sql!("catalogue/insert_merchant.sql"),
        &[
            id,
            name,
            &network.slug(),
            campaign_id,
            tracking_template,
            allowed_hosts,
            landing_url,
            cashback,
            cashback_cap,
            active,
        ],
    )
    .await?;
    Ok(())
}

/// Changes a merchant whose version still is the one read; says whether it was. A template or hosts that cannot be used are
/// refused, as when inserting.
pub async fn update_merchant(client: &impl GenericClient, merchant: &Merchant) -> Result<bool, StoreError> {
    lint(merchant)?;
    let Merchant {
        id,
        name,
        network,
        campaign_id,
        tracking_template,
        allowed_hosts,
        landing_url,
        cashback,
        cashback_cap,
        active,
        version,
        ..
    } = merchant;
    let rows = execute(
        client,
        sql!("catalogue/update_merchant.sql"),
        &[
            id,
            name,
            &network.slug(),
            campaign_id,
            tracking_template,
            allowed_hosts,
            landing_url,
            cashback,
            cashback_cap,
            active,
            version,
        ],
    )
    .await?;
    Ok(rows == 1)
}

/// Finds a merchant.
pub async fn find_merchant(client: &impl GenericClient, id: MerchantId) -> Result<Option<Merchant>, StoreError> {
    query_opt(client, sql!("catalogue/find_merchant.sql"), &[&id]).await?.as_ref().map(merchant).transpose()
}

/// Finds several merchants, in no certain order; unknown ids are left out.
pub async fn find_merchants(client: &impl GenericClient, ids: &[MerchantId]) -> Result<Vec<Merchant>, StoreError> {
    query(client, sql!("catalogue/find_merchants.sql"), &[&ids]).await?.iter().map(merchant).collect()
}

/// Merchants in the order of their ids, after `after` (the nil id for the first page). Each by itself: one whose row cannot be
/// read hides no other.
pub async fn list_merchants(
    client: &impl GenericClient,
    after: MerchantId,
    limit: i64,
) -> Result<Vec<(MerchantId, Result<Merchant, StoreError>)>, StoreError> {
    let rows = query(client, sql!("catalogue/list_merchants.sql"), &[&after, &limit]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, merchant(row)))).collect()
}

/// Adds an offer.
pub async fn insert_offer(client: &impl GenericClient, offer: &Offer) -> Result<(), StoreError> {
    let Offer { id, merchant_id, title, target_url, cashback, cashback_cap, active, expires_at, .. } = offer;
    execute(
        client,
        sql!("catalogue/insert_offer.sql"),
        &[id, merchant_id, title, target_url, cashback, cashback_cap, active, expires_at],
    )
    .await?;
    Ok(())
}

/// Changes an offer whose version still is the one read; says whether it was.
pub async fn update_offer(client: &impl GenericClient, offer: &Offer) -> Result<bool, StoreError> {
    let Offer { id, merchant_id, title, target_url, cashback, cashback_cap, active, expires_at, version, .. } = offer;
    let rows = execute(
        client,
        sql!("catalogue/update_offer.sql"),
        &[id, merchant_id, title, target_url, cashback, cashback_cap, active, expires_at, version],
    )
    .await?;
    Ok(rows == 1)
}

/// Finds an offer.
pub async fn find_offer(client: &impl GenericClient, id: OfferId) -> Result<Option<Offer>, StoreError> {
    query_opt(client, sql!("catalogue/find_offer.sql"), &[&id]).await?.as_ref().map(offer).transpose()
}

/// Finds offers, in no order. A row that cannot be read spoils no other.
pub async fn find_offers(
    client: &impl GenericClient,
    ids: &[OfferId],
) -> Result<Vec<(OfferId, Result<Offer, StoreError>)>, StoreError> {
    let rows = query(client, sql!("catalogue/find_offers.sql"), &[&ids]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, offer(row)))).collect()
}

/// Offers in the order of their ids, after `after` (the nil id for the first page), of one merchant or of all.
pub async fn list_offers(
    client: &impl GenericClient,
    after: OfferId,
    merchant: Option<MerchantId>,
    limit: i64,
) -> Result<Vec<Offer>, StoreError> {
    query(client, sql!("catalogue/list_offers.sql"), &[&after, &merchant, &limit]).await?.iter().map(offer).collect()
}

/// Offers changed at or after an instant: what a listener may have missed. Deleted ones are not among them.
pub async fn offers_changed_since(
    client: &impl GenericClient,
    instant: DateTime<Utc>,
) -> Result<Vec<OfferId>, StoreError> {
    let rows = query(client, sql!("catalogue/offers_changed_since.sql"), &[&instant]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Merchants changed at or after an instant.
pub async fn merchants_changed_since(
    client: &impl GenericClient,
    instant: DateTime<Utc>,
) -> Result<Vec<MerchantId>, StoreError> {
    let rows = query(client, sql!("catalogue/merchants_changed_since.sql"), &[&instant]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Adds a product.
pub async fn insert_product(client: &impl GenericClient, product: &Product) -> Result<(), StoreError> {
    let Product { id, merchant_id, title, kind, face_value, price, active } = product;
    execute(
        client,
        sql!("catalogue/insert_product.sql"),
        &[id, merchant_id, title, &kind.word(), face_value, price, active],
    )
    .await?;
    Ok(())
}

/// Finds several products, in no certain order; unknown ids are left out.
pub async fn find_products(client: &impl GenericClient, ids: &[ProductId]) -> Result<Vec<Product>, StoreError> {
    query(client, sql!("catalogue/find_products.sql"), &[&ids]).await?.iter().map(product).collect()
}

/// Sets how many of a product are there, and when to tell that they run out.
pub async fn set_stock(
    client: &impl GenericClient,
    id: ProductId,
    stock: i32,
    low_stock_at: i32,
) -> Result<(), StoreError> {
    execute(client, sql!("catalogue/set_stock.sql"), &[&id, &stock, &low_stock_at]).await?;
    Ok(())
}

/// Active products at or below their mark, the scarcest first.
pub async fn low_stock(client: &impl GenericClient) -> Result<Vec<LowStock>, StoreError> {
    let rows = query(client, sql!("catalogue/low_stock.sql"), &[]).await?;
    rows.iter()
        .map(|row| {
            Ok(LowStock {
                product_id: row.try_get(0)?,
                title: row.try_get(1)?,
                stock: row.try_get(2)?,
                low_stock_at: row.try_get(3)?,
            })
        })
        .collect()
}

fn rate(basis_points: i32) -> Result<BasisPoints, StoreError> {
    BasisPoints::new(basis_points).map_err(|error| StoreError::WrongRow(error.to_string()))
}

fn merchant(row: &Row) -> Result<Merchant, StoreError> {
    let network = row.try_get::<_, &str>(2)?.parse();
    Ok(Merchant {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        network: network.map_err(|error: domain::network::UnknownNetwork| StoreError::WrongRow(error.to_string()))?,
        campaign_id: row.try_get(3)?,
        tracking_template: row.try_get(4)?,
        allowed_hosts: row.try_get(5)?,
        landing_url: row.try_get(6)?,
        cashback: rate(row.try_get(7)?)?,
        cashback_cap: row.try_get(8)?,
        active: row.try_get(9)?,
        version: row.try_get(10)?,
        updated_at: row.try_get(11)?,
    })
}

fn offer(row: &Row) -> Result<Offer, StoreError> {
    Ok(Offer {
        id: row.try_get(0)?,
        merchant_id: row.try_get(1)?,
        title: row.try_get(2)?,
        target_url: row.try_get(3)?,
        cashback: row.try_get::<_, Option<i32>>(4)?.map(rate).transpose()?,
        cashback_cap: row.try_get(5)?,
        active: row.try_get(6)?,
        expires_at: row.try_get(7)?,
        version: row.try_get(8)?,
        updated_at: row.try_get(9)?,
    })
}

fn product(row: &Row) -> Result<Product, StoreError> {
    let kind = match row.try_get::<_, &str>(3)? {
        "voucher" => ProductKind::Voucher,
        "physical" => ProductKind::Physical,
        other => {
            return Err(StoreError::WrongRow(format!("{other:?} is not a kind of product")));
        }
    };
    Ok(Product {
        id: row.try_get(0)?,
        merchant_id: row.try_get(1)?,
        title: row.try_get(2)?,
        kind,
        face_value: row.try_get(4)?,
        price: row.try_get(5)?,
        active: row.try_get(6)?,
    })
}
