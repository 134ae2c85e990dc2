//! Cuelinks: transactions in both API versions, postbacks, links.

pub(crate) mod postback;
mod transactions;

use crate::provider::Network;
use crate::providers::landing;
use crate::providers::query::{Params, encode};
use crate::sim::{Shared, World};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::web::{self, Json, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

/// The routes under `/cuelinks`.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/pub_api/v3/ping", web::get().to(ping))
        .route("/pub_api/v3/transactions", web::get().to(transactions::v3))
        .route("/pub_api/v3/links/convert", web::post().to(convert))
        .route("/api/v2/transactions.json", web::get().to(transactions::v2))
        .route("", web::get().to(click))
        .route("/", web::get().to(click))
        .default_service(web::to(|| async { refuse(StatusCode::NOT_FOUND, "not found") }));
}

fn refuse(status: StatusCode, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({"message": message}))
}

/// The two generations of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V2,
    V3,
}

/// Refuses a call whose key is missing, not accepted, or written in the other version's way.
fn refusal(world: &World, headers: &HeaderMap, version: Version) -> Option<HttpResponse> {
    let text = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Token "));
    let key = match version {
        Version::V2 => text.and_then(|t| t.trim().strip_prefix("token=")).map(|t| t.trim_matches('"')),
        Version::V3 => text.map(str::trim).filter(|t| !t.starts_with("token=")),
    };
    let accepted = &world.settings.keys.cuelinks;
    match key.filter(|k| !k.is_empty()) {
        Some(key) if accepted.is_empty() || accepted.iter().any(|k| k == key) => None,
        _ => Some(refuse(StatusCode::UNAUTHORIZED, "invalid API key")),
    }
}

async fn ping(sim: Shared, request: HttpRequest) -> HttpResponse {
    if let Some(refusal) = refusal(&sim.world(), request.headers(), Version::V3) {
        return refusal;
    }
    HttpResponse::Ok().json(json!({
        "status": "ok", "version": "v3",
        "publisher": {"id": 100_001, "name": "Sim Publisher", "email": "publisher@example.in", "publisher_id": 100_001, "currency": "INR"},
        "api_key": {"name": "sim", "scopes": ["read:campaigns", "read:reports", "read:transactions", "read:offers", "write:links"], "last_used_at": null},
    }))
}

#[derive(Deserialize)]
struct Convert {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    channel_id: Option<String>,
    #[serde(default)]
    subid: Option<String>,
}

async fn convert(sim: Shared, request: HttpRequest, body: Json<Convert>) -> HttpResponse {
    if let Some(refusal) = refusal(&sim.world(), request.headers(), Version::V3) {
        return refusal;
    }
    let Some(target) = body.url.clone().filter(|u| url::Url::parse(u).is_ok()) else {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "url is invalid");
    };
    let mut pairs =
        vec![("cid", body.channel_id.clone().unwrap_or_else(|| "100001".to_owned())), ("source", "api".to_owned())];
    pairs.extend(body.subid.clone().map(|subid| ("subid", subid)));
    pairs.push(("url", target.clone()));
    let connection = request.connection_info();
    let link = format!("{}://{}/cuelinks/?{}", connection.scheme(), connection.host(), encode(&pairs));
    HttpResponse::Ok().json(json!({"data": {
        "tracking_url": link, "original_url": target, "affiliated": true, "campaign": {"id": 10_001, "name": "Campaign 10001"},
    }}))
}

async fn click(sim: Shared, request: HttpRequest) -> HttpResponse {
    let query = Params::parse(request.query_string());
    let Some(channel) = query.get("cid").or_else(|| query.get("pub_id")) else {
        return HttpResponse::BadRequest().body("cid is required");
    };
    landing::follow(&sim, &request, Network::Cuelinks, channel, query.get("url"), &query)
}
