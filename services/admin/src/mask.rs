//! Takes personal data and secrets out of what is shown. Only what is known to be harmless stays: a new field of a payload
//! is masked until it is listed here.

use chrono::{DateTime, NaiveDateTime, NaiveTime};
use serde_json::{Map, Value};

/// Names whose text may be shown.
const HARMLESS: [&str; 36] = [
    "id",
    "kind",
    "v",
    "type",
    "template",
    "event_key",
    "lang",
    "language",
    "network",
    "event",
    "status",
    "class",
    "reason",
    "requested_by",
    "currency",
    "entity",
    "method",
    "from",
    "to_date",
    "start",
    "end",
    "window",
    "merchant",
    "attempt",
    "enqueued_at",
    "not_before",
    "not_after",
    "dedupe_key",
    "correlation_id",
    "traceparent",
    "created_at",
    "occurred_at",
    "source",
    "mode",
    "purpose",
    "channel",
];

/// Names whose numbers are as telling as text.
const TELLING: [&str; 8] = ["code", "otp", "mobile", "phone", "contact", "pin", "card", "account"];

/// The value with everything masked that is not known to be harmless.
pub(crate) fn json(value: &Value) -> Value {
    masked("", value)
}

fn masked(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), masked(name, value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| masked(name, item)).collect()),
        Value::String(text) if is_harmless(name) && !looks_personal(text) => Value::String(text.clone()),
        Value::String(text) => Value::String(hidden(text)),
        Value::Number(_) if TELLING.iter().any(|telling| name.to_lowercase().contains(telling)) => "•••".into(),
        other => other.clone(),
    }
}

fn is_harmless(name: &str) -> bool {
    let name = name.to_lowercase();
    HARMLESS.contains(&name.as_str()) || (name.ends_with("_id") && !name.contains("vpa"))
}

fn looks_personal(text: &str) -> bool {
    text.contains('@') || longest_digits(text) >= 10 && !is_id(text)
}

/// UUIDs, traces, times, ids of streams and of providers have long rows of digits and name nobody. Nothing else is taken
/// for one: a number set with hyphens, such as 91-9800000001, is somebody's.
fn is_id(text: &str) -> bool {
    HEX.iter().any(|lengths| is_hex(text, lengths)) || is_time(text) || is_stream_id(text) || is_of_a_provider(text)
}

/// How long the parts are of a UUID, of one without hyphens, and of a `traceparent`.
const HEX: [&[usize]; 3] = [&[8, 4, 4, 4, 12], &[32], &[2, 32, 16, 2]];

/// Whether it is parts of these lengths, of hexadecimal digits, with hyphens between.
fn is_hex(text: &str, lengths: &[usize]) -> bool {
    text.split('-').map(str::len).eq(lengths.iter().copied())
        && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// A date with a time, or a time, however exact.
fn is_time(text: &str) -> bool {
    DateTime::parse_from_rfc3339(text).is_ok()
        || text.parse::<NaiveDateTime>().is_ok()
        || text.parse::<NaiveTime>().is_ok()
}

/// The id of an entry of a stream in Redis: milliseconds since 1970, of this century, and a number.
fn is_stream_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(at, number)| {
        at.len() == 13
            && at.starts_with('1')
            && (1..6).contains(&number.len())
            && at.bytes().chain(number.bytes()).all(|byte| byte.is_ascii_digit())
    })
}

/// Such as `pay_ABC123`. A part that is nothing but a long number may be somebody's.
fn is_of_a_provider(text: &str) -> bool {
    text.contains('_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !text.split('_').any(|part| part.len() >= 8 && part.bytes().all(|byte| byte.is_ascii_digit()))
}

fn longest_digits(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0)
}

fn hidden(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("•••  ({} characters)", text.chars().count()) }
}

/// A text written by programs (an error, a reason): mail addresses and long numbers are masked.
pub(crate) fn text(text: &str) -> String {
    let words: Vec<String> = text
        .split(' ')
        .map(|word| {
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '+');
            if word.contains('@') || (longest_digits(bare) >= 8 && !is_id(bare)) {
                "•••".to_owned()
            } else {
                word.to_owned()
            }
        })
        .collect();
    words.join(" ")
}

