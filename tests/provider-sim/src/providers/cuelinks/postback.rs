//! Cuelinks' postback: parameter names as in the one live set-up known, a constant token, no signature.

use crate::amount::Amount;
use crate::deliveries::Draft;
use crate::provider::Provider;
use crate::providers::query;
use crate::settings::{Method, Settings};
use crate::transactions::Transaction;
use actix_web::web::Bytes;
use serde_json::{Map, Value};

/// The postback of a row as it stands.
pub(crate) fn of(settings: &Settings, row: &Transaction) -> Option<Draft> {
    let url = &settings.cuelinks_postback_url;
    if url.is_empty() {
        return None;
    }
    let mut pairs = vec![
        ("click_id", row.sub_id("subid").unwrap_or_default().to_owned()),
        ("commission_amount", row.commission.unwrap_or(Amount::ZERO).to_string()),
        ("transaction_amount", row.sale_amount.unwrap_or(Amount::ZERO).to_string()),
        ("merchant_transaction_id", row.order_id.clone().unwrap_or_default()),
        ("transaction_id", row.id.clone()),
    ];
    if settings.cuelinks_postback_status {
        pairs.push(("status", row.status.clone()));
    }
    if !settings.cuelinks_postback_token.is_empty() {
        pairs.push(("token", settings.cuelinks_postback_token.clone()));
    }
    let mut draft = Draft {
        source: Provider::Cuelinks,
        event: format!("postback {}", row.status),
        event_id: None,
        entity: row.id.clone(),
        method: reqwest::Method::POST,
        url: url.clone(),
        headers: Vec::new(),
        body: Bytes::new(),
        retried: false,
    };
    let mut content_type = |name: &str| draft.headers.push(("Content-Type".to_owned(), name.to_owned()));
    match settings.cuelinks_postback_method {
        Method::Get => {
            if url.contains('{') {
                pairs.push(("transaction_reference_id", row.order_id.clone().unwrap_or_default()));
            }
            draft.method = reqwest::Method::GET;
            draft.url = query::fill(url, "{", "}", &pairs);
        }
        Method::Post => {
            content_type("application/x-www-form-urlencoded");
            draft.body = Bytes::from(query::encode(&pairs));
        }
        Method::Json => {
            content_type("application/json");
            let members: Map<String, Value> =
                pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
            draft.body = Bytes::from(Value::Object(members).to_string());
        }
    }
    Some(draft)
}
