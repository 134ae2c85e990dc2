//! Payments, refunds and disputes of orders. What was captured and what went back are facts that only grow; the order's state
//! follows from them alone, so it is the same after any order of events.

use chrono::DateTime;
use domain::jobs::email::{EmailMessage, SendEmail};
use domain::jobs::event::{NotifyShopper, ShopperEvent};
use domain::jobs::sms::{SendSms, SmsMessage};
use domain::money::Paise;
use store::GenericClient;
use store::StoreError;
use store::orders::{self, Locked};
use store::outbox::{self, Lane, push_once};
use store::payments::{self, DisputeState, PaymentState, RefundState};
use store::{users, vouchers};

use super::event::{Dispute, Event, Payment, Refund};
use crate::alerts::Alerts;
use crate::work::{WorkError, contract};

/// A payment was authorised, captured or refused, or its order is paid.
pub(super) async fn payment(
    client: &impl GenericClient,
    event: &Event,
    payment: &Payment,
    alerts: &Alerts,
) -> Result<String, WorkError> {
    let Some(order_id) = payment.order_id.as_deref() else {
        return Ok(format!("payment {} belongs to no order", payment.id));
    };
    let order = orders::lock_by_provider_id(client, order_id).await?;
    let order = order.ok_or_else(|| WorkError::UnknownOrder(order_id.to_owned()))?;
    let noted = note(client, &order, payment, state_of(Some(event), payment)).await?;
    let settled = settle(client, &order, alerts).await?;
    Ok(format!("{noted}; {settled}"))
}

/// Neither the event's name nor the entity's status is believed alone: the samples of an authorisation show a payment that
/// is marked as captured.
fn state_of(event: Option<&Event>, payment: &Payment) -> PaymentState {
    let may_be_captured = event.is_none_or(|event| matches!(event.name.as_str(), "payment.captured" | "order.paid"));
    match payment.status.as_str() {
        "captured" | "refunded" if may_be_captured => PaymentState::Captured,
        "failed" => PaymentState::Failed,
        _ => PaymentState::Authorized,
    }
}

async fn note(
    client: &impl GenericClient,
    order: &Locked,
    payment: &Payment,
    state: PaymentState,
) -> Result<String, WorkError> {
    if payment.currency != "INR" || payment.amount <= 0 {
        return Err(contract(format!("payment {} is of {} {}", payment.id, payment.amount, payment.currency)));
    }
    let changed = payments::note(client, order.id, &payment.id, Paise::new(payment.amount), state).await?;
    Ok(format!("payment {} {} {}", payment.id, if changed { "is" } else { "was known, also as" }, state.word()))
}

/// A refund was made, processed or failed. It may be told before its payment is.
pub(super) async fn refund(
    client: &impl GenericClient,
    refund: &Refund,
    payment: Option<&Payment>,
    alerts: &Alerts,
) -> Result<String, WorkError> {
    let known = payments::find(client, &refund.payment_id).await?.map(|(_, order)| order);
    let told = payment.filter(|payment| payment.id == refund.payment_id);
    let order_id = match (known, told) {
        (Some(order_id), _) => order_id,
        (None, Some(Payment { order_id: Some(order_id), .. })) => order_id.clone(),
        (None, Some(_)) => return Ok(format!("refund {} belongs to no order", refund.id)),
        // Only the payment says whose it is.
        (None, None) => return Err(WorkError::UnknownPayment(refund.payment_id.clone())),
    };
    let order = orders::lock_by_provider_id(client, &order_id).await?;
    let order = order.ok_or_else(|| WorkError::UnknownOrder(order_id))?;
    if let Some(payment) = told {
        // What is refunded was captured.
        note(client, &order, payment, state_of(None, payment)).await?;
    }
    let (payment_id, _) = payments::find(client, &refund.payment_id)
        .await?
        .ok_or_else(|| WorkError::UnknownPayment(refund.payment_id.clone()))?;
    let state = match refund.status.as_str() {
        "processed" => RefundState::Processed,
        "failed" => RefundState::Failed,
        "pending" | "created" => RefundState::Pending,
        other => return Err(contract(format!("refund {} has the unknown status {other:?}", refund.id))),
    };
    if refund.amount <= 0 {
        return Err(contract(format!("refund {} is of {} paise", refund.id, refund.amount)));
    }
    let changed = payments::note_refund(client, payment_id, &refund.id, Paise::new(refund.amount), state).await?;
    if changed && state == RefundState::Failed {
        let detail = format!("refund {} of payment {} (order {})", refund.id, refund.payment_id, order.id);
        alerts
            .raise(client, &format!("refund:{}:failed", refund.id), "A refund did not reach the shopper", &detail)
            .await?;
    }
    let noted = format!("refund {} {} {}", refund.id, if changed { "is" } else { "was known, also as" }, state.word());
    Ok(format!("{noted}; {}", settle(client, &order, alerts).await?))
}

