//! MSG91's Flow v5.

use config::{ExposeSecret, SecretString};
use domain::contact::Mobile;
use domain::ids::NotificationId;
use outbound::{Answer, Client, Method};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::timeout_at;

use crate::deadline::Deadline;
use crate::mask::without_addresses;
use crate::outcome::Outcome;

/// The name in rows, metrics and errors.
pub(crate) const NAME: &str = "msg91";

/// A text message on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) id: NotificationId,
    /// Until when an answer is of use.
    pub(crate) deadline: Deadline,
    pub(crate) to: Mobile,
    /// MSG91's own id of the text.
    pub(crate) template_id: &'a str,
    pub(crate) sender: &'a str,
    pub(crate) values: &'a [String],
}

/// Sends by MSG91.
pub(crate) struct Msg91 {
    http: Client,
    url: String,
    key: SecretString,
}

impl Msg91 {
    /// `base` is `https://control.msg91.com` or what stands in for it.
    pub(crate) fn new(http: Client, base: &str, key: SecretString) -> Self {
        Self { http, url: format!("{base}/api/v5/flow/"), key }
    }

    /// Asks it to take one message.
    pub(crate) async fn send(&self, sms: &Outgoing<'_>) -> Outcome {
        let mut recipient = Map::new();
        recipient.insert("mobiles".to_owned(), Value::String(sms.to.digits()));
        for (number, value) in (1..).zip(sms.values) {
            recipient.insert(format!("VAR{number}"), Value::String(value.clone()));
        }
        // Comes back in every report.
        recipient.insert("CRQID".to_owned(), Value::String(sms.id.to_string()));
        let body = json!({
            "template_id": sms.template_id, "sender": sms.sender, "short_url": "0", "recipients": [recipient],
        });
        let request =
            self.http.request(Method::POST, &self.url).header("authkey", self.key.expose_secret()).json(&body);
        match timeout_at(sms.deadline.answer(), self.http.send(request)).await {
            Ok(Ok(answer)) => read(&answer),
            Ok(Err(error)) => error.into(),
            Err(_elapsed) => Outcome::no_answer(),
        }
    }
}

/// The shapes of an answer, old and new.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    r#type: String,
    msg_type: String,
    message: Value,
    msg: Value,
    request_id: Value,
    code: Value,
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The contract says 24 hexadecimal characters; a longer or shorter word would do as well, a sentence does not.
fn is_request_id(id: &str) -> bool {
    id.len() >= 8 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// What MSG91's answer means: the body first, since errors come with HTTP 200 too.
fn read(answer: &Answer) -> Outcome {
    let status = answer.status.as_u16();
    match serde_json::from_str::<Said>(&answer.body) {
        Ok(said) if said.r#type == "success" && answer.status.is_success() => {
            match text(&said.request_id).or_else(|| text(&said.message)).filter(|id| is_request_id(id)) {
                Some(id) => Outcome::Accepted(Some(id)),
                // "Mobile no. already verified" comes as a success too, and says nothing about a text message.
                None => Outcome::Unknown { reason: format!("{status} success without a request id") },
            }
        }
        Ok(said) if said.r#type == "error" || said.msg_type == "error" => {
            let message = text(&said.message).or_else(|| text(&said.msg)).unwrap_or_default();
            refusal(status, text(&said.code).as_deref(), &message, answer)
        }
        _ if status == 429 || answer.status.is_server_error() => later(status, "", answer),
        _ if status == 401 || status == 403 => Outcome::Locked { reason: status.to_string() },
        // A success that is not in the contract, empty or HTML: it may have been taken.
        _ if answer.status.is_success() => Outcome::Unknown { reason: format!("{status} with an unknown body") },
        _ => Outcome::Refused { reason: status.to_string(), bad_address: false },
    }
}

