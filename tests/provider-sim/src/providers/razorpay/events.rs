//! Webhooks: an envelope, signed over its raw bytes, with an event id that stands outside of the signature.

use crate::deliveries::Draft;
use crate::provider::Provider;
use crate::settings::Settings;
use crate::sim::World;
use actix_web::web::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Map, Value, json};
use sha2::Sha256;

/// The header of the signature.
pub(crate) const SIGNATURE: &str = "X-Razorpay-Signature";

/// Lower-case hex of the HMAC-SHA256 of a body.
pub(crate) fn sign(secret: &str, body: &[u8]) -> String {
    // HMAC takes a key of any length, so there is no failure to report.
    Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map(|mac| hex::encode(mac.chain_update(body).finalize().into_bytes()))
        .unwrap_or_default()
}

/// Where events of this name go, and the secret of that address.
pub(crate) fn destination<'a>(settings: &'a Settings, event: &str) -> (&'a str, &'a str) {
    let or = |own: &'a str, other: &'a str| if own.is_empty() { other } else { own };
    let (url, secret) = (&settings.razorpay_webhook_url, &settings.razorpay_webhook_secret);
    if ["payout.", "payout_link.", "fund_account.", "transaction."].iter().any(|p| event.starts_with(p)) {
        return (or(&settings.razorpayx_webhook_url, url), or(&settings.razorpayx_webhook_secret, secret));
    }
    (url, secret)
}

/// A webhook about these entities, named as in `contains`; nothing when no address is set.
pub(crate) fn draft(world: &mut World, event: &str, entities: &[(&str, Value)]) -> Option<Draft> {
    let names: Vec<&str> = entities.iter().map(|(name, _)| *name).collect();
    let payload: Map<String, Value> =
        entities.iter().map(|(name, entity)| ((*name).to_owned(), json!({"entity": entity}))).collect();
    let body = json!({
        "entity": "event", "account_id": world.settings.razorpay_account_id, "event": event, "contains": names,
        "payload": payload, "created_at": world.now().timestamp(),
    });
    let entity = entities.first().and_then(|(_, e)| e.get("id")).and_then(Value::as_str).unwrap_or_default();
    let event_id = world.ids.base62(14);
    signed(&world.settings, event, &event_id, entity, Bytes::from(body.to_string()))
}

/// A webhook of exactly these bytes.
pub(crate) fn signed(settings: &Settings, event: &str, event_id: &str, entity: &str, body: Bytes) -> Option<Draft> {
    let (url, secret) = destination(settings, event);
    if url.is_empty() {
        return None;
    }
    let mut headers = vec![
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("User-Agent".to_owned(), "Razorpay-Webhook/v1".to_owned()),
        ("x-razorpay-event-id".to_owned(), event_id.to_owned()),
    ];
    // Without a secret there is no signature.
    if !secret.is_empty() {
        headers.push((SIGNATURE.to_owned(), sign(secret, &body)));
    }
    Some(Draft {
        source: Provider::Razorpay,
        event: event.to_owned(),
        event_id: Some(event_id.to_owned()),
        entity: entity.to_owned(),
        method: Method::POST,
        url: url.to_owned(),
        headers,
        body,
        retried: true,
    })
}
