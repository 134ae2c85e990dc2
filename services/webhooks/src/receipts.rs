//! What SendGrid and MSG91 report of messages: each report once, a later state never undone by an earlier one.

use chrono::{DateTime, Utc};
use domain::contact::EmailAddress;
use domain::ids::NotificationId;
use store::notifications::{Channel, DeliveryEvent, Report, apply_events, apply_to_addresses};
use store::suppressions::AddressHash;
use store::{GenericClient, StoreError};

use crate::source::{Verified, explanation, sha256};
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
struct Reported {
    notification_id: NotificationId,
    /// The same for the same report, however often it comes. SendGrid's own id was seen to change on a retry.
    key: String,
    report: Report,
    reason: String,
    at: DateTime<Utc>,
}

async fn mails(client: &impl GenericClient, verified: &Verified<'_>) -> Result<String, WorkError> {
    let (events, unreadable) = sendgrid::events(verified)?;
    let mut reports = Vec::with_capacity(events.len());
    let (mut foreign, mut without_state, mut strangers) = (0, 0, Vec::new());
    for event in &events {
        let Some(report) = mail_report(event) else {
            without_state += 1;
            continue;
        };
        let Some(notification_id) = event.notification_id.as_deref().and_then(|id| id.parse().ok()) else {
            foreign += 1;
            // Who complained of another mail of ours is spared as well.
            if let Some(address) = event.email.as_deref().and_then(|email| email.parse::<EmailAddress>().ok()) {
                strangers.push((AddressHash::from(&address), report));
            }
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
        reports.push(Reported {
            notification_id,
            key: key(&told),
            report,
            reason: explanation(event.reason.as_deref().unwrap_or_default()),
            at: verified.happened_at(at),
        });
    }
    let suppressed = apply_to_addresses(client, Channel::Email, &strangers).await?;
    let new = store_all(client, &reports).await?;
    Ok(format!(
        "{new} of {} events are news; {foreign} are of no message of ours, {without_state} change no state, {unreadable} are \
         unreadable, {suppressed} foreign addresses are not written to any more",
        events.len() + unreadable
    ))
}

fn mail_report(event: &sendgrid::Event) -> Option<Report> {
    match (event.word.as_str(), event.kind.as_deref()) {
        ("processed", _) => Some(Report::Accepted),
        ("deferred", _) => Some(Report::Deferred),
        ("delivered", _) => Some(Report::Delivered),
        ("open", _) if event.sg_machine_open != Some(true) => Some(Report::Opened),
        // A click is an opening that was seen better.
        ("click", _) => Some(Report::Opened),
        // A block is temporary.
        ("bounce", Some("blocked")) => Some(Report::Blocked),
        ("bounce", _) => Some(Report::Bounced),
        // A drop repeats an older bounce or complaint.
        ("dropped", _) => Some(Report::Dropped),
        ("spamreport", _) => Some(Report::Complained),
        ("unsubscribe" | "group_unsubscribe", _) => Some(Report::Unsubscribed),
        _ => None,
    }
}

async fn texts(client: &impl GenericClient, verified: &Verified<'_>) -> Result<String, WorkError> {
    let all = msg91::reports(verified)?;
    let mut reports = Vec::with_capacity(all.len());
    let (mut foreign, mut without_state) = (0, 0);
    for said in &all {
        let Some(report) = text_report(&said.status) else {
            without_state += 1;
            continue;
        };
        let Some(notification_id) = said.notification_id else {
            foreign += 1;
            continue;
        };
        let told = format!("{}|{}|{}", said.status, said.at.timestamp(), said.reason);
        let reason = if report == Report::Delivered { String::new() } else { explanation(&said.reason) };
        let at = verified.happened_at(Some(said.at));
        reports.push(Reported { notification_id, key: key(&told), report, reason, at });
    }
    let new = store_all(client, &reports).await?;
    Ok(format!(
        "{new} of {} reports are news; {foreign} are of no message of ours, {without_state} change no state",
        all.len()
    ))
}

/// Unknown codes stay in flight until a later report.
fn text_report(status: &str) -> Option<Report> {
    match status {
        "1" | "delivered" | "delivrd" => Some(Report::Delivered),
        "2" | "9" | "16" | "25" | "failed" | "rejected" | "ndnc" | "undelivered" => Some(Report::Failed),
        "17" | "blocked" => Some(Report::NumberBlocked),
        "sent" | "submitted" => Some(Report::Accepted),
        _ => None,
    }
}

fn key(told: &str) -> String {
    hex::encode(sha256(told.as_bytes())).chars().take(32).collect()
}

async fn store_all(client: &impl GenericClient, reports: &[Reported]) -> Result<u64, StoreError> {
    let events: Vec<_> = reports
        .iter()
        .map(|reported| DeliveryEvent {
            notification_id: reported.notification_id,
            provider_event: &reported.key,
            report: reported.report,
            reason: &reported.reason,
            occurred_at: reported.at,
        })
        .collect();
    apply_events(client, &events).await
}
