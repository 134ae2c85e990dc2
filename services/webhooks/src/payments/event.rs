//! Razorpay's envelope and entities, as far as they are used. Unknown members are left alone, missing ones are allowed where
//! the provider's own samples lack them.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::source::{Malformed, Verified};

/// An event.
#[derive(Debug, Deserialize)]
pub(crate) struct Event {
    /// Such as `payment.captured`.
    #[serde(rename = "event")]
    pub(crate) name: String,
    #[serde(default)]
    created_at: Option<i64>,
    #[serde(default)]
    payload: Payload,
    #[serde(skip)]
    at: DateTime<Utc>,
}

#[derive(Debug, Default, Deserialize)]
struct Payload {
    payment: Option<Member<Payment>>,
    refund: Option<Member<Refund>>,
    dispute: Option<Member<Dispute>>,
    payout: Option<Member<Payout>>,
}

#[derive(Debug, Deserialize)]
struct Member<T> {
    entity: T,
}

/// A payment. Amounts are paise, unless the currency is another one.
#[derive(Debug, Deserialize)]
pub(crate) struct Payment {
    pub(crate) id: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) order_id: Option<String>,
}

/// A refund.
#[derive(Debug, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) amount: i64,
    pub(crate) payment_id: String,
    pub(crate) status: String,
}

/// A dispute.
#[derive(Debug, Deserialize)]
pub(crate) struct Dispute {
    pub(crate) id: String,
    pub(crate) payment_id: String,
    pub(crate) amount: i64,
    #[serde(default)]
    pub(crate) respond_by: Option<i64>,
}

/// A payout.
#[derive(Debug, Deserialize)]
pub(crate) struct Payout {
    pub(crate) id: String,
    pub(crate) amount: i64,
    #[serde(default)]
    pub(crate) currency: Option<String>,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) utr: Option<String>,
    #[serde(default)]
    pub(crate) reference_id: Option<String>,
    #[serde(default)]
    pub(crate) status_details: Option<StatusDetails>,
    #[serde(default)]
    pub(crate) failure_reason: Option<String>,
}

/// Why a payout stands where it stands.
#[derive(Debug, Deserialize)]
pub(crate) struct StatusDetails {
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) description: Option<String>,
}

/// What an event is about.
pub(crate) enum Kind<'e> {
    Payment(&'e Payment),
    /// The refund, and the payment as it is told beside it.
    Refund(&'e Refund, Option<&'e Payment>),
    Dispute(&'e Dispute),
    Payout(&'e Payout),
    Other,
}

impl Kind<'_> {
    /// What it is about, in the provider's names.
    pub(crate) fn about(&self) -> Option<&str> {
        match self {
            Self::Payment(payment) => Some(payment.order_id.as_deref().unwrap_or(&payment.id)),
            Self::Refund(refund, _) => Some(&refund.payment_id),
            Self::Dispute(dispute) => Some(&dispute.payment_id),
            Self::Payout(payout) => Some(&payout.id),
            Self::Other => None,
        }
    }
}

impl Event {
    pub(crate) fn parse(verified: &Verified<'_>) -> Result<Self, Malformed> {
        let mut event: Self = serde_json::from_slice(verified.raw())?;
        event.at = verified.happened_at(event.created_at.and_then(|seconds| DateTime::from_timestamp(seconds, 0)));
        Ok(event)
    }

    /// When the provider says it happened; when it came, if it does not say.
    pub(crate) fn at(&self) -> DateTime<Utc> {
        self.at
    }

    pub(crate) fn kind(&self) -> Kind<'_> {
        let payload = &self.payload;
        let payment = payload.payment.as_ref().map(|member| &member.entity);
        let is_of = |prefix: &str| self.name.starts_with(prefix);
        if is_of("payment.dispute.") {
            payload.dispute.as_ref().map_or(Kind::Other, |member| Kind::Dispute(&member.entity))
        } else if is_of("refund.") {
            payload.refund.as_ref().map_or(Kind::Other, |member| Kind::Refund(&member.entity, payment))
        } else if is_of("payout.") {
            payload.payout.as_ref().map_or(Kind::Other, |member| Kind::Payout(&member.entity))
        } else if matches!(
            self.name.as_str(),
            "payment.authorized" | "payment.captured" | "payment.failed" | "order.paid"
        ) {
            payment.map_or(Kind::Other, Kind::Payment)
        } else {
            Kind::Other
        }
    }
}
