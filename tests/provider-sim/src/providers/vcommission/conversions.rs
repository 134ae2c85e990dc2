//! `GET /v2/publishers/conversions`, the documented report.

use super::{refusal, refuse_fields};
use crate::amount::{Amount, WireAmount};
use crate::clock;
use crate::providers::query::Params;
use crate::sim::{Shared, World};
use crate::transactions::Transaction;
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::Serialize;

/// The names that filter on a sub-id.
const SUB_IDS: &[&str] = &["p1", "p2", "p3", "p4", "p5"];

/// Rows in a page unless asked.
const DEFAULT_LIMIT: usize = 100;

/// The filters both reports share.
pub(super) struct Asked {
    start: NaiveDate,
    end: NaiveDate,
    status: Option<String>,
    click_id: Option<String>,
    sub_ids: Vec<(&'static str, String)>,
    pub(super) limit: usize,
    pub(super) page: usize,
}

impl Asked {
    /// Reads a query. Pages hold 100 rows unless asked, within `limits`.
    pub(super) fn read(query: &Params, limits: (usize, usize)) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut day = |name: &str| match query.get(name) {
            None => problem(&mut problems, format!("\"{name}\" is required")),
            Some(text) => NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .ok()
                .or_else(|| problem(&mut problems, format!("\"{name}\" must be in YYYY-MM-DD format"))),
        };
        let (start, end) = (day("start"), day("end"));
        let (least, most) = limits;
        let limit = query.number("limit").unwrap_or(Some(0)).unwrap_or(DEFAULT_LIMIT);
        if !(least..=most).contains(&limit) {
            problems.push(format!("\"limit\" must be between {least} and {most}"));
        }
        let page = query.number("page").unwrap_or(Some(0)).unwrap_or(1);
        if page == 0 {
            problems.push("\"page\" must be larger than or equal to 1".to_owned());
        }
        let status = query.get("status").map(str::to_owned);
        if status.as_deref().is_some_and(|s| !["approved", "pending", "cancelled", "rejected"].contains(&s)) {
            problems.push("\"status\" must be one of [approved, pending, cancelled, rejected]".to_owned());
        }
        match (start, end) {
            (Some(start), Some(end)) if problems.is_empty() => Ok(Self {
                start,
                end,
                status,
                click_id: query.get("click_id").map(str::to_owned),
                sub_ids: SUB_IDS.iter().filter_map(|n| query.get(n).map(|v| (*n, v.to_owned()))).collect(),
                limit,
                page,
            }),
            _ => Err(problems),
        }
    }

    /// Dates act on the conversion, in India's days, the last one included.
    fn wants(&self, row: &Transaction) -> bool {
        let day = row.at.with_timezone(&clock::ist()).date_naive();
        (self.start..=self.end).contains(&day)
            && self.status.as_deref().is_none_or(|s| s == row.status)
            && self.click_id.as_deref().is_none_or(|c| c == row.click_id)
            && self.sub_ids.iter().all(|(name, value)| row.sub_id(name) == Some(value))
    }

    /// The page that was asked for, and how many rows there are in all.
    pub(super) fn page_of(&self, world: &World) -> (Vec<Transaction>, usize) {
        let mut total = 0;
        let skip = (self.page - 1).saturating_mul(self.limit);
        let mut page = Vec::new();
        for row in world.vcommission_book.rows().iter().filter(|row| self.wants(row)) {
            if total >= skip && page.len() < self.limit {
                page.push(row.clone());
            }
            total += 1;
        }
        (page, total)
    }
}

fn problem<T>(problems: &mut Vec<String>, text: String) -> Option<T> {
    problems.push(text);
    None
}

pub(super) async fn list(sim: Shared, request: HttpRequest) -> HttpResponse {
    let query = Params::parse(request.query_string());
    let world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers(), &query) {
        return refusal;
    }
    let asked = match Asked::read(&query, (100, 1_000)) {
        Ok(asked) => asked,
        Err(problems) => return refuse_fields(&problems),
    };
    let (page, total) = asked.page_of(&world);
    let with_sale = world.settings.vcommission_sale_amount;
    drop(world);
    let conversions = page.iter().map(|row| Row::of(row, with_sale)).collect();
    let pagination = Pagination { per_page: asked.limit, current_page: asked.page, total };
    HttpResponse::Ok().json(Answer { conversions, pagination })
}

#[derive(Serialize)]
struct Answer<'a> {
    conversions: Vec<Row<'a>>,
    pagination: Pagination,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pagination {
    per_page: usize,
    current_page: usize,
    total: usize,
}

#[derive(Serialize)]
struct Row<'a> {
    _id: &'a str,
    click_id: &'a str,
    source: &'a str,
    elapsed_time: i64,
    city: &'static str,
    region: &'static str,
    isp: &'static str,
    p1: &'a str,
    p2: &'a str,
    p3: &'a str,
    p4: &'a str,
    p5: &'a str,
    p6: &'a str,
    p7: &'a str,
    p8: &'a str,
    p9: &'a str,
    p10: &'a str,
    os: &'static str,
    goal_id: Option<&'a str>,
    txn_id: Option<&'a str>,
    currency: &'a str,
    payout: WireAmount,
    #[serde(skip_serializing_if = "Option::is_none")]
    sale_amount: Option<WireAmount>,
    orig_sale_currency: &'a str,
    country: &'static str,
    browser: &'static str,
    device: &'static str,
    created: String,
    status: &'a str,
    external_offer_id: &'static str,
    campaign_id: u64,
    campaign_name: &'a str,
    goal_name: &'static str,
    url_title: &'static str,
}

impl<'a> Row<'a> {
    fn of(row: &'a Transaction, with_sale: bool) -> Self {
        let p = |name| row.sub_id(name).unwrap_or_default();
        Self {
            _id: &row.id,
            click_id: &row.click_id,
            source: p("source"),
            elapsed_time: (row.at - row.clicked_at).num_seconds(),
            city: "Pune",
            region: "Maharashtra",
            isp: "Demo ISP",
            p1: p("p1"),
            p2: p("p2"),
            p3: p("p3"),
            p4: p("p4"),
            p5: p("p5"),
            p6: p("p6"),
            p7: p("p7"),
            p8: p("p8"),
            p9: p("p9"),
            p10: p("p10"),
            os: "Android 14",
            goal_id: None,
            txn_id: row.order_id.as_deref(),
            currency: &row.currency,
            payout: row.commission.unwrap_or(Amount::ZERO).number(),
            sale_amount: row.sale_amount.filter(|_| with_sale).map(Amount::number),
            orig_sale_currency: &row.currency,
            country: "IN",
            browser: "Chrome 126",
            device: "mobile",
            created: iso(row.at),
            status: &row.status,
            external_offer_id: "32",
            campaign_id: row.campaign_id,
            campaign_name: &row.campaign_name,
            goal_name: "Sale",
            url_title: "Default",
        }
    }
}

/// `2023-06-02T01:28:40.000Z`.
pub(super) fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
