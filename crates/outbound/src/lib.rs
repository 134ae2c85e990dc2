//! The one door out: a client with time-outs, metrics and an error that says what may be done next.
//!
//! * [`Client`] calls one provider, counts its calls and keeps a span for each.
//! * [`ProviderError`] is sorted by what may be done next, above all by whether the request can have had its effect.
//! * [`retry::reading`] asks again, with back-off and jitter, where asking twice does no harm.
//! * [`oauth::TokenHolder`] keeps an access token fresh, and one for all replicas.

mod client;
mod error;
pub mod oauth;
pub mod retry;

pub use client::{Answer, Client, ClientError, Settings, base_url};
pub use error::ProviderError;
pub use reqwest::{Method, RequestBuilder, StatusCode, header};
