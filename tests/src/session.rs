//! Session tokens as the shop's backend makes them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use domain::clock::{Clock, SystemClock};
use domain::ids::UserId;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// A token of this shopper's (HS256), valid for an hour.
pub(crate) fn token(secret: &str, user: UserId) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"sub": user.to_string(), "exp": (SystemClock.now() + TimeDelta::hours(1)).timestamp()});
    let signed = format!("{}.{}", part(&json!({"alg": "HS256", "typ": "JWT"})), part(&claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key").chain_update(&signed);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}
