//! MSG91's delivery reports: unsigned, under a path that nobody can guess, in four shapes. They are news of delivery, never of
//! money.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use config::Reader;
use domain::clock::IST;
use domain::ids::{NotificationId, WebhookId};
use domain::jobs::receipt::ProcessReceipts;
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::proof::Secrets;
use crate::source::{Decoded, Effect, Malformed, Rejection, Request, Verified, WebhookSource};

/// How deep reports may be nested, and texts that hold JSON again.
const DEEPEST: u8 = 8;

struct Msg91 {
    tokens: Secrets,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Box<dyn WebhookSource> {
    let key = "MSG91_REPORT_TOKEN";
    let tokens =
        Secrets::read(reader, key, "the last part of the path for delivery reports: 24 random characters at least");
    if tokens.iter().any(|token| (1..24).contains(&token.text().len())) {
        reader.problem(format!("{key}: 24 characters at least (for example: openssl rand -hex 24)"));
    }
    Box::new(Msg91 { tokens })
}

impl WebhookSource for Msg91 {
    fn slug(&self) -> &'static str {
        "msg91"
    }

    fn media_types(&self) -> &'static [&'static str] {
        &["application/json", "application/x-www-form-urlencoded"]
    }

    fn has_path_token(&self) -> bool {
        true
    }

    fn verify<'r>(&self, request: &Request<'r>) -> Result<Verified<'r>, Rejection> {
        let token = request.token.unwrap_or_default();
        let proof = self.tokens.know(token, request.received_at).ok_or(Rejection::WrongToken)?;
        Ok(Verified::new(proof, request.body, request.received_at))
    }

    fn event_id(&self, verified: &Verified<'_>) -> String {
        hex::encode(verified.sha256())
    }

    fn decode(&self, verified: &Verified<'_>, id: WebhookId) -> Result<Decoded, Malformed> {
        let count = reports(verified)?.len();
        let effect = (count > 0).then_some(Effect::Receipts(ProcessReceipts { webhook_id: id }));
        let word = if count == 1 { "report" } else { "reports" };
        Ok(Decoded { event: format!("{count} {word}"), effect })
    }

    #[cfg(test)]
    fn example(&self, _now: DateTime<Utc>) -> crate::contract_tests::Example {
        let body = r#"{"date":"2026-09-01 18:05:09","number":"919800000001","CRQID":"01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f","status":"1"}"#;
        let token = self.tokens.iter().next().unwrap().text().to_owned();
        crate::contract_tests::Example::post("application/json", body).token(&token).queued("receipts")
    }
}

/// What a report says of one text message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// Our id, which MSG91 gives back as `CRQID`.
    pub(crate) notification_id: Option<NotificationId>,
    /// The status, as a number or a word.
    pub(crate) status: String,
    /// Why.
    pub(crate) reason: String,
    /// When.
    pub(crate) at: DateTime<Utc>,
}

/// Members of an object by their names without case and underscores, and the objects around it. Linked, not copied: what a
/// large object holds is not held once more by each of the many objects in it.
#[derive(Default)]
struct Around<'a> {
    members: HashMap<String, String>,
    outer: Option<&'a Around<'a>>,
}

impl Around<'_> {
    fn put(&mut self, name: &str, value: String) {
        if !value.is_empty() {
            let name: String = name.chars().filter(|c| *c != '_').collect();
            self.members.insert(name.to_lowercase(), value);
        }
    }

    /// The innermost value of the first of these names that has one.
    fn get(&self, names: &[&str]) -> Option<&str> {
        let frames = || std::iter::successors(Some(self), |around| around.outer);
        names.iter().find_map(|name| frames().find_map(|around| around.members.get(*name))).map(String::as_str)
    }
}

/// The reports of a request, whichever of the four shapes it has.
pub(crate) fn reports(verified: &Verified<'_>) -> Result<Vec<Report>, Malformed> {
    let raw = verified.raw();
    let value = if let Some(b'{' | b'[') = raw.iter().find(|byte| !byte.is_ascii_whitespace()) {
        serde_json::from_slice(raw)?
    } else {
        // The oldest shape is a form whose field `data` holds JSON.
        let data = form_urlencoded::parse(raw).find(|(name, _)| name == "data").map(|(_, data)| data.into_owned());
        serde_json::from_str(&data.ok_or(Malformed::Other("neither JSON nor a form with a field data"))?)?
    };
    let mut reports = Vec::new();
    walk(&value, &Around::default(), DEEPEST, verified.received_at(), &mut reports);
    Ok(reports)
}

/// Every innermost object with a status is a report; what stands around it (request id, event) belongs to it.
fn walk(value: &Value, around: &Around<'_>, left: u8, received_at: DateTime<Utc>, reports: &mut Vec<Report>) {
    let Some(left) = left.checked_sub(1) else { return };
    match value {
        Value::Array(values) => values.iter().for_each(|value| walk(value, around, left, received_at, reports)),
        Value::Object(members) => {
            let (here, inner) = look_into(members, around);
            let before = reports.len();
            inner.iter().for_each(|value| walk(value, &here, left, received_at, reports));
            if reports.len() == before
                && let Some(status) = here.get(&["status", "event"])
            {
                reports.push(report(status, &here, received_at));
            }
        }
        _ => {}
    }
}

