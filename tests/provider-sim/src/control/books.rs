//! Transactions: made, changed, listed, and made by the thousand.

use super::{Answer, ControlError, read};
use crate::bulk::{self, Bulk};
use crate::deliveries::Draft;
use crate::provider::Network;
use crate::providers::{admitad, cuelinks, vcommission};
use crate::settings::Settings;
use crate::sim::{Shared, arc};
use crate::transactions::{Change, NewTransaction, Transaction};
use actix_web::HttpResponse;
use actix_web::web::{self, Bytes, Path, Query, ServiceConfig};
use serde::Deserialize;
use serde_json::json;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/transactions", web::post().to(create))
        .route("/transactions", web::get().to(list))
        .route("/transactions/bulk", web::post().to(many))
        .route("/transactions/{network}/{id}", web::get().to(one))
        .route("/transactions/{network}/{id}", web::post().to(change))
        .route("/clicks", web::get().to(clicks));
}

/// The postback this network would send now: `Some(true)` sends it in any case, `Some(false)` never.
fn postback(
    settings: &Settings,
    before: Option<&Transaction>,
    row: &Transaction,
    asked: Option<bool>,
) -> Option<Draft> {
    let told_differently = before.is_none_or(|b| {
        (&b.status, b.paid, b.commission, b.sale_amount) != (&row.status, row.paid, row.commission, row.sale_amount)
    });
    match (asked, row.network) {
        (Some(false), _) => None,
        (None, _) if !told_differently => None,
        (_, Network::Admitad) => admitad::postback::of(settings, before, row),
        (None, Network::Vcommission) if !vcommission::postback::is_due(settings, row) => None,
        (_, Network::Vcommission) => vcommission::postback::of(settings, row),
        (_, Network::Cuelinks) => cuelinks::postback::of(settings, row),
    }
}

async fn create(sim: Shared, body: Bytes) -> Answer {
    let new: NewTransaction = read(&body)?;
    let asked = new.postback;
    let (row, told) = {
        let mut world = sim.world();
        let world = &mut *world;
        let now = world.now();
        let click = new.sub_id.as_deref().and_then(|s| world.clicks.with_sub_id(new.network, s)).cloned();
        let ids = &mut world.ids;
        let book = match new.network {
            Network::Admitad => &mut world.admitad_book,
            Network::Vcommission => &mut world.vcommission_book,
            Network::Cuelinks => &mut world.cuelinks_book,
        };
        let row = book.add(new, click.as_ref(), ids, now)?;
        let told = postback(&world.settings, None, &row, asked);
        (row, told)
    };
    let deliveries = arc(&sim).deliver(told.into_iter().collect());
    Ok(HttpResponse::Created().json(json!({"id": row.id, "transaction": row, "deliveries": deliveries})))
}

fn network(name: &str) -> Result<Network, ControlError> {
    Network::named(name).ok_or_else(|| ControlError::NotFound(format!("network \"{name}\"")))
}

async fn change(sim: Shared, path: Path<(String, String)>, body: Bytes) -> Answer {
    let (name, id) = path.into_inner();
    let network = network(&name)?;
    let change: Change = read(&body)?;
    let asked = change.postback;
    let (row, told) = {
        let mut world = sim.world();
        let now = world.now();
        let (before, row) = world.book_mut(network).change(&id, change, now)?;
        let told = postback(&world.settings, Some(&before), &row, asked);
        (row, told)
    };
    let deliveries = arc(&sim).deliver(told.into_iter().collect());
    Ok(HttpResponse::Ok().json(json!({"id": row.id, "transaction": row, "deliveries": deliveries})))
}

async fn one(sim: Shared, path: Path<(String, String)>) -> Answer {
    let (name, id) = path.into_inner();
    let network = network(&name)?;
    match sim.world().book(network).get(&id) {
        Some(row) => Ok(HttpResponse::Ok().json(row)),
        None => Err(ControlError::NotFound(format!("transaction {id}"))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    network: Option<Network>,
    sub_id: Option<String>,
    order_id: Option<String>,
    status: Option<String>,
    offset: Option<usize>,
    limit: Option<usize>,
}

async fn list(sim: Shared, filter: Query<Filter>) -> Answer {
    let world = sim.world();
    let matching: Vec<&Transaction> = Network::ALL
        .into_iter()
        .filter(|n| filter.network.is_none_or(|wanted| wanted == *n))
        .flat_map(|n| world.book(n).rows())
        .filter(|row| filter.sub_id.as_deref().is_none_or(|s| row.sub_ids.values().any(|v| v == s)))
        .filter(|row| filter.order_id.is_none() || row.order_id == filter.order_id)
        .filter(|row| filter.status.as_deref().is_none_or(|s| row.status == s))
        .collect();
    let count = matching.len();
    let page: Vec<Transaction> =
        matching.into_iter().skip(filter.offset.unwrap_or(0)).take(filter.limit.unwrap_or(1_000)).cloned().collect();
    drop(world);
    Ok(HttpResponse::Ok().json(json!({"count": count, "transactions": page})))
}

async fn many(sim: Shared, body: Bytes) -> Answer {
    let asked: Bulk = read(&body)?;
    let mut world = sim.world();
    let now = world.now();
    let made = bulk::make(world.book_mut(asked.network), &asked, now)?;
    Ok(HttpResponse::Created().json(made))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClickFilter {
    sub_id: Option<String>,
    network: Option<Network>,
    limit: Option<usize>,
}

async fn clicks(sim: Shared, filter: Query<ClickFilter>) -> Answer {
    let mut clicks = sim.world().clicks.latest(usize::MAX);
    clicks.retain(|c| filter.network.is_none_or(|n| n == c.network));
    clicks.retain(|c| filter.sub_id.as_deref().is_none_or(|s| c.sub_ids.values().any(|v| v == s)));
    let count = clicks.len();
    clicks.truncate(filter.limit.unwrap_or(1_000));
    Ok(HttpResponse::Ok().json(json!({"count": count, "clicks": clicks})))
}
