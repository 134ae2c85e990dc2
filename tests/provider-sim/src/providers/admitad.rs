//! Admitad: OAuth tokens, the actions report, postbacks, links.

mod actions;
pub(crate) mod postback;
mod token;

use crate::amount::Amount;
use crate::provider::Network;
use crate::providers::landing;
use crate::providers::query::Params;
use crate::sim::{Shared, World};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::web::{self, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What Admitad remembers.
#[derive(Debug, Default)]
pub(crate) struct State {
    access: HashMap<String, token::Access>,
    refresh: HashSet<String>,
}

/// The routes under `/admitad`.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/token/", web::post().to(token::issue))
        .route("/statistics/actions/", web::get().to(actions::list))
        .route("/me/balance/extended/", web::get().to(balance))
        .route("/deeplink/{website}/advcampaign/{campaign}/", web::get().to(deep_link))
        .route("/g/{hash}/", web::get().to(click))
        .route("/g/{hash}", web::get().to(click))
        .route("/goto/{hash}/", web::get().to(click))
        // A missing slash redirects, and clients then drop their header: the trap is part of the contract.
        .route("/token", web::to(add_slash))
        .route("/statistics/actions", web::to(add_slash))
        .default_service(web::to(|| async { refuse(StatusCode::NOT_FOUND, "not_found", "Not found", 3) }));
}

async fn add_slash(request: HttpRequest) -> HttpResponse {
    let query = request.query_string();
    let joint = if query.is_empty() { "" } else { "?" };
    HttpResponse::MovedPermanently().insert_header(("Location", format!("{}/{joint}{query}", request.path()))).finish()
}

/// An error body.
fn refuse(status: StatusCode, error: &str, description: &str, code: u32) -> HttpResponse {
    HttpResponse::build(status).json(json!({"error": error, "error_description": description, "error_code": code}))
}

/// Refuses a call whose token is unknown, expired or without the scope.
fn refusal(world: &World, headers: &HeaderMap, scope: &str) -> Option<HttpResponse> {
    let bearer = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    let Some(access) = bearer.and_then(|token| world.admitad.access.get(token.trim())) else {
        return Some(refuse(StatusCode::UNAUTHORIZED, "invalid_token", "Invalid access token", 1));
    };
    if access.expires_at <= world.now() {
        return Some(refuse(StatusCode::UNAUTHORIZED, "expired_token", "The access token has expired", 0));
    }
    if !access.scope.split(' ').any(|s| s == scope) {
        return Some(refuse(StatusCode::FORBIDDEN, "insufficient_scope", "The token lacks the scope", 2));
    }
    None
}

async fn click(sim: Shared, request: HttpRequest, hash: Path<String>) -> HttpResponse {
    let query = Params::parse(request.query_string());
    landing::follow(&sim, &request, Network::Admitad, &hash, query.get("ulp"), &query)
}

/// What is owed to us, by currency.
async fn balance(sim: Shared, request: HttpRequest) -> HttpResponse {
    let world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers(), "private_data_balance") {
        return refusal;
    }
    let mut sums: BTreeMap<&str, [Amount; 3]> = BTreeMap::new();
    for row in world.admitad_book.rows() {
        let Some(commission) = row.commission else {
            continue;
        };
        let [ready, waiting, stalled] = sums.entry(&row.currency).or_insert([Amount::ZERO; 3]);
        let sum = match (row.status.as_str(), row.paid) {
            ("approved", true) => ready,
            ("approved", false) | ("pending", _) => waiting,
            ("approved_but_stalled", _) => stalled,
            _ => continue,
        };
        sum.0 += commission.0;
    }
    let rows: Vec<Value> = sums
        .into_iter()
        .map(|(currency, [ready, waiting, stalled])| {
            json!({"currency": currency, "balance": ready, "processing": waiting, "stalled": stalled})
        })
        .collect();
    HttpResponse::Ok().json(rows)
}

async fn deep_link(sim: Shared, request: HttpRequest, path: Path<(String, String)>) -> HttpResponse {
    if let Some(refusal) = refusal(&sim.world(), request.headers(), "deeplink_generator") {
        return refusal;
    }
    let (website, campaign) = path.into_inner();
    let connection = request.connection_info();
    let base = format!("{}://{}/admitad/g/{website}-{campaign}/", connection.scheme(), connection.host());
    let sub_ids: Vec<(String, String)> = url::form_urlencoded::parse(request.query_string().as_bytes())
        .into_owned()
        .filter(|(name, _)| name.starts_with("subid"))
        .collect();
    let links: Vec<Value> = url::form_urlencoded::parse(request.query_string().as_bytes())
        .filter(|(name, _)| name == "ulp")
        .map(|(_, target)| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("ulp", &target).extend_pairs(&sub_ids);
            json!({"link": format!("{base}?{}", query.finish()), "is_affiliate_product": true})
        })
        .collect();
    HttpResponse::Ok().json(links)
}
