//! Delivery reports in the four shapes an account can choose.

use crate::clock;
use crate::deliveries::Draft;
use crate::inbox::Message;
use crate::provider::Provider;
use crate::providers::query;
use crate::settings::{ReportFormat, Settings};
use crate::sim::Sim;
use actix_web::web::Bytes;
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a report says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verdict {
    /// `1` delivered, `2` failed, `9` do-not-disturb, `16` and `25` rejected, `17` blocked.
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) desc: Option<String>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// Numbers of this form have a fate: the last two digits are the status; `00` is never reported.
const FATED: &str = "9199990000";

/// What becomes of an SMS: a variable over 30 characters is scrubbed by the operator, a fated number has its status,
/// any other is delivered.
fn fate(message: &Message) -> Option<Verdict> {
    let too_long = message
        .args
        .iter()
        .filter(|(name, _)| *name != "CRQID")
        .any(|(_, value)| value.as_str().is_some_and(|v| v.chars().count() > 30));
    let status = match message.to.strip_prefix(FATED) {
        _ if too_long => "16",
        Some("00") => return None,
        Some(digits) => digits.trim_start_matches('0'),
        None => "1",
    };
    let reason = too_long.then(|| "TEMPLATE-VARIABLE-EXCEEDED-MAX LENGTH (30)".to_owned());
    Some(Verdict { status: status.to_owned(), desc: None, reason })
}

fn description(status: &str) -> &'static str {
    match status {
        "1" => "DELIVERED",
        "2" => "FAILED",
        "9" => "NDNC",
        "16" | "25" => "REJECTED BY OPERATOR",
        "17" => "BLOCKED NUMBER",
        _ => "UNKNOWN",
    }
}

/// Sends the reports of these messages, with the verdict that is due or the one given.
pub(crate) fn send(sim: &Arc<Sim>, messages: &[Arc<Message>], verdict: Option<&Verdict>) -> Vec<u64> {
    let drafts = {
        let world = sim.world();
        if world.settings.msg91_report_url.is_empty() {
            return Vec::new();
        }
        let now = world.now();
        let due: Vec<(&Message, Verdict)> =
            messages.iter().filter_map(|m| Some((m.as_ref(), verdict.cloned().or_else(|| fate(m))?))).collect();
        drafts(&world.settings, &due, now)
    };
    sim.deliver(drafts)
}

fn drafts(settings: &Settings, due: &[(&Message, Verdict)], now: DateTime<Utc>) -> Vec<Draft> {
    const JSON: &str = "application/json";
    let draft = |message: &Message, event: String, content_type: &str, body: String| Draft {
        source: Provider::Msg91,
        event,
        event_id: None,
        entity: message.provider_id.clone(),
        method: Method::POST,
        url: settings.msg91_report_url.clone(),
        headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
        body: Bytes::from(body),
        retried: false,
    };
    match settings.msg91_report_format {
        // One post with all receivers of a request.
        ReportFormat::V2 => {
            let Some((first, _)) = due.first() else {
                return Vec::new();
            };
            let reports: Vec<Value> = due.iter().map(|(message, verdict)| v2_line(message, verdict, now)).collect();
            let data = json!([{
                "senderId": first.from, "requestId": first.provider_id, "userId": "12345", "campaignName": "API",
                "report": reports,
            }]);
            let body = query::encode(&[("data", data.to_string())]);
            vec![draft(first, "report v2".to_owned(), "application/x-www-form-urlencoded", body)]
        }
        ReportFormat::V3 => due
            .iter()
            .map(|(m, v)| draft(m, format!("report v3 {}", v.status), JSON, v3(m, v, now).to_string()))
            .collect(),
        ReportFormat::V4 => due
            .iter()
            .map(|(m, v)| draft(m, format!("report v4 {}", v.status), JSON, v4(m, v, now).to_string()))
            .collect(),
        ReportFormat::WebhookNew => due
            .iter()
            .map(|(m, v)| {
                let body = webhook_new(settings, m, v, now);
                let mut draft = draft(m, format!("report new {}", v.status), JSON, body);
                draft.headers.extend(settings.msg91_report_headers.iter().map(|(n, v)| (n.clone(), v.clone())));
                draft
            })
            .collect(),
    }
}

/// Report dates are naive; India's time is assumed.
fn naive(at: DateTime<Utc>) -> String {
    at.with_timezone(&clock::ist()).format("%Y-%m-%d %H:%M:%S").to_string()
}

fn crqid(message: &Message) -> String {
    message.args.get("CRQID").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn desc(verdict: &Verdict) -> String {
    verdict.desc.clone().unwrap_or_else(|| description(&verdict.status).to_owned())
}

fn v2_line(message: &Message, verdict: &Verdict, now: DateTime<Utc>) -> Value {
    let mut line = json!({
        "date": naive(now), "number": message.to, "status": verdict.status, "desc": desc(verdict),
    });
    if let Some(members) = line.as_object_mut() {
        if let Some(reason) = &verdict.reason {
            members.insert("failedReason".to_owned(), json!(reason));
        }
        let crqid = crqid(message);
        if !crqid.is_empty() {
            members.insert("CRQID".to_owned(), json!(crqid));
        }
    }
    line
}

fn v3(message: &Message, verdict: &Verdict, now: DateTime<Utc>) -> Value {
    json!({
        "date": naive(now), "number": message.to, "senderId": message.from, "amount": "0.18",
        "requestId": message.provider_id, "INMSID": "", "CRQID": crqid(message), "credit": "1", "userId": "12345",
        "campaignName": "API", "status": verdict.status, "desc": verdict.reason.clone().unwrap_or_else(|| desc(verdict)),
    })
}

fn v4(message: &Message, verdict: &Verdict, now: DateTime<Utc>) -> Value {
    let event = if verdict.status == "1" { "delivered" } else { "failed" };
    json!([{"event": event, "data": [{
        "meta": {
            "requestId": message.provider_id, "number": message.to, "CRQID": crqid(message), "status": verdict.status,
        },
        "INMSID": "", "description": verdict.reason.clone().unwrap_or_else(|| desc(verdict)), "ts": naive(now),
    }]}])
}

/// The owner's own body, its macros replaced.
fn webhook_new(settings: &Settings, message: &Message, verdict: &Verdict, now: DateTime<Utc>) -> String {
    let values = [
        ("requestedAt", naive(message.at)),
        ("deliveryTime", naive(now)),
        ("requestId", message.provider_id.clone()),
        ("telNum", message.to.clone()),
        ("status", verdict.status.clone()),
        ("failureReason", verdict.reason.clone().unwrap_or_default()),
        ("credit", "1".to_owned()),
        ("senderId", message.from.clone()),
        ("campaignName", "API".to_owned()),
        ("scheduleDateTime", String::new()),
        ("msgData", message.text.clone().unwrap_or_default()),
        ("CRQID", crqid(message)),
    ];
    values.iter().fold(settings.msg91_report_template.clone(), |body, (name, value)| {
        // The macro stands inside of a JSON string, so the value is written as the inside of one.
        let quoted = Value::from(value.as_str()).to_string();
        let inside = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"')).unwrap_or_default();
        body.replace(&format!("{{{{{name}}}}}"), inside)
    })
}
