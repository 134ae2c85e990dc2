//! vCommission's postback: an unsigned GET with macros, never for a reversal.

use crate::amount::Amount;
use crate::deliveries::Draft;
use crate::provider::{Network, Provider};
use crate::providers::query;
use crate::settings::Settings;
use crate::transactions::Transaction;
use actix_web::web::Bytes;

/// Whether the network itself would call for a row in this status.
pub(crate) fn is_due(settings: &Settings, row: &Transaction) -> bool {
    settings.vcommission_postback_on.contains(&row.status) && !matches!(row.status.as_str(), "cancelled" | "rejected")
}

/// The postback of a row as it stands.
pub(crate) fn of(settings: &Settings, row: &Transaction) -> Option<Draft> {
    let url = &settings.vcommission_postback_url;
    if url.is_empty() {
        return None;
    }
    let payout = row.commission.unwrap_or(Amount::ZERO).to_string();
    let simple = vec![
        ("p1", row.sub_id("p1").unwrap_or_default().to_owned()),
        ("click_id", row.click_id.clone()),
        ("txn_id", row.order_id.clone().unwrap_or_default()),
        ("payout", payout),
        ("status", row.status.clone()),
    ];
    let pairs = if url.contains('{') { with_macros(row, simple) } else { simple };
    Some(Draft {
        source: Provider::Vcommission,
        event: format!("postback {}", row.status),
        event_id: None,
        entity: row.id.clone(),
        method: reqwest::Method::GET,
        url: query::fill(url, "{", "}", &pairs),
        headers: Vec::new(),
        body: Bytes::new(),
        retried: false,
    })
}

/// All documented macros; one that is unknown stays in the address as literal text, as it does there.
fn with_macros<'a>(row: &Transaction, simple: Vec<(&'a str, String)>) -> Vec<(&'a str, String)> {
    let mut pairs = simple;
    pairs.push(("transaction_id", row.id.clone()));
    pairs.push(("campaign_id", row.campaign_id.to_string()));
    pairs.push(("currency", row.currency.clone()));
    pairs.push(("sale_amount", row.sale_amount.unwrap_or(Amount::ZERO).to_string()));
    for name in Network::Vcommission.sub_id_names().iter().filter(|n| **n != "p1") {
        pairs.push((name, row.sub_id(name).unwrap_or_default().to_owned()));
    }
    pairs
}