/// A bank asks for money back: noted, and a person is told what to do.
pub(super) async fn dispute(
    client: &impl GenericClient,
    event: &Event,
    dispute: &Dispute,
    alerts: &Alerts,
) -> Result<String, WorkError> {
    let state = match event.name.strip_prefix("payment.dispute.").unwrap_or_default() {
        "created" => DisputeState::Open,
        "action_required" => DisputeState::ActionRequired,
        "under_review" => DisputeState::UnderReview,
        "won" => DisputeState::Won,
        "lost" => DisputeState::Lost,
        "closed" => DisputeState::Closed,
        other => return Err(contract(format!("dispute {} has the unknown state {other:?}", dispute.id))),
    };
    if dispute.amount <= 0 {
        return Err(contract(format!("dispute {} is of {} paise", dispute.id, dispute.amount)));
    }
    let changed = payments::note_dispute(
        client,
        &payments::Dispute {
            provider_dispute_id: &dispute.id,
            provider_payment_id: &dispute.payment_id,
            amount: Paise::new(dispute.amount),
            state,
            respond_by: dispute.respond_by.and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
        },
    )
    .await?;
    if changed {
        let until = dispute.respond_by.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let until =
            until.map(|time| format!(", papers until {}", time.format("%Y-%m-%d %H:%M UTC"))).unwrap_or_default();
        let amount = Paise::new(dispute.amount);
        let detail = format!("dispute {} of payment {}, {amount}{until}", dispute.id, dispute.payment_id);
        let title = format!("A payment's dispute: {}", state.word().replace('_', " "));
        alerts.raise(client, &format!("dispute:{}:{}", dispute.id, state.word()), &title, &detail).await?;
    }
    Ok(format!("dispute {} {} {}", dispute.id, if changed { "is" } else { "was known, also as" }, state.word()))
}

/// What the facts make of an order.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Unchanged,
    Paid,
    Refunded,
}

fn due(total: Paise, captured: Paise, refunded: Paise) -> Due {
    if captured.is_positive() && refunded >= captured {
        Due::Refunded
    } else if captured >= total {
        Due::Paid
    } else {
        Due::Unchanged
    }
}

/// Brings the order to where the facts put it.
async fn settle(client: &impl GenericClient, order: &Locked, alerts: &Alerts) -> Result<String, WorkError> {
    let totals = payments::totals(client, order.id).await?;
    match (due(order.total, totals.captured, totals.refunded), order.status.as_str()) {
        (Due::Unchanged, status) => Ok(format!("order {} stays {status}", order.id)),
        (Due::Refunded, "refunded") => Ok(format!("order {} stays refunded", order.id)),
        (Due::Refunded, _) => give_back(client, order, alerts).await,
        (Due::Paid, "cancelled") => {
            let detail = format!("order {}: refund it, or take it up again", order.id);
            alerts
                .raise(client, &format!("order:{}:paid-cancelled", order.id), "A cancelled order was paid", &detail)
                .await?;
            Ok(format!("order {} stays cancelled", order.id))
        }
        (Due::Paid, status @ ("paid" | "held" | "fulfilled")) => {
            // Two payments were captured for one order.
            if totals.captured.get().saturating_sub(totals.refunded.get()) > order.total.get() {
                let detail = format!("order {}: captured {}, refunded {}", order.id, totals.captured, totals.refunded);
                alerts
                    .raise(client, &format!("order:{}:overpaid", order.id), "An order was paid more than once", &detail)
                    .await?;
            }
            Ok(format!("order {} stays {status}", order.id))
        }
        (Due::Paid, _) => {
            let status = fulfil(client, order).await?;
            if status == "held" {
                let detail =
                    format!("order {} waits for voucher codes; it is filled as soon as there are some", order.id);
                let key = format!("{}:held", paying(client, order).await?);
                alerts.raise(client, &key, "A paid order is out of stock", &detail).await?;
            }
            Ok(format!("order {} is {status}", order.id))
        }
    }
}

/// Writes down how an order stands now; a shopper who looks sees it change.
async fn set_status(client: &impl GenericClient, order: &Locked, status: &str) -> Result<(), StoreError> {
    if !orders::set_status(client, order.id, status).await? {
        return Ok(());
    }
    let event = ShopperEvent::OrderUpdated { order_id: order.id, status: status.to_owned() };
    outbox::push(client, &NotifyShopper { user_id: order.user_id, event }, Lane::Normal).await?;
    Ok(())
}

