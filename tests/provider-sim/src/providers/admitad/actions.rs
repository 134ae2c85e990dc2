//! `GET /statistics/actions/`: one row per conversion.

use super::{refusal, refuse};
use crate::amount::{Amount, WireAmount};
use crate::clock;
use crate::providers::query::Params;
use crate::settings::AmountForm;
use crate::sim::Shared;
use crate::transactions::{Book, Transaction};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Rows in a page unless asked, and at most.
const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 500;

const TIME: &str = "%Y-%m-%d %H:%M:%S";

pub(super) async fn list(sim: Shared, request: HttpRequest) -> HttpResponse {
    let query = Params::parse(request.query_string());
    let world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers(), "statistics") {
        return refusal;
    }
    let zone = clock::zone(world.settings.admitad_zone_minutes);
    let form = world.settings.admitad_amounts;
    let asked = match Asked::read(&query, zone, world.now()) {
        Ok(asked) => asked,
        Err(problem) => return refuse(StatusCode::BAD_REQUEST, "bad_request", &problem, 3),
    };
    let rows = asked.rows(&world.admitad_book);
    if asked.total {
        return HttpResponse::Ok().json(sums(&rows));
    }
    let count = rows.len();
    let page: Vec<Transaction> = rows.into_iter().skip(asked.offset).take(asked.limit).cloned().collect();
    drop(world);
    let results: Vec<Row<'_>> = page.iter().map(|row| Row::of(row, zone, form)).collect();
    HttpResponse::Ok().json(Answer { results, _meta: Meta { count, limit: asked.limit, offset: asked.offset } })
}

/// The filters of a call.
struct Asked {
    filters: BTreeMap<&'static str, String>,
    date: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    updated: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    closing: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    order_by: Option<(String, bool)>,
    limit: usize,
    offset: usize,
    total: bool,
}

/// Filters that compare a text.
const TEXT_FILTERS: &[&str] = &[
    "action_id",
    "campaign",
    "website",
    "subid",
    "subid1",
    "subid2",
    "subid3",
    "subid4",
    "status",
    "action_type",
    "processed",
    "paid",
    "keyword",
    "source",
    "action",
];

/// Orders the report can be in.
const ORDERS: &[&str] = &[
    "datetime",
    "action",
    "banner",
    "banner_id",
    "campaign",
    "cart",
    "click_date",
    "conv_time",
    "payment",
    "status",
    "subid",
    "subid1",
    "subid2",
    "subid3",
    "subid4",
    "website",
];

