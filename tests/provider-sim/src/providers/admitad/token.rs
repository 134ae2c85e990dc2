//! OAuth 2: tokens that are issued, refreshed and expire.

use super::refuse;
use crate::providers::query::Params;
use crate::sim::{Shared, World};
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, Utc};
use serde_json::json;

/// A live access token.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) expires_at: DateTime<Utc>,
    pub(super) scope: String,
}

const SCOPES: &[&str] = &[
    "statistics",
    "advcampaigns_for_website",
    "deeplink_generator",
    "opt_codes",
    "manage_opt_codes",
    "lost_orders",
    "manage_lost_orders",
    "private_data_balance",
    "private_data",
];

pub(super) async fn issue(sim: Shared, request: HttpRequest, body: Bytes) -> HttpResponse {
    let form = Params::parse(&String::from_utf8_lossy(&body));
    let basic = request.headers().get(AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(basic);
    let mut world = sim.world();
    match form.get("grant_type") {
        Some("client_credentials") => {
            let Some((id, secret)) = basic else {
                return refuse(StatusCode::UNAUTHORIZED, "invalid_client", "Client credentials are missing", 3);
            };
            if !accepted(&world, &id, &secret) || form.get("client_id").is_some_and(|given| given != id) {
                return refuse(StatusCode::UNAUTHORIZED, "invalid_client", "Client credentials are wrong", 3);
            }
        }
        Some("refresh_token") => {
            let (Some(id), Some(secret)) = (form.get("client_id"), form.get("client_secret")) else {
                return refuse(StatusCode::BAD_REQUEST, "invalid_request", "client_id and client_secret are needed", 3);
            };
            if !accepted(&world, id, secret) {
                return refuse(StatusCode::UNAUTHORIZED, "invalid_client", "Client credentials are wrong", 3);
            }
            // A refresh token works once.
            if !form.get("refresh_token").is_some_and(|token| world.admitad.refresh.remove(token)) {
                return refuse(StatusCode::BAD_REQUEST, "invalid_grant", "The refresh token is dead", 5);
            }
        }
        _ => {
            return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type", "Unknown grant_type", 3);
        }
    }
    let scope = form.get("scope").map_or_else(|| SCOPES.join(" "), str::to_owned);
    if let Some(unknown) = scope.split(' ').find(|s| !SCOPES.contains(s)) {
        return refuse(StatusCode::BAD_REQUEST, "invalid_scope", &format!("Unknown scope {unknown}"), 3);
    }
    grant(&mut world, &scope)
}

fn grant(world: &mut World, scope: &str) -> HttpResponse {
    let now = world.now();
    world.admitad.access.retain(|_, access| access.expires_at > now);
    let most = world.settings.admitad_max_tokens;
    if most > 0 && world.admitad.access.len() >= most {
        return refuse(StatusCode::BAD_REQUEST, "too_many_tokens", "Too many tokens", 6);
    }
    let seconds = world.settings.admitad_token_ttl_s;
    let (token, refresh) = (world.ids.hex(32), world.ids.hex(32));
    let access = Access { expires_at: now + Duration::seconds(seconds.into()), scope: scope.to_owned() };
    world.admitad.access.insert(token.clone(), access);
    world.admitad.refresh.insert(refresh.clone());
    HttpResponse::Ok().json(json!({
        "access_token": token, "token_type": "bearer", "expires_in": seconds, "refresh_token": refresh, "scope": scope,
        "username": "sim_publisher", "first_name": "Sim", "last_name": "Publisher", "language": "en",
        "group": "webmaster", "id": 96_096,
    }))
}

/// Client id and secret of a Basic header.
fn basic(header: &str) -> Option<(String, String)> {
    let decoded = STANDARD.decode(header.strip_prefix("Basic ")?.trim()).ok()?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    (!id.is_empty() && !secret.is_empty()).then(|| (id.to_owned(), secret.to_owned()))
}

fn accepted(world: &World, id: &str, secret: &str) -> bool {
    let keys = &world.settings.keys.admitad;
    keys.is_empty() || keys.iter().any(|key| key.split_once(':') == Some((id, secret)))
}
