//! Merchants and offers, with a test of the links that shoppers are sent to.

use actix_web::{HttpResponse, web};
use askama::Template;
use domain::ids::{ClickId, OfferId};
use domain::money::BasisPoints;
use domain::offer::{AllowedHosts, Schemes, Target, TrackingTemplate};
use serde::Deserialize;
use store::catalogue::{self, Merchant, Offer};

use crate::access::Who;
use crate::api::Listing;
use crate::error::PageError;
use crate::state::State;
use crate::view::{self, Page};

#[derive(Template)]
#[template(path = "offers.html")]
struct OffersPage {
    page: Page,
    offers: Vec<(Offer, Option<Merchant>)>,
    next: Option<String>,
}

/// Where to go on.
#[derive(Deserialize)]
pub(crate) struct After {
    #[serde(default)]
    cursor: String,
}

/// Offers on a page.
const PAGE: usize = 100;

/// Offers with their merchants.
pub(crate) async fn list(
    state: web::Data<State>,
    who: Who,
    query: web::Query<After>,
) -> Result<HttpResponse, PageError> {
    let client = state.pool.get().await?;
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX).saturating_add(1);
    let after = query.cursor.parse::<OfferId>().map(|id| id.as_uuid()).unwrap_or_default();
    let offers = catalogue::list_offers(&client, OfferId::from_uuid(after), None, limit).await?;
    let Listing { items: offers, next } = Listing::cut(offers, PAGE, |offer| offer.id.to_string());
    let merchants: Vec<_> = offers.iter().map(|offer| offer.merchant_id).collect();
    let merchants = catalogue::find_merchants(&client, &merchants).await?;
    let of = |offer: &Offer| merchants.iter().find(|merchant| merchant.id == offer.merchant_id).cloned();
    let offers =
        offers.into_iter().map(|offer| (of(&offer), offer)).map(|(merchant, offer)| (offer, merchant)).collect();
    view::html(&OffersPage { page: Page::new(who, "offers"), offers, next })
}

/// A page at the shop to be tried.
#[derive(Deserialize)]
pub(crate) struct Try {
    #[serde(default)]
    target: String,
}

#[derive(Template)]
#[template(path = "offer.html")]
struct OfferPage {
    page: Page,
    offer: Offer,
    merchant: Merchant,
    target: String,
    link: Result<String, String>,
}

/// One offer: the link that a shopper would get now, or why there is none.
pub(crate) async fn page(
    state: web::Data<State>,
    who: Who,
    id: web::Path<String>,
    query: web::Query<Try>,
) -> Result<HttpResponse, PageError> {
    let id: OfferId = view::id(&id, "offer")?;
    let client = state.pool.get().await?;
    let offer = catalogue::find_offer(&client, id).await?.ok_or(PageError::NotFound("offer"))?;
    let merchant =
        catalogue::find_merchant(&client, offer.merchant_id).await?.ok_or(PageError::NotFound("merchant"))?;
    let target = if query.target.is_empty() { offer.target_url.clone() } else { query.target.clone() };
    let link = link(&offer, &merchant, &target);
    view::html(&OfferPage { page: Page::new(who, "offers"), offer, merchant, target, link })
}

/// The link as the redirector would make it, for a click that never was.
fn link(offer: &Offer, merchant: &Merchant, target: &str) -> Result<String, String> {
    let hosts = AllowedHosts::parse(&merchant.allowed_hosts).map_err(|error| error.to_string())?;
    let template = TrackingTemplate::parse(merchant.network, &merchant.tracking_template, Schemes::HttpToo)
        .map_err(|error| error.to_string())?;
    let target = Target::parse(target, &hosts, Schemes::HttpToo).map_err(|error| error.to_string())?;
    Ok(template.link(offer.id, &target).to_url(ClickId::generate()))
}

/// The shopper's part of the commission.
fn rate(offer: &Offer, merchant: &Merchant) -> BasisPoints {
    offer.cashback.unwrap_or(merchant.cashback)
}
