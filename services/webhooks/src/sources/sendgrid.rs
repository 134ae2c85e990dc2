//! SendGrid's Event Webhook: ECDSA on P-256 over timestamp and raw body, arrays of up to thousands of events.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use config::Reader;
use domain::ids::WebhookId;
use domain::jobs::receipt::ProcessReceipts;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::proof::{Secret, Secrets, ecdsa_p256};
use crate::source::{Decoded, Effect, Malformed, Rejection, Request, Verified, WebhookSource};

/// What stands before the point in a DER `SubjectPublicKeyInfo` of P-256.
const P256_HEADER: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

struct Sendgrid {
    keys: Vec<(Vec<u8>, Secret)>,
    tolerance: TimeDelta,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Box<dyn WebhookSource> {
    let key = "SENDGRID_WEBHOOK_PUBLIC_KEY";
    let secrets =
        Secrets::read(reader, key, "the verification key of SendGrid's Event Webhook, base64 as shown in its settings");
    let mut keys = Vec::new();
    for secret in secrets.iter().filter(|secret| !secret.text().is_empty()) {
        match point(secret.text()) {
            Some(point) => keys.push((point, secret.clone())),
            None => reader.problem(format!("{key}: not the base64 of a P-256 public key (DER, 91 bytes)")),
        }
    }
    let seconds = reader.default(
        "SENDGRID_WEBHOOK_TOLERANCE_S",
        300_u32,
        "how far SendGrid's timestamp may be from our clock, in seconds; more if its retries keep their first timestamp",
    );
    Box::new(Sendgrid { keys, tolerance: TimeDelta::seconds(i64::from(seconds)) })
}

/// The point of a public key in base64 of its DER form, with or without armour.
fn point(text: &str) -> Option<Vec<u8>> {
    let bare: String = text.lines().filter(|line| !line.starts_with("-----")).flat_map(str::split_whitespace).collect();
    let der = STANDARD.decode(bare).ok()?;
    let point = der.strip_prefix(&P256_HEADER)?;
    (point.len() == 65 && point.first() == Some(&4)).then(|| point.to_vec())
}

impl WebhookSource for Sendgrid {
    fn slug(&self) -> &'static str {
        "sendgrid"
    }

    fn verify<'r>(&self, request: &Request<'r>) -> Result<Verified<'r>, Rejection> {
        let signature = request.header("x-twilio-email-event-webhook-signature").ok_or(Rejection::NoSignature)?;
        let timestamp = request.header("x-twilio-email-event-webhook-timestamp").ok_or(Rejection::NoTimestamp)?;
        let signature = STANDARD.decode(signature).map_err(|_not_base64| Rejection::WrongSignature)?;
        let message = [timestamp.as_bytes(), request.body].concat();
        let mut keys = self.keys.iter().filter(|(_, secret)| secret.holds_at(request.received_at));
        let proof =
            keys.find_map(|(point, _)| ecdsa_p256(point, &message, &signature)).ok_or(Rejection::WrongSignature)?;
        let signed_at = timestamp.parse().ok().and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0));
        let age = request.received_at - signed_at.ok_or(Rejection::NoTimestamp)?;
        if age.abs() > self.tolerance {
            return Err(Rejection::OutOfTolerance);
        }
        Ok(Verified::new(proof, request.body, request.received_at))
    }

    fn event_id(&self, verified: &Verified<'_>) -> String {
        hex::encode(verified.sha256())
    }

    fn decode(&self, verified: &Verified<'_>, id: WebhookId) -> Result<Decoded, Malformed> {
        // The events are only counted: one that is odd must not refuse the whole batch.
        let events: Vec<&RawValue> = serde_json::from_slice(verified.raw())?;
        let effect = (!events.is_empty()).then_some(Effect::Receipts(ProcessReceipts { webhook_id: id }));
        let word = if events.len() == 1 { "event" } else { "events" };
        Ok(Decoded { event: format!("{} {word}", events.len()), effect })
    }

    #[cfg(test)]
    fn example(&self, now: DateTime<Utc>) -> crate::contract_tests::Example {
        let body = "[{\"email\":\"asha@example.in\",\"event\":\"delivered\",\"timestamp\":1790000003},\r\n{\"event\":\"open\"}]\r\n";
        let timestamp = now.timestamp().to_string();
        let signature = crate::contract_tests::sign_p256(&[timestamp.as_bytes(), body.as_bytes()].concat());
        crate::contract_tests::Example::post("application/json", body)
            .header("x-twilio-email-event-webhook-signature", &signature)
            .header("x-twilio-email-event-webhook-timestamp", &timestamp)
            .queued("receipts")
    }
}

