//! Where the mail server is and how it is spoken to.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use config::{ExposeSecret, Reader};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::Certificate;

/// How the connection is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// Plain at first, then TLS before anything is said (port 587).
    Upgraded,
    /// TLS from the first byte (port 465).
    Implicit,
    /// Not at all: only within the machine.
    None,
}

impl FromStr for Tls {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "starttls" => Ok(Self::Upgraded),
            "implicit" => Ok(Self::Implicit),
            "none" => Ok(Self::None),
            _ => Err("starttls, implicit or none"),
        }
    }
}

impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upgraded => "starttls",
            Self::Implicit => "implicit",
            Self::None => "none",
        })
    }
}

/// A certificate, read from the file that a setting names.
struct Authority(Certificate);

impl FromStr for Authority {
    type Err = String;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        let pem = std::fs::read(path).map_err(|error| format!("{path} cannot be read: {error}"))?;
        Certificate::from_pem(&pem).map(Self).map_err(|error| format!("{path} holds no certificate: {error}"))
    }
}

/// The settings of the mail server.
pub(crate) struct Settings {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Tls,
    /// Who may vouch for the server besides the public authorities: a relay of one's own rarely has a public certificate.
    pub(crate) authority: Option<Certificate>,
    pub(crate) credentials: Option<Credentials>,
    /// The most connections at a time.
    pub(crate) connections: usize,
    /// How long each reply may take.
    pub(crate) limit: Duration,
}

impl Settings {
    /// `None` when no mail server is set.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let host = reader.optional("SMTP_HOST", "the mail server that steps in when SendGrid does not take mails");
        let port = reader.default("SMTP_PORT", 587, "its port");
        let tls = reader.default("SMTP_TLS", Tls::Upgraded, "starttls, implicit, or none (within the machine only)");
        let user = reader.optional("SMTP_USER", "the name to log in with there");
        let password = reader.optional_secret("SMTP_PASSWORD", "the password of SMTP_USER");
        let authority: Option<Authority> = reader.optional_parsed(
            "SMTP_CA_FILE",
            "certificate (PEM) of the authority behind SMTP_HOST, when it is no public one",
        );
        let connections = reader.default("SMTP_CONNECTIONS", 16, "the most connections to it at a time");
        let limit_ms = reader.default("SMTP_TIMEOUT_MS", 10_000, "how long each of its replies may take");
        let host = host?;
        let is_here = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if tls == Tls::None && !is_here {
            reader.problem("SMTP_TLS: mails would travel to SMTP_HOST in clear; none is for a server on this machine");
        }
        if connections == 0 {
            reader.problem("SMTP_CONNECTIONS: at least one");
        }
        if user.is_some() != password.is_some() {
            reader.problem("SMTP_USER, SMTP_PASSWORD: both or neither");
        }
        let credentials =
            user.zip(password).map(|(user, secret)| Credentials::new(user, secret.expose_secret().to_owned()));
        let authority = authority.map(|Authority(certificate)| certificate);
        Some(Self { host, port, tls, authority, credentials, connections, limit: Duration::from_millis(limit_ms) })
    }
}

#[cfg(test)]
mod tests {
    use config::Map;

    use super::*;

    fn read<const N: usize>(pairs: [(&str, &str); N]) -> Result<Option<Settings>, String> {
        let source = Map::from(pairs);
        let mut reader = Reader::new(&source);
        let settings = Settings::read(&mut reader);
        reader.finish(settings).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_server_elsewhere_is_never_spoken_to_in_clear() {
        assert!(read([]).unwrap().is_none(), "off unless a host is set");
        let usual =
            read([("SMTP_HOST", "mail.example.in"), ("SMTP_USER", "u"), ("SMTP_PASSWORD", "p")]).unwrap().unwrap();
        assert_eq!((usual.port, usual.tls, usual.credentials.is_some()), (587, Tls::Upgraded, true));
        assert!(read([("SMTP_HOST", "mail.example.in"), ("SMTP_TLS", "none")]).is_err());
        assert!(read([("SMTP_HOST", "127.0.0.1"), ("SMTP_TLS", "none")]).is_ok());
        assert!(read([("SMTP_HOST", "mail.example.in"), ("SMTP_USER", "u")]).is_err(), "half of the credentials");
        assert!(read([("SMTP_HOST", "mail.example.in"), ("SMTP_TLS", "maybe")]).is_err());
        let missing = read([("SMTP_HOST", "mail.example.in"), ("SMTP_CA_FILE", "/nowhere/ca.pem")]).err().unwrap();
        assert!(missing.contains("SMTP_CA_FILE") && missing.contains("/nowhere/ca.pem"), "{missing}");
    }
}
