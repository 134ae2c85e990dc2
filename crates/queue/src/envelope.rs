//! How a job travels: JSON, of which `kind` and `payload` are all that a producer must write.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use domain::ids::JobId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A job on a list. Unknown fields are ignored.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope<'a> {
    /// The job's id; made on arrival when a producer wrote none.
    #[serde(default = "JobId::generate")]
    pub id: JobId,
    /// The dotted name that picks the handler.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// The handler's input.
    #[serde(borrow)]
    pub payload: &'a RawValue,
    /// The version of the payload's form; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v: Option<u32>,
    /// How often it was tried before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// How often it may be tried; the kind's own policy when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// When it was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enqueued_at: Option<DateTime<Utc>>,
    /// The earliest time to run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
    /// After this time it is dropped as expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<DateTime<Utc>>,
    /// The key it was deduplicated by.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub dedupe_key: Option<Cow<'a, str>>,
    /// What it belongs to, for people who search.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Cow<'a, str>>,
    /// The W3C trace that caused it.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Cow<'a, str>>,
    /// What went wrong so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

/// One failed try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When.
    pub at: DateTime<Utc>,
    /// The chain of causes.
    pub error: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Why bytes are no job.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// They are not JSON of the right form.
    #[error("not a job: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl<'a> Envelope<'a> {
    /// A new job.
    #[must_use]
    pub fn new(id: JobId, kind: &'a str, payload: &'a RawValue) -> Self {
        Self {
            id,
            kind: Cow::Borrowed(kind),
            payload,
            v: None,
            attempt: 0,
            max_attempts: None,
            enqueued_at: None,
            not_before: None,
            not_after: None,
            dedupe_key: None,
            correlation_id: None,
            traceparent: None,
            failures: Vec::new(),
        }
    }

    /// Reads a job from a list's element.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Writes it as a list's element.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EnvelopeError> {
        Ok(serde_json::to_vec(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_and_payload_alone_are_a_job() {
        let job = Envelope::parse(br#"{"kind":"email.send","payload":{"a":1}}"#).unwrap();
        assert_eq!((job.kind.as_ref(), job.payload.get(), job.attempt), ("email.send", r#"{"a":1}"#, 0));
    }

    #[test]
    fn a_rewritten_job_keeps_everything() {
        let text = r#"{"id":"01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f","kind":"a.b","payload":[1,2.50],"attempt":1,"correlation_id":"c\"x"}"#;
        let job = Envelope::parse(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(job.to_bytes().unwrap()).unwrap(), text);
    }

    #[test]
    fn what_is_no_job_says_why() {
        for bytes in [&b"hello"[..], b"{}", br#"{"kind":1,"payload":null}"#, b"\xff\xfe", b""] {
            assert!(Envelope::parse(bytes).is_err());
        }
    }
}
