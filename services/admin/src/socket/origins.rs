//! Who may open a socket: whoever has a shopper's token. A browser sends a cookie along for any page, so with a cookie the page
//! must be the shop's.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use actix_web::http::header::{self, HeaderMap};
use shopper::{Pass, Tokens};

/// The protocol that a page asks for, with its token beside it: `new WebSocket(url, ["shop.v1", "bearer." + token])`.
pub(super) const PROTOCOL: &str = "shop.v1";
/// What stands before a token among the protocols: scripts cannot set headers of a socket.
const BEARER: &str = "bearer.";

/// Origins such as `https://shop.example.in`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins(Vec<String>);

impl FromStr for Origins {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let origins = text.split(',').map(|one| one.trim().trim_end_matches('/').to_lowercase());
        Ok(Self(origins.filter(|one| !one.is_empty()).collect()))
    }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// Lets shoppers in.
pub(crate) struct Gate {
    tokens: Tokens,
    cookie: String,
    origins: Origins,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No token, or a wrong one.
    Unknown,
    /// A page of somebody else's.
    Foreign,
}

impl Gate {
    pub(crate) fn new(settings: &shopper::Settings, origins: Origins) -> Self {
        Self { tokens: Tokens::sessions(settings.sessions.as_ref()), cookie: settings.cookie.clone(), origins }
    }

    /// Whose socket it is.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<Pass, Refusal> {
        let check = |token: &str| self.tokens.check(token).ok_or(Refusal::Unknown);
        if let Some(token) = shopper::bearer(headers).or_else(|| among_protocols(headers)) {
            return check(token);
        }
        let pass = check(shopper::cookie(headers, &self.cookie).ok_or(Refusal::Unknown)?)?;
        if self.is_ours(headers) { Ok(pass) } else { Err(Refusal::Foreign) }
    }

    fn is_ours(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(origin) = text(header::ORIGIN) else { return true };
        let same = origin.split_once("://").map(|(_, authority)| authority) == text(header::HOST);
        same || self.origins.0.iter().any(|one| one.eq_ignore_ascii_case(origin))
    }
}

fn among_protocols(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).find_map(|one| one.trim().strip_prefix(BEARER))
}
