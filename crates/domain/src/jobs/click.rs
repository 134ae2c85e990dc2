//! `click.record`: a navigation that the redirector answered.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::click::ClickClass;
use crate::ids::{ClickId, MerchantId, OfferId, UserId};
use crate::job::{Job, Queue};
use crate::money::{BasisPoints, Paise};
use crate::network::Network;

/// One click, with the promise that was in force when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordClick {
    /// The click; it is also in the sub-id of the link that the shopper followed.
    pub click_id: ClickId,
    /// The offer clicked.
    pub offer_id: OfferId,
    /// Its merchant.
    pub merchant_id: MerchantId,
    /// The network the merchant pays through.
    pub network: Network,
    /// The shopper, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The share of the commission promised to the shopper.
    pub rate: BasisPoints,
    /// The most cashback this click can bring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Paise>,
    /// The version of the offer whose terms were shown.
    pub offer_version: i32,
    /// What kind of visitor it was.
    pub class: ClickClass,
    /// Why it was put into that class; empty for a human.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Keyed hash of the client address, hexadecimal: enough to see repetition, not to find a person.
    pub client_hash: String,
    /// The `User-Agent`, cut to 256 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user_agent: String,
    /// When the redirector answered.
    pub clicked_at: DateTime<Utc>,
}

impl Job for RecordClick {
    const KIND: &'static str = "click.record";
    const QUEUE: Queue = Queue::Clicks;
}