/// The bytes of a job or a webhook, masked and set out to be read; what is no JSON is not shown at all.
pub(crate) fn body(bytes: &[u8]) -> String {
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        return serde_json::to_string_pretty(&json(&value)).unwrap_or_default();
    }
    let looks_like_form = bytes.contains(&b'=') && bytes.iter().all(u8::is_ascii_graphic);
    if looks_like_form {
        let fields: Map<String, Value> = url::form_urlencoded::parse(bytes)
            .map(|(name, value)| (name.clone().into_owned(), masked(&name, &Value::String(value.into_owned()))))
            .collect();
        return serde_json::to_string_pretty(&fields).unwrap_or_default();
    }
    format!("{} bytes that are no JSON", bytes.len())
}

/// The bytes of a job or a webhook with its personal data, for those who said why; codes and secrets stay masked.
pub(crate) fn revealed(bytes: &[u8]) -> String {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => serde_json::to_string_pretty(&without_secrets("", &value)).unwrap_or_default(),
        Err(_) => body(bytes),
    }
}

/// Names of what nobody may see, not even with a reason.
const SECRET: [&str; 10] =
    ["code", "otp", "pin", "token", "secret", "password", "url", "signature", "authorization", "key"];

fn without_secrets(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), without_secrets(name, value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| without_secrets(name, item)).collect()),
        Value::Null | Value::Bool(_) => value.clone(),
        Value::String(_) | Value::Number(_) if is_secret(name) => "•••".into(),
        other => other.clone(),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    !is_harmless(&name) && SECRET.iter().any(|secret| name.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_mail_job_is_shown_but_what_it_is() {
        let job = br#"{"id":"01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f","kind":"email.send","payload":{"event_key":"otp:1",
            "to":"asha@example.in","name":"Asha","message":{"template":"otp","code":"493817","valid_minutes":5}}}"#;
        let shown = body(job);
        for secret in ["asha", "Asha", "493817", "example.in"] {
            assert!(!shown.contains(secret), "{secret} is shown in {shown}");
        }
        for known in ["email.send", "otp:1", "01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f", "\"valid_minutes\": 5"] {
            assert!(shown.contains(known), "{known} is not shown in {shown}");
        }
    }

    #[test]
    fn numbers_that_are_codes_and_personal_texts_under_harmless_names_are_masked() {
        let shown = json(
            &serde_json::json!({ "otp": 123_456, "reason": "to asha@example.in", "id": "919800000001", "amount": 500 }),
        );
        assert_eq!(shown["otp"], "•••");
        assert_eq!(shown["amount"], 500);
        assert!(!shown.to_string().contains("asha") && !shown.to_string().contains("9198"));
    }

    #[test]
    fn errors_lose_addresses_and_numbers_and_keep_ids() {
        let shown =
            text("refused for asha@example.in (+919800000001), order 01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f, pay_ABC123");
        assert_eq!(shown, "refused for ••• ••• order 01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f, pay_ABC123");
    }

    #[test]
    fn numbers_set_with_hyphens_are_numbers_and_ids_and_times_are_not() {
        for number in ["91-9800000001", "919800000001-0", "9800000001:1", "0091-9800000001.", "to_9800000001"] {
            assert_eq!(text(&format!("no {number} here")), "no ••• here", "{number}");
            assert!(!json(&serde_json::json!({ "reason": number })).to_string().contains("9800000001"), "{number}");
        }
        for id in [
            "01981b1e-7a4c-7cc2-8f3e-012345678901",
            "01981b1e7a4c7cc28f3e012345678901",
            "00-01981b1e7a4c7cc28f3e012345678901-0123456789012345-01",
            "2026-09-01T02:00:00.123456789Z",
            "2026-09-01T02:00:00.123456789+05:30",
            "02:00:00.123456789",
            "1790000000000-0",
            "pay_SYNTH123456789",
        ] {
            let said = format!("there is {id} here");
            assert_eq!(text(&said), said);
            assert!(json(&serde_json::json!({ "id": id })).to_string().contains(id), "{id}");
        }
    }

    #[test]
    fn a_revealed_job_shows_the_person_and_never_the_code() {
        let job = br#"{"to":"asha@example.in","message":{"code":"493817","reset_url":"https://shop.in/r?t=abc"}}"#;
        let shown = revealed(job);
        assert!(shown.contains("asha@example.in") && !shown.contains("493817") && !shown.contains("t=abc"), "{shown}");
    }

    #[test]
    fn forms_are_masked_and_other_bytes_are_not_shown() {
        assert!(!body(b"email=asha%40example.in&status=ok").contains("asha"));
        assert!(body(b"email=asha%40example.in&status=ok").contains("\"ok\""));
        assert_eq!(body(b"\xff\x00hello"), "7 bytes that are no JSON");
    }
}
