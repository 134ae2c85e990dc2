//! How a job travels: JSON, of which `kind` and `payload` are all that a producer must write.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use domain::ids::JobId;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::unreadable::unreadable;

/// A job on a list. Unknown fields are ignored; `null` counts as absent.
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
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_zero")]
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
    /// What went wrong so far; the last twenty tries.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// When and by whom it was taken back from the dead letters.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub replays: Vec<Replay>,
}

/// One failed try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When.
    pub at: DateTime<Utc>,
    /// The chain of causes, cut to 1,000 characters.
    pub error: String,
}

/// One way back from the dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// When.
    pub at: DateTime<Utc>,
    /// Who: an operator's name or id, as the console knows it.
    pub by: String,
}

/// How many failures a job remembers.
pub(crate) const FAILURES_KEPT: usize = 20;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Why bytes are no job.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// They are not JSON of the right form. What serde says of it, without the input that it quotes.
    #[error("not a job: {0}")]
    Unreadable(String),
}

impl From<serde_json::Error> for EnvelopeError {
    fn from(error: serde_json::Error) -> Self {
        Self::Unreadable(unreadable(&error))
    }
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
            replays: Vec::new(),
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

    /// The same job with nothing in it owned twice, to be changed and written again.
    pub(crate) fn again(&self) -> Envelope<'_> {
        fn text<'t>(text: Option<&'t Cow<'_, str>>) -> Option<Cow<'t, str>> {
            text.map(|text| Cow::Borrowed(text.as_ref()))
        }
        Envelope {
            id: self.id,
            kind: Cow::Borrowed(self.kind.as_ref()),
            payload: self.payload,
            v: self.v,
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            enqueued_at: self.enqueued_at,
            not_before: self.not_before,
            not_after: self.not_after,
            dedupe_key: text(self.dedupe_key.as_ref()),
            correlation_id: text(self.correlation_id.as_ref()),
            traceparent: text(self.traceparent.as_ref()),
            failures: self.failures.clone(),
            replays: self.replays.clone(),
        }
    }
}

/// A job on its way out: the payload is written straight into the envelope, in one pass.
#[derive(Serialize)]
pub(crate) struct Draft<'a, P> {
    pub(crate) id: JobId,
    pub(crate) kind: &'a str,
    pub(crate) payload: &'a P,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) v: Option<u32>,
    /// RFC 3339, written once for many jobs.
    pub(crate) enqueued_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_before: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_after: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dedupe_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) correlation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<&'a str>,
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
    fn null_counts_as_absent() {
        let text = r#"{"kind":"a.b","payload":1,"v":null,"attempt":null,"failures":null,"enqueued_at":null}"#;
        let job = Envelope::parse(text.as_bytes()).unwrap();
        assert_eq!((job.v, job.attempt, job.enqueued_at), (None, 0, None));
    }

    #[test]
    fn a_rewritten_job_keeps_everything() {
        let text = concat!(
            r#"{"id":"01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f","kind":"a.b","payload":[1,2.50],"attempt":1,"#,
            r#""correlation_id":"c\"x","replays":[{"at":"2026-01-02T03:04:05Z","by":"asha"}]}"#
        );
        let job = Envelope::parse(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(job.again().to_bytes().unwrap()).unwrap(), text);
    }

    #[test]
    fn a_draft_reads_as_the_job_it_is() {
        let draft = Draft {
            id: JobId::generate(),
            kind: "a.b",
            payload: &[1, 2],
            v: Some(2),
            enqueued_at: "2026-01-02T03:04:05.678Z",
            not_before: None,
            not_after: None,
            dedupe_key: Some("k"),
            correlation_id: None,
            traceparent: None,
        };
        let bytes = serde_json::to_vec(&draft).unwrap();
        let job = Envelope::parse(&bytes).unwrap();
        assert_eq!(
            (job.id, job.payload.get(), job.v, job.dedupe_key.as_deref()),
            (draft.id, "[1,2]", Some(2), Some("k"))
        );
        assert_eq!(job.enqueued_at.unwrap().timestamp_subsec_millis(), 678);
    }

    #[test]
    fn what_is_no_job_says_why() {
        for bytes in [&b"hello"[..], b"{}", br#"{"kind":1,"payload":null}"#, b"\xff\xfe", b""] {
            assert!(Envelope::parse(bytes).is_err());
        }
    }
}