/// One event of a batch, as far as we use it.
#[derive(Debug, Deserialize)]
pub(crate) struct Event {
    /// Such as `delivered`.
    #[serde(rename = "event")]
    pub(crate) word: String,
    /// Whom it was sent to.
    #[serde(default)]
    pub(crate) email: Option<String>,
    /// When, in seconds.
    #[serde(default)]
    pub(crate) timestamp: Option<i64>,
    /// Our id, which travels as a custom argument.
    #[serde(default)]
    pub(crate) notification_id: Option<String>,
    /// Why.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// `bounce` or `blocked`.
    #[serde(default, rename = "type")]
    pub(crate) kind: Option<String>,
    /// Which try of the provider's it was.
    #[serde(default)]
    pub(crate) attempt: Option<serde_json::Value>,
    /// The link that was clicked.
    #[serde(default)]
    pub(crate) url: Option<String>,
    /// Whether a program opened it, not a person.
    #[serde(default)]
    pub(crate) sg_machine_open: Option<bool>,
}

/// The events of a batch, and how many could not be read.
pub(crate) fn events(verified: &Verified<'_>) -> Result<(Vec<Event>, usize), Malformed> {
    let raw: Vec<&RawValue> = serde_json::from_slice(verified.raw())?;
    let events: Vec<Event> = raw.iter().filter_map(|event| serde_json::from_str(event.get()).ok()).collect();
    let unreadable = raw.len() - events.len();
    Ok((events, unreadable))
}

#[cfg(test)]
mod tests {
    use actix_web::http::Method;
    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    const KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqST5L3g5aHeJLKft9akYX4nCNTMrHGI0kh6ccg1JAD5YT4O0cXgy6+pzGz9h7uQOejBD2v6nEUhRNW3+wrojjA==";
    const SIGNATURE: &str =
        "MEUCIQCpU+nUAygLzFhgKmTEQoavL+NBi0/7gppn7OoMtcUeywIgbQWDSTbvj/13IPDPh5Y4C/5R4+I6l2+BrT+OumRZrEA=";
    const BODY: &str = "[{\"email\":\"asha@example.in\",\"timestamp\":1790000003,\"event\":\"delivered\",\"sg_event_id\":\"c3ludGgtMDAwMQ\",\"sg_message_id\":\"SYNTHmsg0000000000000A.recvd-0\"}]\r\n";

    fn check(body: &[u8], timestamp: &str, received: i64) -> Result<(), Rejection> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-twilio-email-event-webhook-signature", SIGNATURE),
            ("x-twilio-email-event-webhook-timestamp", timestamp),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let request = Request {
            method: &Method::POST,
            headers: &headers,
            token: None,
            query: "",
            body,
            remote: [127, 0, 0, 1].into(),
            received_at: DateTime::from_timestamp(received, 0).unwrap(),
        };
        Sendgrid { keys: vec![(point(KEY).unwrap(), Secret::current(KEY))], tolerance: TimeDelta::seconds(300) }
            .verify(&request)
            .map(drop)
    }

    #[test]
    fn the_vector_of_the_contract_passes_and_one_flipped_bit_fails() {
        assert_eq!(BODY.len(), 154);
        assert_eq!(check(BODY.as_bytes(), "1790000005", 1_790_000_005), Ok(()));
        assert_eq!(
            check(BODY.trim_end().as_bytes(), "1790000005", 1_790_000_005),
            Err(Rejection::WrongSignature),
            "CR LF counts"
        );
        assert_eq!(check(BODY.as_bytes(), "1790000006", 1_790_000_005), Err(Rejection::WrongSignature));
        for position in 0..BODY.len() {
            let mut body = BODY.as_bytes().to_vec();
            body[position] ^= 1;
            assert_eq!(check(&body, "1790000005", 1_790_000_005), Err(Rejection::WrongSignature), "byte {position}");
        }
    }

    #[test]
    fn the_timestamp_is_taken_up_to_300_seconds_either_way() {
        for (offset, verdict) in [
            (299, Ok(())),
            (300, Ok(())),
            (301, Err(Rejection::OutOfTolerance)),
            (-299, Ok(())),
            (-301, Err(Rejection::OutOfTolerance)),
        ] {
            assert_eq!(check(BODY.as_bytes(), "1790000005", 1_790_000_005 + offset), verdict, "{offset} s");
        }
    }

    #[test]
    fn an_odd_event_does_not_spoil_the_batch() {
        let text = br#"[{"event":"delivered","attempt":"1"},7,{"event":"open","category":["a"]},{"no":"event"}]"#;
        let proof = crate::proof::stored(store::webhooks::Verdict::Accepted).unwrap();
        let verified = Verified::new(proof, text, DateTime::UNIX_EPOCH);
        let (events, unreadable) = events(&verified).unwrap();
        assert_eq!((events.len(), unreadable), (2, 2));
    }

    #[test]
    fn only_a_key_on_p256_is_a_key() {
        assert!(point(KEY).is_some());
        assert!(point(&format!("-----BEGIN PUBLIC KEY-----\n{KEY}\n-----END PUBLIC KEY-----\n")).is_some());
        assert!(point("").is_none() && point("bm8ga2V5").is_none() && point(&KEY[4..]).is_none());
    }
}
