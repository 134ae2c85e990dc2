//! Admitad's postback: unsigned, GET or POST, `pending` meaning "on hold again".

use crate::amount::Amount;
use crate::deliveries::Draft;
use crate::provider::Provider;
use crate::providers::query;
use crate::settings::{Method, Settings};
use crate::transactions::Transaction;
use actix_web::web::Bytes;

/// The postback of a new action (`before` is nothing) or of a change. A change that leaves status, sums and payout as
/// they were tells nothing.
pub(crate) fn of(settings: &Settings, before: Option<&Transaction>, row: &Transaction) -> Option<Draft> {
    let url = &settings.admitad_postback_url;
    if url.is_empty() {
        return None;
    }
    let word = match (before, row.status.as_str()) {
        (None, "pending") => "new",
        // Money waits for the advertiser's deposit, which the postback does not tell apart.
        (_, "approved_but_stalled") => "approved",
        (_, other) => other,
    };
    let text = |amount: Option<Amount>| amount.unwrap_or(Amount::ZERO).to_string();
    let mut pairs: Vec<(&str, String)> = vec![
        ("offer_id", row.campaign_id.to_string()),
        ("offer_name", row.campaign_name.clone()),
        ("website_id", "1001".to_owned()),
        ("website_name", "demo cashback".to_owned()),
        // A payment's id, not the action's: the two must not be mixed up.
        ("admitad_id", format!("88{}", row.id)),
        ("action_id", row.id.clone()),
        ("action", "Paid order".to_owned()),
        ("type", "sale".to_owned()),
        ("payment_status", word.to_owned()),
        ("payment_sum", text(row.commission)),
        ("currency", row.currency.clone()),
        ("order_id", row.order_id.clone().unwrap_or_default()),
        ("order_sum", text(row.sale_amount)),
        ("click_time", row.clicked_at.timestamp().to_string()),
        ("time", row.at.timestamp().to_string()),
        ("conversion_time", (row.at - row.clicked_at).num_seconds().to_string()),
        ("country_code", "IN".to_owned()),
        ("action_ip", "192.0.2.1".to_owned()),
        ("reward_ready", row.paid.to_string()),
    ];
    for name in ["subid", "subid1", "subid2", "subid3", "subid4"] {
        pairs.push((name, row.sub_id(name).unwrap_or_default().to_owned()));
    }
    let mut draft = Draft {
        source: Provider::Admitad,
        event: format!("postback {word}{}", if row.paid { " ready" } else { "" }),
        event_id: None,
        entity: row.id.clone(),
        method: reqwest::Method::GET,
        url: url.clone(),
        headers: Vec::new(),
        body: Bytes::new(),
        retried: false,
    };
    match settings.admitad_postback_method {
        Method::Get => draft.url = query::fill(url, "[[[", "]]]", &pairs),
        Method::Post | Method::Json => {
            draft.method = reqwest::Method::POST;
            draft.headers.push(("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
            draft.body = Bytes::from(query::encode(&pairs));
        }
    }
    Some(draft)
}