impl Asked {
    fn read(query: &Params, zone: FixedOffset, now: DateTime<Utc>) -> Result<Self, String> {
        let day = |name: &str, end: bool| -> Result<Option<DateTime<Utc>>, String> {
            let Some(text) = query.get(name) else {
                return Ok(None);
            };
            let day =
                NaiveDate::parse_from_str(text, "%d.%m.%Y").map_err(|_wrong| format!("{name}: must be dd.mm.yyyy"))?;
            let time = if end { NaiveTime::from_hms_opt(23, 59, 59) } else { NaiveTime::from_hms_opt(0, 0, 0) };
            Ok(at(day.and_time(time.unwrap_or_default()), zone))
        };
        let moment = |name: &str| -> Result<Option<DateTime<Utc>>, String> {
            let Some(text) = query.get(name) else {
                return Ok(None);
            };
            let parsed = NaiveDateTime::parse_from_str(text, "%d.%m.%Y %H:%M:%S")
                .map_err(|_wrong| format!("{name}: must be dd.mm.yyyy HH:MM:SS"))?;
            Ok(at(parsed, zone))
        };
        let today = now.with_timezone(&zone).date_naive();
        let future = |name: &str| {
            query.get(name).and_then(|t| NaiveDate::parse_from_str(t, "%d.%m.%Y").ok()).is_some_and(|d| d > today)
        };
        if future("date_end") {
            return Err("date_end: must not be in the future".to_owned());
        }
        let limit = query.number("limit").map_err(|e| e.to_string())?.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(format!("limit: must be between 1 and {MAX_LIMIT}"));
        }
        let order_by = match query.get("order_by") {
            None => None,
            Some(text) => {
                let name = text.trim_start_matches('-');
                if !ORDERS.contains(&name) {
                    return Err(format!("order_by: unknown field {name}"));
                }
                Some((name.to_owned(), text.starts_with('-')))
            }
        };
        let filters: BTreeMap<_, _> =
            TEXT_FILTERS.iter().filter_map(|name| query.get(name).map(|value| (*name, value.to_owned()))).collect();
        for (name, value) in &filters {
            if name.starts_with("subid") && value.chars().count() > 250 {
                return Err(format!("{name}: at most 250 characters"));
            }
            if *name == "status" && !matches!(value.as_str(), "1" | "2" | "3") {
                return Err("status: must be 1, 2 or 3".to_owned());
            }
        }
        Ok(Self {
            filters,
            date: (day("date_start", false)?, day("date_end", true)?),
            updated: (moment("status_updated_start")?, moment("status_updated_end")?),
            closing: (day("closing_date_start", false)?, day("closing_date_end", true)?),
            order_by,
            limit,
            offset: query.number("offset").map_err(|e| e.to_string())?.unwrap_or(0),
            total: query.get("total") == Some("1"),
        })
    }

    fn wants(&self, row: &Transaction) -> bool {
        let within = |time: DateTime<Utc>, (from, to): (Option<DateTime<Utc>>, Option<DateTime<Utc>>)| {
            // Filters know whole seconds only.
            let second = time.timestamp();
            from.is_none_or(|f| f.timestamp() <= second) && to.is_none_or(|t| second <= t.timestamp())
        };
        within(row.at, self.date)
            && within(row.updated_at, self.updated)
            && within(closing(row), self.closing)
            && self.filters.iter().all(|(name, value)| matches(row, name, value))
    }

    /// The rows that are wanted, in the order that is wanted.
    fn rows<'a>(&self, book: &'a Book) -> Vec<&'a Transaction> {
        let Some((name, descending)) = &self.order_by else {
            return book.rows().iter().filter(|row| self.wants(row)).collect();
        };
        // A pull asks for this order with each of its pages, so the book keeps it.
        let mut rows: Vec<&Transaction> = if name == "datetime" {
            book.by_time().filter(|row| self.wants(row)).collect()
        } else {
            book.rows().iter().filter(|row| self.wants(row)).collect()
        };
        match name.as_str() {
            "click_date" => rows.sort_by_key(|r| r.clicked_at),
            "conv_time" => rows.sort_by_key(|r| r.at - r.clicked_at),
            "cart" => rows.sort_by_key(|r| r.sale_amount),
            "payment" => rows.sort_by_key(|r| r.commission),
            "status" => rows.sort_by(|a, b| a.status.cmp(&b.status)),
            "campaign" => rows.sort_by_key(|r| r.campaign_id),
            subid if subid.starts_with("subid") => rows.sort_by(|a, b| a.sub_id(subid).cmp(&b.sub_id(subid))),
            _ => {}
        }
        if *descending {
            rows.reverse();
        }
        rows
    }
}

fn at(naive: NaiveDateTime, zone: FixedOffset) -> Option<DateTime<Utc>> {
    naive.and_local_timezone(zone).single().map(|t| t.with_timezone(&Utc))
}

/// When the hold ends, by which the advertiser must have decided.
fn closing(row: &Transaction) -> DateTime<Utc> {
    row.at + chrono::Duration::days(45)
}

fn matches(row: &Transaction, name: &str, value: &str) -> bool {
    let number = |flag: bool| if flag { "1" } else { "0" };
    match name {
        "action_id" => row.id == value,
        "campaign" => row.campaign_id.to_string() == value,
        "status" => {
            let words: &[&str] = match value {
                "1" => &["pending"],
                "2" => &["approved", "approved_but_stalled"],
                _ => &["declined"],
            };
            words.contains(&row.status.as_str())
        }
        "action_type" => matches!(value, "sale" | "2"),
        "processed" => number(row.status != "pending") == value,
        "paid" => number(row.paid) == value,
        subid if subid.starts_with("subid") => row.sub_id(subid) == Some(value),
        // One website, one tariff: these never take a row away.
        _ => true,
    }
}

