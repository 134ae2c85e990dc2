//! The entities as they are told in answers and webhooks. Amounts are paise.

use serde::Serialize;
use serde_json::Value;

/// An order.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) entity: &'static str,
    pub(crate) amount: i64,
    pub(crate) amount_paid: i64,
    pub(crate) amount_due: i64,
    pub(crate) currency: String,
    pub(crate) receipt: Option<String>,
    pub(crate) offer_id: Option<String>,
    pub(crate) status: String,
    pub(crate) attempts: u32,
    pub(crate) notes: Value,
    pub(crate) created_at: i64,
}

/// A payment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Payment {
    pub(crate) id: String,
    pub(crate) entity: &'static str,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) base_amount: i64,
    pub(crate) status: String,
    pub(crate) order_id: Option<String>,
    pub(crate) invoice_id: Option<String>,
    pub(crate) international: bool,
    pub(crate) method: String,
    pub(crate) amount_refunded: i64,
    pub(crate) amount_transferred: i64,
    pub(crate) refund_status: Option<String>,
    pub(crate) captured: bool,
    pub(crate) description: Option<String>,
    pub(crate) card_id: Option<String>,
    pub(crate) bank: Option<String>,
    pub(crate) wallet: Option<String>,
    pub(crate) vpa: Option<String>,
    pub(crate) email: String,
    pub(crate) contact: String,
    pub(crate) notes: Value,
    pub(crate) fee: Option<i64>,
    pub(crate) tax: Option<i64>,
    pub(crate) error_code: Option<String>,
    pub(crate) error_description: Option<String>,
    pub(crate) error_source: Option<String>,
    pub(crate) error_step: Option<String>,
    pub(crate) error_reason: Option<String>,
    pub(crate) acquirer_data: Value,
    pub(crate) created_at: i64,
}

/// A refund.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) entity: &'static str,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) payment_id: String,
    pub(crate) notes: Value,
    pub(crate) receipt: Option<String>,
    pub(crate) acquirer_data: Value,
    pub(crate) batch_id: Option<String>,
    pub(crate) status: String,
    pub(crate) speed_requested: String,
    pub(crate) speed_processed: String,
    pub(crate) created_at: i64,
}

/// A payout.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Payout {
    pub(crate) id: String,
    pub(crate) entity: &'static str,
    pub(crate) fund_account_id: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) notes: Value,
    pub(crate) fees: i64,
    pub(crate) tax: i64,
    pub(crate) status: String,
    pub(crate) purpose: String,
    pub(crate) utr: Option<String>,
    pub(crate) mode: String,
    pub(crate) reference_id: Option<String>,
    pub(crate) narration: Option<String>,
    pub(crate) batch_id: Option<String>,
    pub(crate) failure_reason: Option<String>,
    pub(crate) fee_type: String,
    pub(crate) status_details: StatusDetails,
    pub(crate) created_at: i64,
    #[serde(skip)]
    pub(crate) account_number: String,
}

/// Why a payout stands where it stands.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct StatusDetails {
    pub(crate) reason: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) source: Option<String>,
}
