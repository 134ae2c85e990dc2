//! Razorpay's events as it would send them.

use serde_json::{Value, json};

/// An event about these entities.
pub(crate) fn event(name: &str, entities: &[(&str, Value)]) -> String {
    let payload: serde_json::Map<String, Value> =
        entities.iter().map(|(name, entity)| ((*name).to_owned(), json!({"entity": entity}))).collect();
    json!({
        "entity": "event", "account_id": "acc_SYNTH000000001", "event": name,
        "contains": entities.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        "payload": payload, "created_at": 1_790_000_006,
    })
    .to_string()
}

/// A payment entity.
pub(crate) fn payment(id: &str, order: &str, paise: i64, status: &str) -> Value {
    json!({
        "id": id, "entity": "payment", "amount": paise, "currency": "INR", "status": status, "order_id": order,
        "method": "upi", "captured": status == "captured", "email": "asha@example.in", "contact": "+919800000001",
        "notes": [], "fee": 1178, "tax": 180, "error_code": null, "created_at": 1_790_000_000,
    })
}

/// A refund entity.
pub(crate) fn refund(id: &str, payment: &str, paise: i64, status: &str) -> Value {
    json!({"id": id, "entity": "refund", "amount": paise, "currency": "INR", "payment_id": payment, "status": status,
        "notes": [], "created_at": 1_790_000_100})
}

/// A payout entity.
pub(crate) fn payout(id: &str, withdrawal: &str, paise: i64, status: &str, utr: Option<&str>) -> Value {
    json!({
        "id": id, "entity": "payout", "fund_account_id": "fa_SYNTH000000001", "amount": paise, "currency": "INR",
        "notes": {"withdrawal_id": withdrawal}, "fees": 590, "tax": 90, "status": status, "purpose": "cashback", "utr": utr,
        "mode": "IMPS", "reference_id": withdrawal, "narration": "Cashback payout", "batch_id": null,
        "status_details": {"reason": "bank_account_closed", "description": "The account is closed", "source": "beneficiary_bank"},
        "fee_type": "", "created_at": 1_790_000_000,
    })
}