/// `total=1`: sums instead of rows.
fn sums(rows: &[&Transaction]) -> Value {
    let mut by_currency: BTreeMap<&str, (usize, Amount, Amount)> = BTreeMap::new();
    for row in rows {
        let (count, payment, cart) = by_currency.entry(&row.currency).or_insert((0, Amount::ZERO, Amount::ZERO));
        *count += 1;
        payment.0 += row.commission.unwrap_or(Amount::ZERO).0;
        cart.0 += row.sale_amount.unwrap_or(Amount::ZERO).0;
    }
    let results: Vec<Value> = by_currency
        .into_iter()
        .map(|(currency, (count, payment, cart))| {
            json!({"currency": currency, "actions": count, "payment": payment, "cart": cart})
        })
        .collect();
    json!({"_meta": {"count": results.len(), "limit": DEFAULT_LIMIT, "offset": 0}, "results": results})
}

#[derive(Serialize)]
struct Answer<'a> {
    results: Vec<Row<'a>>,
    _meta: Meta,
}

#[derive(Serialize)]
struct Meta {
    count: usize,
    limit: usize,
    offset: usize,
}

#[derive(Serialize)]
struct Row<'a> {
    id: u64,
    action_id: u64,
    order_id: Option<&'a str>,
    advcampaign_id: u64,
    advcampaign_name: &'a str,
    website_name: &'static str,
    banner_id: u32,
    tariff_id: u32,
    action: &'static str,
    action_type: &'static str,
    status: &'a str,
    processed: u8,
    paid: u8,
    cart: Option<WireAmount>,
    payment: WireAmount,
    currency: &'a str,
    subid: Option<&'a str>,
    subid1: Option<&'a str>,
    subid2: Option<&'a str>,
    subid3: Option<&'a str>,
    subid4: Option<&'a str>,
    click_date: String,
    action_date: String,
    status_updated: String,
    closing_date: String,
    conversion_time: i64,
    keyword: Option<&'a str>,
    comment: Option<&'a str>,
    promocode: Option<&'a str>,
    click_country_code: &'static str,
    click_user_ip: &'static str,
    click_user_referer: Option<&'a str>,
    positions: Vec<Position<'a>>,
}

#[derive(Serialize)]
struct Position<'a> {
    id: u64,
    tariff_id: u32,
    datetime: String,
    amount: Option<Amount>,
    payment: Option<Amount>,
    rate: &'static str,
    percentage: bool,
    product_id: &'a str,
    product_name: Option<&'a str>,
    product_url: Option<&'a str>,
    product_image: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(row: &'a Transaction, zone: FixedOffset, form: AmountForm) -> Self {
        let id = row.id.parse().unwrap_or_default();
        let text = match form {
            AmountForm::Number => false,
            AmountForm::Text => true,
            AmountForm::Mixed => id % 2 == 1,
        };
        let wire = |amount: Amount| if text { amount.text() } else { amount.number() };
        let local = |time: DateTime<Utc>| time.with_timezone(&zone).format(TIME).to_string();
        Self {
            id,
            action_id: id,
            order_id: row.order_id.as_deref(),
            advcampaign_id: row.campaign_id,
            advcampaign_name: &row.campaign_name,
            website_name: "demo cashback",
            banner_id: 0,
            tariff_id: 55_001,
            action: "Paid order",
            action_type: "sale",
            status: &row.status,
            processed: u8::from(row.status != "pending"),
            paid: u8::from(row.paid),
            cart: row.sale_amount.map(wire),
            payment: wire(row.commission.unwrap_or(Amount::ZERO)),
            currency: &row.currency,
            subid: row.sub_id("subid"),
            subid1: row.sub_id("subid1"),
            subid2: row.sub_id("subid2"),
            subid3: row.sub_id("subid3"),
            subid4: row.sub_id("subid4"),
            click_date: local(row.clicked_at),
            action_date: local(row.at),
            status_updated: local(row.updated_at),
            closing_date: closing(row).with_timezone(&zone).format("%Y-%m-%d").to_string(),
            conversion_time: (row.at - row.clicked_at).num_seconds(),
            keyword: None,
            comment: row.comment.as_deref(),
            promocode: None,
            click_country_code: "IN",
            click_user_ip: "192.0.2.1",
            click_user_referer: None,
            positions: vec![Position {
                id: 900_000_000 + id % 100_000_000,
                tariff_id: 55_001,
                datetime: local(row.at),
                amount: row.sale_amount,
                payment: row.commission,
                rate: "5.00",
                percentage: true,
                product_id: "SKU1",
                product_name: None,
                product_url: None,
                product_image: None,
            }],
        }
    }
}
