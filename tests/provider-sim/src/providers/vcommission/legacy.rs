//! `GET /api/transactions?format=json|csv|xml`: the path of older set-ups. No contract for it is public; the names are
//! those of the documented report, with the sale amount.

use super::conversions::{Asked, iso};
use super::{refusal, refuse, refuse_fields};
use crate::amount::{Amount, WireAmount};
use crate::providers::query::Params;
use crate::sim::Shared;
use crate::transactions::Transaction;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use quick_xml::se::to_string_with_root;
use serde::Serialize;

pub(super) async fn list(sim: Shared, request: HttpRequest) -> HttpResponse {
    let query = Params::parse(request.query_string());
    let world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers(), &query) {
        return refusal;
    }
    let asked = match Asked::read(&query, (1, 1_000)) {
        Ok(asked) => asked,
        Err(problems) => return refuse_fields(&problems),
    };
    let (page, total) = asked.page_of(&world);
    drop(world);
    let failed = || refuse(StatusCode::INTERNAL_SERVER_ERROR, 51, "The report could not be written");
    match query.get("format").unwrap_or("json") {
        "json" => {
            let transactions = page.iter().map(Row::json).collect();
            HttpResponse::Ok().json(Json { success: true, page: asked.page, limit: asked.limit, total, transactions })
        }
        "csv" => match csv(&page) {
            Some(text) => HttpResponse::Ok()
                .content_type("text/csv; charset=utf-8")
                .insert_header(("X-Total-Count", total.to_string()))
                .body(text),
            None => failed(),
        },
        "xml" => {
            let transaction = page.iter().map(Row::text).collect();
            let document = Xml { page: asked.page, limit: asked.limit, total, transaction };
            match to_string_with_root("transactions", &document) {
                Ok(xml) => HttpResponse::Ok()
                    .content_type("application/xml; charset=utf-8")
                    .body(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{xml}")),
                Err(_unwritable) => failed(),
            }
        }
        _ => refuse_fields(&["\"format\" must be one of [json, csv, xml]".to_owned()]),
    }
}

#[derive(Serialize)]
struct Json<'a> {
    success: bool,
    page: usize,
    limit: usize,
    total: usize,
    transactions: Vec<Row<'a, WireAmount>>,
}

#[derive(Serialize)]
struct Xml<'a> {
    #[serde(rename = "@page")]
    page: usize,
    #[serde(rename = "@limit")]
    limit: usize,
    #[serde(rename = "@total")]
    total: usize,
    transaction: Vec<Row<'a, String>>,
}

/// A row; `M` is how the format writes money.
#[derive(Serialize)]
struct Row<'a, M> {
    id: &'a str,
    click_id: &'a str,
    p1: &'a str,
    campaign_id: u64,
    campaign_name: &'a str,
    txn_id: &'a str,
    sale_amount: M,
    payout: M,
    currency: &'a str,
    status: &'a str,
    created: String,
}

impl<'a> Row<'a, WireAmount> {
    fn json(row: &'a Transaction) -> Self {
        Row::of(row, Amount::number)
    }
}

impl<'a> Row<'a, String> {
    fn text(row: &'a Transaction) -> Self {
        Row::of(row, |amount| amount.to_string())
    }
}

impl<'a, M> Row<'a, M> {
    fn of(row: &'a Transaction, money: impl Fn(Amount) -> M) -> Self {
        Self {
            id: &row.id,
            click_id: &row.click_id,
            p1: row.sub_id("p1").unwrap_or_default(),
            campaign_id: row.campaign_id,
            campaign_name: &row.campaign_name,
            txn_id: row.order_id.as_deref().unwrap_or_default(),
            sale_amount: money(row.sale_amount.unwrap_or(Amount::ZERO)),
            payout: money(row.commission.unwrap_or(Amount::ZERO)),
            currency: &row.currency,
            status: &row.status,
            created: iso(row.at),
        }
    }
}

/// A header line always, then the rows.
fn csv(rows: &[Transaction]) -> Option<String> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer
        .write_record([
            "id",
            "click_id",
            "p1",
            "campaign_id",
            "campaign_name",
            "txn_id",
            "sale_amount",
            "payout",
            "currency",
            "status",
            "created",
        ])
        .ok()?;
    for row in rows {
        writer.serialize(Row::text(row)).ok()?;
    }
    String::from_utf8(writer.into_inner().ok()?).ok()
}
