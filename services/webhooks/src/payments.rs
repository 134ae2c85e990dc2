//! What Razorpay's and RazorpayX's events do. Each event is a snapshot, may come twice and in any order; what is kept by rank
//! and what is derived from it give the same end whatever the order.

mod event;
pub(crate) mod held;
mod orders;
mod payout;
pub(crate) mod start;

use store::GenericClient;
use store::webhooks::WorkedOff;

use crate::alerts::Alerts;
use crate::source::Verified;
use crate::work::WorkError;

/// Applies an event in the caller's transaction; gives what changed.
pub(crate) async fn apply(
    client: &impl GenericClient,
    verified: &Verified<'_>,
    alerts: &Alerts,
) -> Result<WorkedOff, WorkError> {
    let event = event::Event::parse(verified)?;
    let kind = event.kind();
    let about = kind.about().map(str::to_owned);
    let effect = match kind {
        event::Kind::Payment(payment) => orders::payment(client, &event, payment, alerts).await?,
        event::Kind::Refund(refund, payment) => orders::refund(client, refund, payment, alerts).await?,
        event::Kind::Dispute(dispute) => orders::dispute(client, &event, dispute, alerts).await?,
        event::Kind::Payout(payout) => payout::news(client, &event, payout, alerts).await?,
        event::Kind::Other => format!("{}: stored only", event.name),
    };
    Ok(WorkedOff { effect, about })
}
