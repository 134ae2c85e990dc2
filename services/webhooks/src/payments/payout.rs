//! News of payouts. The ledger decides what they change.

use domain::ids::WithdrawalId;
use domain::money::Paise;
use domain::wallet::PayoutState;
use store::GenericClient;
use store::withdrawals::{PayoutEffect, PayoutError, PayoutNews, apply_payout};

use super::event::{Event, Payout};
use crate::alerts::Alerts;
use crate::source::explanation;
use crate::work::{WorkError, contract};

pub(super) async fn news(
    client: &impl GenericClient,
    event: &Event,
    payout: &Payout,
    alerts: &Alerts,
) -> Result<String, WorkError> {
    let news = told(payout, event.at())?;
    let effect = match apply_payout(client, &news).await {
        Ok(effect) => effect,
        // Somebody paid out by hand, in Razorpay's panel.
        Err(PayoutError::UnknownWithdrawal(_)) if news.withdrawal_id.is_none() => {
            return Ok(format!("payout {} belongs to no withdrawal", payout.id));
        }
        Err(error) => return Err(error.into()),
    };
    if effect == PayoutEffect::Returned {
        let reason =
            payout.status_details.as_ref().and_then(|details| details.reason.as_deref()).unwrap_or("no reason told");
        // Faults of our own account are for people, not for the shopper.
        if matches!(reason, "insufficient_funds" | "low_balance") {
            let detail = format!("payout {}: {reason}", payout.id);
            alerts
                .raise(client, &format!("payout:{}:{reason}", payout.id), "A payout failed for lack of money", &detail)
                .await?;
        }
    }
    let change = match effect {
        PayoutEffect::Nothing => "nothing new",
        PayoutEffect::Processing => "on its way",
        PayoutEffect::Processed => "with the shopper's bank",
        PayoutEffect::Returned => "the money is in the wallet again",
        PayoutEffect::UtrKnown => "the bank's reference is known",
    };
    Ok(format!("payout {} {}: {change}", payout.id, payout.status))
}

/// The payout in the ledger's words.
pub(super) fn told(payout: &Payout, at: chrono::DateTime<chrono::Utc>) -> Result<PayoutNews, WorkError> {
    let state: PayoutState =
        payout.status.parse().map_err(|error| contract(format!("payout {}: {error}", payout.id)))?;
    if payout.currency.as_deref().is_some_and(|currency| currency != "INR") {
        return Err(contract(format!("payout {} is not in INR", payout.id)));
    }
    let details = payout.status_details.as_ref();
    let reason = details
        .and_then(|details| details.description.clone().or_else(|| details.reason.clone()))
        .or_else(|| payout.failure_reason.clone());
    Ok(PayoutNews {
        payout_id: payout.id.clone(),
        withdrawal_id: payout.reference_id.as_deref().and_then(|id| id.parse::<WithdrawalId>().ok()),
        state,
        provider_status: payout.status.clone(),
        amount: Paise::new(payout.amount),
        utr: payout.utr.clone().filter(|utr| !utr.is_empty() && utr != "null"),
        reason: reason.filter(|_| state.returns_money()).map(|reason| explanation(&reason)),
        at,
    })
}