fn refusal(status: u16, code: Option<&str>, message: &str, answer: &Answer) -> Outcome {
    let code_text = code.map_or_else(|| status.to_string(), |code| format!("code {code}"));
    let reason = format!("{code_text} {}", without_addresses(message)).trim_end().to_owned();
    match code {
        Some("202") => Outcome::Refused { reason, bad_address: true },
        // Key, address, credit, account: nothing goes until a person acts.
        Some("207" | "208" | "301" | "302" | "303" | "418") => Outcome::Locked { reason },
        // The route opens in the morning; asked again every half hour.
        Some("306") => Outcome::TryLater { reason, after: Some(std::time::Duration::from_mins(30)), surely: true },
        // "The same within 10 s": the first one counts, and its report will tell.
        Some("311") => Outcome::Unknown { reason },
        None if status == 429 || status >= 500 => later(status, &reason, answer),
        None if status == 401 || status == 403 => Outcome::Locked { reason },
        _ => Outcome::Refused { reason, bad_address: false },
    }
}

fn later(status: u16, reason: &str, answer: &Answer) -> Outcome {
    let reason = if reason.is_empty() { status.to_string() } else { reason.to_owned() };
    // A gateway may speak for something behind it that has taken the message.
    let surely = !matches!(status, 502 | 504);
    let after = answer.retry_after().or((status == 429).then_some(std::time::Duration::from_secs(2)));
    Outcome::TryLater { reason, after, surely }
}

#[cfg(test)]
mod tests {
    use outbound::StatusCode;
    use outbound::header::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str) -> Outcome {
        let status = StatusCode::from_u16(status).unwrap();
        read(&Answer { status, headers: HeaderMap::new(), body: body.to_owned() })
    }

    #[test]
    fn the_body_counts_before_the_status() {
        let taken = Outcome::Accepted(Some("3663000000000000000000aa".to_owned()));
        assert_eq!(answer(200, r#"{"type":"success","message":"3663000000000000000000aa"}"#), taken);
        assert_eq!(answer(200, r#"{"type":"success","request_id":"3663000000000000000000aa"}"#), taken);
        for status in [200, 400] {
            let outcome = answer(status, r#"{"type":"error","message":"template id missing"}"#);
            assert_eq!(
                outcome,
                Outcome::Refused { reason: format!("{status} template id missing"), bad_address: false }
            );
        }
        for message in ["Mobile no. already verified", "OTP verified success", ""] {
            let success = answer(200, &format!(r#"{{"type":"success","message":"{message}"}}"#));
            assert!(matches!(success, Outcome::Unknown { .. }), "{message}: {success:?}");
            let error = answer(200, &format!(r#"{{"type":"error","message":"{message}"}}"#));
            assert!(matches!(error, Outcome::Refused { .. }), "{message}: {error:?}");
        }
        assert!(matches!(answer(200, r#"{"msg_type":"error","msg":"no"}"#), Outcome::Refused { .. }));
        assert!(matches!(answer(200, ""), Outcome::Unknown { .. }));
        assert!(matches!(answer(200, "<html>"), Outcome::Unknown { .. }));
        assert!(matches!(answer(200, r#"{"type":"maybe"}"#), Outcome::Unknown { .. }));
    }

    #[test]
    fn codes_have_their_documented_meaning() {
        let coded =
            |code: &str| answer(200, &format!(r#"{{"type":"error","message":"919800000001 no","code":{code}}}"#));
        let reason = "code 202 [number] no".to_owned();
        assert_eq!(coded("\"202\""), Outcome::Refused { reason, bad_address: true });
        assert_eq!(coded("202"), coded("\"202\""), "numbers count as text");
        for code in ["\"207\"", "208", "\"301\"", "302", "303", "\"418\""] {
            assert!(matches!(coded(code), Outcome::Locked { .. }), "{code}");
        }
        for code in ["101", "\"106\"", "203", "307", "310"] {
            assert!(matches!(coded(code), Outcome::Refused { bad_address: false, .. }), "{code}");
        }
        assert!(matches!(coded("\"306\""), Outcome::TryLater { after: Some(_), .. }));
        assert!(matches!(coded("\"311\""), Outcome::Unknown { .. }));
        assert!(matches!(answer(401, r#"{"type":"error","message":"Unauthorized"}"#), Outcome::Locked { .. }));
        assert!(matches!(answer(429, ""), Outcome::TryLater { after: Some(_), surely: true, .. }));
        assert!(matches!(answer(503, "<html>"), Outcome::TryLater { surely: true, .. }));
        assert!(matches!(answer(504, "<html>"), Outcome::TryLater { surely: false, .. }));
    }
}
