//! What is known of an offer and its merchant, in the form in which caches hold it.

use chrono::{DateTime, Utc};
use domain::ids::{MerchantId, OfferId};
use domain::money::{BasisPoints, Paise};
use domain::network::Network;
use domain::offer::{AllowedHosts, InvalidHost, Link, Refused, Schemes, Target, TemplateProblems, TrackingTemplate};
use serde::{Deserialize, Serialize};

/// The value of `redirect:url:{offer_id}`; `null` is an offer that does not exist.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OfferTerms {
    pub(crate) merchant_id: MerchantId,
    pub(crate) target_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<BasisPoints>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cap: Option<Paise>,
    pub(crate) active: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) version: i32,
}

impl From<store::catalogue::Offer> for OfferTerms {
    fn from(offer: store::catalogue::Offer) -> Self {
        Self {
            merchant_id: offer.merchant_id,
            target_url: offer.target_url,
            rate: offer.cashback,
            cap: offer.cashback_cap,
            active: offer.active,
            expires_at: offer.expires_at,
            version: offer.version,
        }
    }
}

/// The value of `redirect:merchant:{merchant_id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MerchantTerms {
    pub(crate) network: Network,
    pub(crate) tracking_template: String,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) rate: BasisPoints,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cap: Option<Paise>,
    pub(crate) active: bool,
}

impl From<store::catalogue::Merchant> for MerchantTerms {
    fn from(merchant: store::catalogue::Merchant) -> Self {
        Self {
            network: merchant.network,
            tracking_template: merchant.tracking_template,
            allowed_hosts: merchant.allowed_hosts,
            rate: merchant.cashback,
            cap: merchant.cashback_cap,
            active: merchant.active,
        }
    }
}

/// Why terms that we hold cannot be turned into a link. Always our own mistake.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("the merchant's tracking template is wrong")]
    Template(#[from] TemplateProblems),
    #[error("the merchant's list of hosts is wrong")]
    Hosts(#[from] InvalidHost),
    #[error("the offer's target is refused")]
    Target(#[from] Refused),
    #[error("the offer's merchant does not exist")]
    NoMerchant,
    #[error("its terms cannot be written as JSON")]
    Terms(#[from] serde_json::Error),
    #[error("the merchant's row cannot be read")]
    Row(#[from] store::StoreError),
}

impl Unusable {
    /// Puts it into the log, with everything that is wrong.
    pub(crate) fn tell(&self, merchant: MerchantId) {
        let chain = telemetry::chain(self);
        tracing::error!(merchant.id = %merchant, error.chain = chain, "the merchant cannot be used; its shoppers get an error page");
    }
}

/// A merchant whose template and hosts have been checked.
#[derive(Debug)]
pub(crate) struct Merchant {
    pub(crate) id: MerchantId,
    pub(crate) network: Network,
    pub(crate) rate: BasisPoints,
    pub(crate) cap: Option<Paise>,
    pub(crate) active: bool,
    template: TrackingTemplate,
    hosts: AllowedHosts,
    schemes: Schemes,
}

impl Merchant {
    pub(crate) fn check(id: MerchantId, terms: &MerchantTerms, schemes: Schemes) -> Result<Self, Unusable> {
        Ok(Self {
            id,
            network: terms.network,
            rate: terms.rate,
            cap: terms.cap,
            active: terms.active,
            template: TrackingTemplate::parse(terms.network, &terms.tracking_template, schemes)?,
            hosts: AllowedHosts::parse(&terms.allowed_hosts)?,
            schemes,
        })
    }

    /// The link to a page of the shop. Without a place for it in the template, any page but the network's own is
    /// refused.
    pub(crate) fn link_to(&self, offer: OfferId, page: &str) -> Result<Link, Refused> {
        let target = Target::parse(page, &self.hosts, self.schemes)?;
        Ok(self.template.link(offer, &target))
    }

    /// Whether `?to=` can lead anywhere.
    pub(crate) fn takes_pages(&self) -> bool {
        self.template.takes_url()
    }
}
