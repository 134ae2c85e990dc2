//! What a sender of webhooks is to the rest of the service.

use std::net::IpAddr;
use std::sync::OnceLock;

use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::WebhookId;
use domain::jobs::cashback::ConfirmHint;
use domain::jobs::payment::ProcessPaymentEvent;
use domain::jobs::receipt::ProcessReceipts;
use sha2::{Digest, Sha256};
use store::StoreError;
use store::webhooks::Promise;

use crate::proof::Proof;

/// A request as it came.
pub(crate) struct Request<'a> {
    /// GET or POST.
    pub(crate) method: &'a Method,
    /// Its headers.
    pub(crate) headers: &'a HeaderMap,
    /// What stands behind the source in the path.
    pub(crate) token: Option<&'a str>,
    /// The query, undecoded.
    pub(crate) query: &'a str,
    /// The exact bytes of the body.
    pub(crate) body: &'a [u8],
    /// Who sent it.
    pub(crate) remote: IpAddr,
    /// When.
    pub(crate) received_at: DateTime<Utc>,
}

impl<'a> Request<'a> {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What carries the content: the body, or of a GET the query.
    pub(crate) fn raw(&self) -> &'a [u8] {
        if self.method == Method::GET { self.query.as_bytes() } else { self.body }
    }
}

/// Content whose sender is proven. There is no other way to one than through a [`Proof`].
#[derive(Debug)]
pub(crate) struct Verified<'a> {
    raw: &'a [u8],
    sha256: OnceLock<[u8; 32]>,
    event_id: Option<&'a str>,
    received_at: DateTime<Utc>,
    _proof: Proof,
}

impl<'a> Verified<'a> {
    /// Takes the content on the strength of the proof.
    pub(crate) fn new(proof: Proof, raw: &'a [u8], received_at: DateTime<Utc>) -> Self {
        Self { raw, sha256: OnceLock::new(), event_id: None, received_at, _proof: proof }
    }

    /// Adds the event id that stood beside the content, unsigned.
    pub(crate) fn with_event_id(mut self, event_id: Option<&'a str>) -> Self {
        self.event_id = event_id;
        self
    }

    /// The content's bytes.
    pub(crate) fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The hash of the content's bytes, computed once.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        *self.sha256.get_or_init(|| sha256(self.raw))
    }

    /// The event id that stood beside the content, if it is one.
    pub(crate) fn event_id(&self) -> Option<&'a str> {
        self.event_id.filter(|id| is_word(id))
    }

    /// When it came.
    pub(crate) fn received_at(&self) -> DateTime<Utc> {
        self.received_at
    }

    /// When it happened, as the sender says; when it came, if the sender does not say, or nothing that can be.
    pub(crate) fn happened_at(&self, said: Option<DateTime<Utc>>) -> DateTime<Utc> {
        let latest = self.received_at + TimeDelta::days(2);
        said.filter(|at| (DateTime::UNIX_EPOCH..latest).contains(at)).unwrap_or(self.received_at)
    }
}

/// Why a request is not believed. For our log; the sender is told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("no signature")]
    NoSignature,
    #[error("wrong signature")]
    WrongSignature,
    #[error("signed with a secret that was replaced before the event was made")]
    SecretReplaced,
    #[error("no timestamp, or not one")]
    NoTimestamp,
    #[error("signed too long ago, or in the future")]
    OutOfTolerance,
    #[error("wrong token")]
    WrongToken,
    #[error("from an address that is not on the list")]
    AddressNotListed,
}

/// Why verified content cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    /// What serde says of it, without the input that it quotes.
    #[error("not JSON of the expected form: {0}")]
    Json(String),
    #[error("{0}")]
    Other(&'static str),
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(queue::unreadable(&error))
    }
}

/// What is to be done because of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Our worker reads the stored event and acts.
    Payment(ProcessPaymentEvent),
    /// Our worker reads the stored reports.
    Receipts(ProcessReceipts),
    /// The network's API is asked.
    Hint(ConfirmHint),
}

impl Effect {
    /// The job that does it.
    pub(crate) fn promise(&self) -> Result<Promise, StoreError> {
        match self {
            Self::Payment(job) => Promise::of(job),
            Self::Receipts(job) => Promise::of(job),
            Self::Hint(job) => Promise::of(job),
        }
    }
}

/// What a webhook says.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// The sender's word for it, for people.
    pub(crate) event: String,
    /// Nothing for what is stored and acknowledged only.
    pub(crate) effect: Option<Effect>,
}

/// A sender of webhooks. A new one is a file in `sources/` and a line in `sources::ALL`.
pub(crate) trait WebhookSource: Send + Sync {
    /// The word in the path and in the tables.
    fn slug(&self) -> &'static str;

    /// The methods it uses.
    fn methods(&self) -> &'static [Method] {
        &[Method::POST]
    }

    /// The media types of its bodies.
    fn media_types(&self) -> &'static [&'static str] {
        &["application/json"]
    }

    /// Whether its path ends in a token.
    fn has_path_token(&self) -> bool {
        false
    }

    /// Whether the request is from the sender. Looks at bytes only, never into them, unless they are proven.
    fn verify<'r>(&self, request: &Request<'r>) -> Result<Verified<'r>, Rejection>;

    /// What makes the event one and the same however often it comes.
    fn event_id(&self, verified: &Verified<'_>) -> String;

    /// Equal for what says the same under another event id.
    fn body_key(&self, verified: &Verified<'_>) -> [u8; 32] {
        verified.sha256()
    }

    /// What of the bytes may be kept.
    fn kept(&self, verified: &Verified<'_>) -> Vec<u8> {
        verified.raw().to_vec()
    }

    /// Reads it. Also from what was kept.
    fn decode(&self, verified: &Verified<'_>, id: WebhookId) -> Result<Decoded, Malformed>;

    /// A request that it would verify now, for the contract test that all sources share.
    #[cfg(test)]
    fn example(&self, now: DateTime<Utc>) -> crate::contract_tests::Example;
}

/// The hash of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Whether a text of a sender can be used as a name: 1 to 200 visible ASCII characters.
pub(crate) fn is_word(text: &str) -> bool {
    (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A text of a sender as an explanation for people: without control characters (Postgres takes no NUL), cut to 200 characters.
pub(crate) fn explanation(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// A text of a sender as a name for people: visible ASCII, cut to 80 characters.
pub(crate) fn word(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(80).collect()
}
