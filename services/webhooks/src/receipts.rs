//! What SendGrid and MSG91 report of messages: each report once, a later state never undone by an earlier one.

use chrono::{DateTime, Utc};
use domain::ids::NotificationId;
use store::notifications::{DeliveryEvent, apply_event, suppress};
use store::{GenericClient, StoreError};

use crate::source::{Verified, sha256};
use crate::sources::{msg91, sendgrid};
use crate::work::{WorkError, contract};

/// Applies a batch of reports in the caller's transaction; gives what changed, in words.
pub(crate) async fn apply(
    client: &impl GenericClient,
    source: &str,
    verified: &Verified<'_>,
) -> Result<String, WorkError> {
    match source {
        "sendgrid" => mails(client, verified).await,
        "msg91" => texts(client, verified).await,
        other => Err(contract(format!("{other} sends no reports"))),
    }
}

/// A report, read.
struct Report {
    notification_id: NotificationId,
    /// The same for the same report, however often it comes. SendGrid's own id was seen to change on a retry.
    key: String,
    status: &'static str,
    reason: String,
    at: DateTime<Utc>,
}

async fn mails(client: &impl GenericClient, verified: &Verified<'_>) -> Result<String, WorkError> {
    let (events, unreadable) = sendgrid::events(verified)?;
    let mut reports = Vec::with_capacity(events.len());
    let (mut foreign, mut without_state, mut suppressed) = (0, 0, 0);
    for event in &events {
        if let (Some(reason), Some(email)) = (forbids(event), &event.email) {
            suppress(client, "email", email, reason).await?;
            suppressed += 1;
        }
        let Some(status) = mail_status(event) else {
            without_state += 1;
            continue;
        };
        let Some(notification_id) = event.notification_id.as_deref().and_then(|id| id.parse().ok()) else {
            foreign += 1;
            continue;
        };
        let at = event.timestamp.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let told = format!(
            "{}|{}|{}|{}",
            event.word,
            event.timestamp.unwrap_or_default(),
            event.attempt.as_ref().map(ToString::to_string).unwrap_or_default(),
            event.url.as_deref().unwrap_or_default()
        );
        reports.push(Report {
            notification_id,
            key: key(&told),
            status,
            reason: event.reason.as_deref().unwrap_or_default().chars().take(200).collect(),
            at: at.unwrap_or_else(|| verified.received_at()),
        });
    }
    let new = store_all(client, &reports).await?;
    Ok(format!(
        "{new} of {} events are news; {foreign} are of no message of ours, {without_state} change no state, {unreadable} are \
         unreadable, {suppressed} addresses are not written to any more",
        events.len() + unreadable
    ))
}

fn mail_status(event: &sendgrid::Event) -> Option<&'static str> {
    match event.word.as_str() {
        "processed" => Some("sent"),
        "delivered" => Some("delivered"),
        "open" if event.sg_machine_open != Some(true) => Some("opened"),
        // A click is an opening that was seen better.
        "click" => Some("opened"),
        "bounce" => Some("bounced"),
        "dropped" => Some("dropped"),
        _ => None,
    }
}

/// Why nobody may write to this address any more. A block is temporary, and a drop repeats an older bounce.
fn forbids(event: &sendgrid::Event) -> Option<&'static str> {
    match (event.word.as_str(), event.kind.as_deref()) {
        ("bounce", Some("bounce") | None) => Some("bounced"),
        ("spamreport", _) => Some("reported as spam"),
        ("unsubscribe", _) => Some("unsubscribed"),
        _ => None,
    }
}

async fn texts(client: &impl GenericClient, verified: &Verified<'_>) -> Result<String, WorkError> {
    let all = msg91::reports(verified)?;
    let mut reports = Vec::with_capacity(all.len());
    let (mut foreign, mut without_state) = (0, 0);
    for report in &all {
        let Some(status) = text_status(&report.status) else {
            without_state += 1;
            continue;
        };
        let Some(notification_id) = report.notification_id else {
            foreign += 1;
            continue;
        };
        let told = format!("{}|{}|{}", report.status, report.at.timestamp(), report.reason);
        let reason = if status == "failed" { report.reason.clone() } else { String::new() };
        reports.push(Report { notification_id, key: key(&told), status, reason, at: report.at });
    }
    let new = store_all(client, &reports).await?;
    Ok(format!(
        "{new} of {} reports are news; {foreign} are of no message of ours, {without_state} change no state",
        all.len()
    ))
}

/// Unknown codes stay in flight until a later report.
fn text_status(status: &str) -> Option<&'static str> {
    match status {
        "1" | "delivered" | "delivrd" => Some("delivered"),
        "2" | "9" | "16" | "17" | "25" | "failed" | "rejected" | "ndnc" | "blocked" | "undelivered" => Some("failed"),
        "sent" | "submitted" => Some("sent"),
        _ => None,
    }
}

fn key(told: &str) -> String {
    hex::encode(sha256(told.as_bytes())).chars().take(32).collect()
}

async fn store_all(client: &impl GenericClient, reports: &[Report]) -> Result<u64, StoreError> {
    let mut new = 0;
    for report in reports {
        let event = DeliveryEvent {
            notification_id: report.notification_id,
            provider_event: &report.key,
            status: report.status,
            reason: &report.reason,
            occurred_at: report.at,
        };
        new += u64::from(apply_event(client, &event).await?);
    }
    Ok(new)
}
