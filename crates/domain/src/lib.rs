//! The words of the business, as types that cannot hold a wrong value.
//!
//! Nothing here knows Redis, Postgres, HTTP or a provider's field names. Money is [`money::Paise`],
//! an address is a [`contact::EmailAddress`], and what services say to each other is in [`jobs`].
//! A value of one of these types has been checked once, where it came in; nobody checks it again.

pub mod cashback;
pub mod click;
pub mod clock;
pub mod contact;
pub mod ids;
pub mod job;
pub mod jobs;
pub mod money;
pub mod network;
pub mod offer;
pub mod redacted;
pub mod transaction;
pub mod wallet;
pub mod words;
