//! Transactions: decimal strings in v3, numbers in v2, and a bare 204 in v2 when there is nothing.

use super::{Version, refusal, refuse};
use crate::amount::{Amount, WireAmount};
use crate::clock;
use crate::providers::query::Params;
use crate::sim::{Shared, World};
use crate::transactions::Transaction;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Days, NaiveDate, Utc};
use serde::Serialize;

/// Rows in a page unless asked.
const DEFAULT_PER_PAGE: usize = 30;

struct Page {
    rows: Vec<Transaction>,
    number: usize,
    size: usize,
    total: usize,
}

/// Reads the query and cuts the page out. Dates act on the transaction; there is no "updated since".
fn page(world: &World, query: &Params, most: usize) -> Result<Page, String> {
    let from = moment(query, "start_date", false)?;
    let to = moment(query, "end_date", true)?;
    let number = |name: &'static str, or: usize| -> Result<usize, String> {
        let number = query.number(name).map_err(|e| e.to_string())?.unwrap_or(or);
        if number == 0 { Err(format!("{name} must be positive")) } else { Ok(number) }
    };
    let (page, per_page) = (number("page", 1)?, number("per_page", DEFAULT_PER_PAGE)?.min(most));
    let sub_id = query.get("sub_id");
    let wanted = |row: &&Transaction| {
        from.is_none_or(|f| f <= row.at)
            && to.is_none_or(|t| row.at < t)
            && sub_id.is_none_or(|s| row.sub_id("subid") == Some(s))
    };
    let skip = (page - 1).saturating_mul(per_page);
    let (mut rows, mut total) = (Vec::new(), 0);
    for row in world.cuelinks_book.rows().iter().filter(wanted) {
        if total >= skip && rows.len() < per_page {
            rows.push(row.clone());
        }
        total += 1;
    }
    Ok(Page { rows, number: page, size: per_page, total })
}

/// A date of India, or a moment with its offset. The end of a plain date is the start of the next day.
fn moment(query: &Params, name: &str, end: bool) -> Result<Option<DateTime<Utc>>, String> {
    let Some(text) = query.get(name) else {
        return Ok(None);
    };
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(Some(moment.with_timezone(&Utc)));
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_wrong| format!("{name} is not a date"))?;
    let day = if end { day.checked_add_days(Days::new(1)).unwrap_or(day) } else { day };
    let midnight = day.and_time(chrono::NaiveTime::MIN).and_local_timezone(clock::ist()).single();
    Ok(midnight.map(|m| m.with_timezone(&Utc)))
}

pub(super) async fn v3(sim: Shared, request: HttpRequest) -> HttpResponse {
    let query = Params::parse(request.query_string());
    let world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers(), Version::V3) {
        return refusal;
    }
    let page = match page(&world, &query, 100) {
        Ok(page) => page,
        Err(problem) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, &problem),
    };
    drop(world);
    let total_pages = page.total.div_ceil(page.size);
    let meta = Meta {
        page: page.number,
        per_page: page.size,
        total: page.total,
        total_pages,
        next_page: (page.number < total_pages).then_some(page.number + 1),
        prev_page: (page.number > 1).then_some(page.number - 1),
    };
    HttpResponse::Ok().json(AnswerV3 { data: page.rows.iter().map(RowV3::of).collect(), meta })
}

pub(super) async fn v2(sim: Shared, request: HttpRequest) -> HttpResponse {
    let query = Params::parse(request.query_string());
    let world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers(), Version::V2) {
        return refusal;
    }
    let page = match page(&world, &query, 1_000_000) {
        Ok(page) => page,
        Err(problem) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, &problem),
    };
    drop(world);
    if page.rows.is_empty() {
        return HttpResponse::NoContent().finish();
    }
    HttpResponse::Ok()
        .json(AnswerV2 { total_count: page.total, transactions: page.rows.iter().map(RowV2::of).collect() })
}

#[derive(Serialize)]
struct AnswerV3<'a> {
    data: Vec<RowV3<'a>>,
    meta: Meta,
}

#[derive(Serialize)]
struct Meta {
    page: usize,
    per_page: usize,
    total: usize,
    total_pages: usize,
    next_page: Option<usize>,
    prev_page: Option<usize>,
}

#[derive(Serialize)]
struct RowV3<'a> {
    id: u64,
    campaign_id: u64,
    order_id: Option<&'a str>,
    merchant_reference_id: Option<&'a str>,
    sale_amount: Option<Amount>,
    user_commission: Option<Amount>,
    currency: &'a str,
    status: &'a str,
    sub_id: Option<&'a str>,
    transaction_date: String,
}

impl<'a> RowV3<'a> {
    fn of(row: &'a Transaction) -> Self {
        Self {
            id: row.id.parse().unwrap_or_default(),
            campaign_id: row.campaign_id,
            order_id: row.order_id.as_deref(),
            merchant_reference_id: None,
            sale_amount: row.sale_amount,
            user_commission: row.commission,
            currency: &row.currency,
            status: &row.status,
            sub_id: row.sub_id("subid"),
            transaction_date: row.at.with_timezone(&clock::ist()).format("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        }
    }
}

#[derive(Serialize)]
struct AnswerV2<'a> {
    total_count: usize,
    transactions: Vec<RowV2<'a>>,
}

#[derive(Serialize)]
struct RowV2<'a> {
    id: u64,
    aff_sub: Option<&'a str>,
    subid1: Option<&'a str>,
    subid2: Option<&'a str>,
    subid3: Option<&'a str>,
    subid4: Option<&'a str>,
    subid5: Option<&'a str>,
    referrer_url: Option<&'a str>,
    extra_info: Option<&'a str>,
    pub_affiliate_id: Option<&'a str>,
    sale_amount: Option<WireAmount>,
    user_commission: Option<WireAmount>,
    currency: &'a str,
    status: &'a str,
    store_name: &'a str,
    campaign_id: u64,
    order_id: Option<&'a str>,
    transaction_date: String,
}

impl<'a> RowV2<'a> {
    fn of(row: &'a Transaction) -> Self {
        Self {
            id: row.id.parse().unwrap_or_default(),
            aff_sub: row.sub_id("subid"),
            subid1: row.sub_id("subid"),
            subid2: row.sub_id("subid2"),
            subid3: row.sub_id("subid3"),
            subid4: row.sub_id("subid4"),
            subid5: row.sub_id("subid5"),
            referrer_url: None,
            extra_info: None,
            pub_affiliate_id: None,
            sale_amount: row.sale_amount.map(Amount::number),
            user_commission: row.commission.map(Amount::number),
            currency: &row.currency,
            status: &row.status,
            store_name: &row.campaign_name,
            campaign_id: row.campaign_id,
            order_id: row.order_id.as_deref(),
            transaction_date: row.at.with_timezone(&clock::ist()).format("%Y-%m-%d %H:%M:%S %z").to_string(),
        }
    }
}
