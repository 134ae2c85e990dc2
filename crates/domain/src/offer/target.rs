//! A page at the shop, and everything that only looks like one.

use std::fmt;

use url::{Host, Position, Url};

use super::{AllowedHosts, Schemes};

/// Why a text is not a page that a shopper may be sent to. The words are safe to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Longer than networks carry.
    #[error("it is longer than 2000 bytes")]
    TooLong,
    /// Not `https://…`.
    #[error("it does not start with https://")]
    Scheme,
    /// Bytes that browsers and servers read differently.
    #[error("it has white space, control characters, a backslash or invisible characters")]
    Characters,
    /// The host part is not a plain ASCII host.
    #[error("its host is not a plain host name")]
    Host,
    /// Not a URL.
    #[error("it is not a URL")]
    NotAUrl,
    /// The host is not on the merchant's list.
    #[error("its host is not one of the merchant's")]
    ForeignHost,
    /// It carries another address that leads away, or a script.
    #[error("it carries an address that leads away from the merchant")]
    Nested,
    /// Percent-encoded again and again.
    #[error("it is percent-encoded too many times")]
    Encoding,
}

/// A page at the shop whose host is on the merchant's list.
#[derive(Clone, PartialEq, Eq)]
pub struct Target(Url);

const MAX_BYTES: usize = 2_000;
/// How often a text is decoded in search of what hides in it.
const DECODINGS: usize = 4;
/// Schemes that run something or leave the web, wherever a value starts with one.
const HOSTILE_SCHEMES: [&str; 12] = [
    "javascript:",
    "data:",
    "vbscript:",
    "file:",
    "blob:",
    "intent:",
    "android-app:",
    "view-source:",
    "ftp:",
    "ws:",
    "wss:",
    "jar:",
];

impl Target {
    /// Checks a text. What passes is sent in the one form that every parser reads alike.
    pub fn parse(text: &str, hosts: &AllowedHosts, schemes: Schemes) -> Result<Self, Refused> {
        if text.len() > MAX_BYTES {
            return Err(Refused::TooLong);
        }
        if text.chars().any(|c| c == '\\' || c.is_whitespace() || is_invisible(c)) {
            return Err(Refused::Characters);
        }
        let rest = schemes.strip(text).ok_or(Refused::Scheme)?;
        let (authority, page) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !is_plain(authority) {
            return Err(Refused::Host);
        }
        let url = Url::parse(text).map_err(|_no_url| Refused::NotAUrl)?;
        // Encoding makes three bytes of one, and it is the encoded form that networks have to carry.
        if url.as_str().len() > MAX_BYTES {
            return Err(Refused::TooLong);
        }
        match url.host() {
            // A number that a browser reads as an address (0x7f.1, 2130706433) comes back in dotted form.
            Some(Host::Ipv4(address)) if !authority.starts_with(&address.to_string()) => return Err(Refused::Host),
            Some(Host::Ipv6(_)) | None => return Err(Refused::Host),
            Some(Host::Domain(_) | Host::Ipv4(_)) => {}
        }
        let host = url.host_str().ok_or(Refused::Host)?;
        let allowed = match url.port() {
            None => hosts.allow(host),
            Some(port) => hosts.allow(&format!("{host}:{port}")),
        };
        if !allowed {
            return Err(Refused::ForeignHost);
        }
        check_nested(page, hosts)?;
        // What is sent may be written otherwise (%27 for an apostrophe), and is what the shop reads.
        check_nested(&url[Position::BeforePath..], hosts)?;
        Ok(Self(url))
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.0)
    }
}

/// A host name with an optional port: no user, no brackets, no percent signs, nothing beyond ASCII.
fn is_plain(authority: &str) -> bool {
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    !host.is_empty()
        && !host.starts_with('.')
        && !host.ends_with('.')
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Looks through path, query and fragment, decoded again and again, for an address that leads elsewhere: the shop's own
/// open redirects are as good to an attacker as ours.
fn check_nested(page: &str, hosts: &AllowedHosts) -> Result<(), Refused> {
    let mut text = page.as_bytes().to_vec();
    for _ in 0..=DECODINGS {
        let lower = String::from_utf8_lossy(&text).to_lowercase();
        if lower.chars().any(|c| c == '\\' || c.is_control() || is_invisible(c)) {
            return Err(Refused::Characters);
        }
        check_addresses(&lower, hosts)?;
        let decoded = percent_decode(&text);
        if decoded == text {
            return Ok(());
        }
        text = decoded;
    }
    Err(Refused::Encoding)
}

fn check_addresses(text: &str, hosts: &AllowedHosts) -> Result<(), Refused> {
    for (at, _) in text.match_indices("//") {
        let rest = text.get(at + 2..).unwrap_or_default();
        let end = rest.find(['/', '?', '#', '&', ';', ',', '\'', '"']).unwrap_or(rest.len());
        let authority = rest.get(..end).unwrap_or_default();
        let bare = authority.strip_suffix(":443").unwrap_or(authority);
        if !is_plain(authority) || !hosts.allow(bare) {
            return Err(Refused::Nested);
        }
    }
    let starts = std::iter::once(0)
        .chain(text.match_indices(['=', '&', '?', '#', '/', ';', ',', '(', '\'', '"', '|']).map(|(at, _)| at + 1));
    for value in starts.filter_map(|at| text.get(at..)) {
        let value = value.trim_start_matches(|c: char| c.is_whitespace() || c == '+');
        // A browser drops white space and control characters inside a scheme.
        let head: String = value.chars().filter(|c| !c.is_whitespace()).take(16).collect();
        let one_slash = ["https:", "http:"]
            .into_iter()
            .any(|scheme| head.strip_prefix(scheme).is_some_and(|rest| !rest.starts_with("//")));
        if one_slash || HOSTILE_SCHEMES.iter().any(|scheme| head.starts_with(scheme)) {
            return Err(Refused::Nested);
        }
    }
    Ok(())
}

/// Zero-width and direction marks, and look-alikes of `/ : . ? # @ \` in other blocks.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffd}'
            | '\u{2024}' | '\u{2044}' | '\u{2215}' | '\u{29f8}' | '\u{3002}' | '\u{ff0e}' | '\u{ff0f}' | '\u{ff1a}' | '\u{ff1f}'
            | '\u{ff03}' | '\u{ff20}' | '\u{ff3c}' | '\u{ff61}' | '\u{fe68}' | '\u{fe55}')
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| {
        text.get(at).and_then(|byte| char::from(*byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok())
    };
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte == b'%'
            && let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2))
        {
            decoded.push(high << 4 | low);
            at += 3;
        } else {
            decoded.push(byte);
            at += 1;
        }
    }
    decoded
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