async fn give_back(client: &impl GenericClient, order: &Locked, alerts: &Alerts) -> Result<String, WorkError> {
    set_status(client, order, "refunded").await?;
    let (revoked, spent) = vouchers::revoke_for_order(client, order.id).await?;
    if spent > 0 {
        let detail = format!("order {}: {spent} of its codes were spent before", order.id);
        alerts
            .raise(client, &format!("order:{}:spent", order.id), "A refunded order's codes were spent", &detail)
            .await?;
    }
    Ok(format!("order {} is refunded, {revoked} codes are taken back", order.id))
}

/// Gives a paid order its codes, all or none, and tells the shopper. The new status: `fulfilled`, `held` when codes are out of
/// stock, `paid` when something has to be shipped.
pub(super) async fn fulfil(client: &impl GenericClient, order: &Locked) -> Result<&'static str, StoreError> {
    let mut items = orders::items(client, order.id).await?;
    // Every order takes its products in the same sequence, so that two cannot wait for each other.
    items.sort_by_key(|item| item.product_id);
    client.batch_execute("SAVEPOINT codes").await?;
    let mut enough = true;
    for item in &items {
        if item.is_voucher && enough {
            enough = vouchers::allocate(client, item.product_id, item.id, item.quantity).await?;
        }
        if enough {
            orders::take_stock(client, item.product_id, item.quantity).await?;
        }
    }
    let status = match (enough, items.iter().all(|item| item.is_voucher)) {
        (true, true) => "fulfilled",
        (true, false) => "paid",
        (false, _) => {
            // Half an order is of no use, and somebody else may be served with what there is.
            client.batch_execute("ROLLBACK TO SAVEPOINT codes").await?;
            "held"
        }
    };
    set_status(client, order, status).await?;
    tell(client, order, enough).await?;
    Ok(status)
}

/// What an order's being paid is called: each time is told once. Its codes are other ones when it is paid again after all of its
/// money went back, so those are told, too.
async fn paying(client: &impl GenericClient, order: &Locked) -> Result<String, StoreError> {
    let before = payments::count_returned(client, order.id).await?;
    let first = format!("order:{}:paid", order.id);
    Ok(if before == 0 { first } else { format!("{first}:{before}") })
}

/// The text message says that the order is paid; the mail brings the codes, so it waits for them.
async fn tell(client: &impl GenericClient, order: &Locked, with_codes: bool) -> Result<(), StoreError> {
    let Some(user) = users::find(client, order.user_id).await? else { return Ok(()) };
    let key = paying(client, order).await?;
    let event_key: domain::jobs::EventKey =
        key.parse().map_err(|error| StoreError::WrongRow(format!("an order's event key: {error}")))?;
    if let (Some(to), true) = (user.email, with_codes) {
        let job = SendEmail {
            event_key: event_key.clone(),
            to,
            name: Some(user.name),
            user_id: Some(user.id),
            lang: user.lang,
            message: EmailMessage::OrderConfirmation { order_id: order.id },
        };
        push_once(client, &job, Lane::Normal, &format!("email:{key}")).await?;
    }
    // What is held was said to be paid when it was.
    if let Some(to) = user.mobile
        && order.status != "held"
    {
        let message = SmsMessage::OrderConfirmation { order_id: order.id, amount: order.total };
        let job = SendSms { event_key, to, user_id: Some(user.id), lang: user.lang, message };
        push_once(client, &job, Lane::Normal, &format!("sms:{key}")).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_order_is_paid_when_enough_was_captured_and_refunded_when_all_of_it_went_back() {
        let paise = Paise::new;
        assert_eq!(due(paise(100), paise(0), paise(0)), Due::Unchanged);
        assert_eq!(due(paise(100), paise(99), paise(0)), Due::Unchanged);
        assert_eq!(due(paise(100), paise(100), paise(40)), Due::Paid);
        assert_eq!(due(paise(100), paise(100), paise(100)), Due::Refunded);
        assert_eq!(due(paise(100), paise(200), paise(100)), Due::Paid);
    }

    proptest! {
        #[test]
        fn nothing_is_paid_for_without_its_price(total in 1_i64..1_000_000, captured in 0_i64..2_000_000, refunded in 0_i64..2_000_000) {
            let due = due(Paise::new(total), Paise::new(captured), Paise::new(refunded));
            if due == Due::Paid {
                prop_assert!(captured >= total && refunded < captured);
            }
            if due == Due::Refunded {
                prop_assert!(captured > 0 && refunded >= captured);
            }
        }
    }
}