/// An object's own texts and numbers, and what may hold reports of its own.
fn look_into<'v, 'a>(members: &'v Map<String, Value>, outer: &'a Around<'a>) -> (Around<'a>, Vec<Cow<'v, Value>>) {
    let mut here = Around { members: HashMap::new(), outer: Some(outer) };
    let mut inner = Vec::new();
    for (name, value) in members {
        match value {
            Value::String(text) => match nested(text) {
                Some(value) => inner.push(Cow::Owned(value)),
                None => here.put(name, text.clone()),
            },
            Value::Number(number) => here.put(name, number.to_string()),
            // `meta` of the third JSON shape is about the report beside it.
            Value::Object(meta) if name.eq_ignore_ascii_case("meta") => {
                for (name, value) in meta {
                    here.put(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                }
            }
            Value::Array(_) | Value::Object(_) => inner.push(Cow::Borrowed(value)),
            Value::Null | Value::Bool(_) => {}
        }
    }
    (here, inner)
}

fn report(status: &str, here: &Around<'_>, received_at: DateTime<Utc>) -> Report {
    Report {
        notification_id: here.get(&["crqid"]).and_then(|id| id.parse().ok()),
        status: status.chars().take(40).collect::<String>().to_lowercase(),
        reason: here
            .get(&["failedreason", "failurereason", "reason", "description", "desc"])
            .map(|text| text.chars().take(200).collect())
            .unwrap_or_default(),
        at: here.get(&["deliveredat", "deliverytime", "date", "ts"]).and_then(time).unwrap_or(received_at),
    }
}

/// Some macros expand to a text that holds JSON again.
fn nested(text: &str) -> Option<Value> {
    text.starts_with(['[', '{']).then(|| serde_json::from_str(text).ok()).flatten()
}

/// MSG91 writes times without a zone; India's is assumed.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok();
    naive.and_then(|time| time.and_utc().checked_sub_signed(IST)).or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f";

    fn read_all(text: &str) -> Vec<Report> {
        let proof = crate::proof::stored(store::webhooks::Verdict::Accepted).unwrap();
        reports(&Verified::new(proof, text.as_bytes(), DateTime::UNIX_EPOCH)).unwrap()
    }

    #[test]
    fn all_four_shapes_say_the_same() {
        let v2 = format!(
            r#"[{{"senderId":"DEMOCB","requestId":"36aa","report":[{{"date":"2026-09-01 18:05:09","number":"919800000001","status":"1","desc":"DELIVERED","CRQID":"{ID}"}}]}}]"#
        );
        let v2: String = form_urlencoded::Serializer::new(String::new()).append_pair("data", &v2).finish();
        let v3 = format!(
            r#"{{"date":"2026-09-01 18:05:09","number":"919800000001","requestId":"36aa","CRQID":"{ID}","status":"1","desc":"DELIVERED"}}"#
        );
        let v4 = format!(
            r#"[{{"event":"delivered","data":[{{"meta":{{"requestId":"36aa","CRQID":"{ID}","status":"1"}},"INMSID":"","description":"DELIVERED","ts":"2026-09-01 18:05:09"}}]}}]"#
        );
        let new = format!(
            r#"{{"request_id":"36aa","crqid":"{ID}","mobile":"919800000001","status":"1","reason":"DELIVERED","requested_at":"2026-09-01 18:05:00","delivered_at":"2026-09-01 18:05:09"}}"#
        );
        let expected = vec![Report {
            notification_id: Some(ID.parse().unwrap()),
            status: "1".to_owned(),
            reason: "DELIVERED".to_owned(),
            at: "2026-09-01T12:35:09Z".parse().unwrap(),
        }];
        for text in [v2, v3, v4, new] {
            assert_eq!(read_all(&text), expected, "{text}");
        }
    }

    #[test]
    fn many_reports_and_texts_that_hold_json() {
        let text = format!(
            r#"{{"requestId":"36aa","rows":"[{{\"status\":\"1\",\"CRQID\":\"{ID}\"}},{{\"status\":\"16\",\"failedReason\":\"TEMPLATE-NOT-MATCHED\"}}]"}}"#
        );
        let reports = read_all(&text);
        assert_eq!(reports.iter().map(|report| report.status.as_str()).collect::<Vec<_>>(), ["1", "16"]);
        assert_eq!(reports[1].reason, "TEMPLATE-NOT-MATCHED");
        assert!(reports[1].notification_id.is_none());
    }

    #[test]
    fn a_large_object_around_many_small_ones_is_read_in_no_time() {
        let around: Vec<_> = (0..20_000).map(|n| format!(r#""member{n}":"x""#)).collect();
        let small = vec![r#"{"a":"b"}"#; 50_000].join(",");
        let begin = std::time::Instant::now();
        let reports = read_all(&format!(r#"{{{},"status":"1","rows":[{small}]}}"#, around.join(",")));
        assert_eq!(reports.len(), 50_000);
        assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{:?}", begin.elapsed());
    }

    #[test]
    fn what_is_no_report_is_said_so() {
        let proof = || crate::proof::stored(store::webhooks::Verdict::Accepted).unwrap();
        for text in ["hello", "", "a=b", "{", "data=%7B"] {
            assert!(reports(&Verified::new(proof(), text.as_bytes(), DateTime::UNIX_EPOCH)).is_err(), "{text:?}");
        }
        assert!(read_all("{}").is_empty() && read_all("[[[[[[[[[[[[{\"status\":1}]]]]]]]]]]]]").is_empty());
    }
}
