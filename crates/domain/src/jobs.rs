//! What services (and the shop's own backend) say to each other. The serde form of every payload here is a public
//! contract: `docs/contracts/` holds a JSON Schema of each, generated from these types.

pub mod cashback;
pub mod click;
pub mod email;
pub mod event;
pub mod payment;
pub mod receipt;
pub mod sms;
pub mod webhook;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::Job;

/// Something that is made of each kind of job: a check of its payload, its contract.
pub trait Each {
    /// What is made.
    type Made;

    /// Makes it of one kind.
    fn of<J: Job + JsonSchema>(&self) -> Self::Made;
}

/// Every kind of job there is. One that is missing here fails a test of the contracts.
pub fn all<E: Each>(each: &E) -> Vec<E::Made> {
    vec![
        each.of::<cashback::ConfirmHint>(),
        each.of::<cashback::MatchTransaction>(),
        each.of::<cashback::SyncNetwork>(),
        each.of::<click::RecordClick>(),
        each.of::<email::SendEmail>(),
        each.of::<payment::ProcessPaymentEvent>(),
        each.of::<payment::StartPayout>(),
        each.of::<receipt::ProcessReceipts>(),
        each.of::<event::NotifyShopper>(),
        each.of::<sms::SendSms>(),
        each.of::<webhook::ReplayWebhook>(),
    ]
}

/// Names the business event that a message tells of, such as `cashback:01981b1e-…:confirmed`. One event gives at most one
/// message per channel and template, whoever replays what. 1 to 200 characters of `A-Z a-z 0-9 : . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct EventKey(String);

/// A text that cannot be an event key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an event key (1 to 200 characters of A-Z a-z 0-9 : . _ -)")]
pub struct InvalidEventKey(String);

impl EventKey {
    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventKey {
    type Err = InvalidEventKey;

    fn from_str(text: &str) -> Result<Self, InvalidEventKey> {
        let fine =
            (1..=200).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || ":._-".contains(c));
        if fine { Ok(Self(text.to_owned())) } else { Err(InvalidEventKey(text.chars().take(64).collect())) }
    }
}

impl TryFrom<String> for EventKey {
    type Error = InvalidEventKey;
    fn try_from(text: String) -> Result<Self, InvalidEventKey> {
        text.parse()
    }
}

impl From<EventKey> for String {
    fn from(key: EventKey) -> Self {
        key.0
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The language a person is written to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Hindi.
    Hi,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::En, Self::Hi];

    /// The ISO 639-1 code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Hi => "hi",
        }
    }
}
