//! vCommission on Trackier: conversions, postbacks, links.

mod conversions;
mod legacy;
pub(crate) mod postback;

use crate::provider::Network;
use crate::providers::landing;
use crate::providers::query::Params;
use crate::sim::{Shared, World};
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

/// The routes under `/vcommission`.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/v2/publishers/conversions", web::get().to(conversions::list))
        .route("/api/transactions", web::get().to(legacy::list))
        .route("/click", web::get().to(click))
        // Also what the singular `/v2/publisher/conversions` gives: the documented path is the plural one.
        .default_service(web::to(|| async { refuse_with_word(StatusCode::NOT_FOUND, 31, "NOT_FOUND", "Not found") }));
}

/// The first error shape: a code and a message.
fn refuse(status: StatusCode, code: u32, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({"success": false, "error": {"code": code, "message": message}}))
}

/// The second: with a word beside the code.
fn refuse_with_word(status: StatusCode, code: u32, word: &str, message: &str) -> HttpResponse {
    HttpResponse::build(status)
        .json(json!({"success": false, "error": {"code": code, "codeMsg": word, "message": message}}))
}

/// The third: a list, and the code is a text.
fn refuse_fields(messages: &[String]) -> HttpResponse {
    let errors: Vec<_> = messages
        .iter()
        .map(|message| json!({"statusCode": 400, "code": "107", "codeMsg": "VALIDATION_ERROR", "message": message}))
        .collect();
    HttpResponse::BadRequest().json(json!({"success": false, "errors": errors}))
}

/// Refuses a call from a wrong address or with a wrong key, which is a 400 here.
fn refusal(world: &World, headers: &HeaderMap, query: &Params) -> Option<HttpResponse> {
    let key = headers
        .get("x-api-key")
        .and_then(|v| v.to_str().ok())
        .or_else(|| query.get("apiKey"))
        .or_else(|| query.get("apikey"))
        .filter(|key| !key.is_empty());
    let accepted = &world.settings.keys.vcommission;
    if !key.is_some_and(|key| accepted.is_empty() || accepted.iter().any(|k| k == key)) {
        return Some(refuse(StatusCode::BAD_REQUEST, 13, "Invalid API Key"));
    }
    if world.settings.vcommission_address_blocked {
        return Some(refuse_with_word(StatusCode::FORBIDDEN, 41, "IP_NOT_WHITELISTED", "Request IP not whitelisted"));
    }
    None
}

async fn click(sim: Shared, request: HttpRequest) -> HttpResponse {
    let query = Params::parse(request.query_string());
    let (Some(campaign), Some(_)) = (query.get("campaign_id"), query.get("pub_id")) else {
        return HttpResponse::BadRequest().body("campaign_id and pub_id are required");
    };
    landing::follow(&sim, &request, Network::Vcommission, campaign, query.get("url"), &query)
}
