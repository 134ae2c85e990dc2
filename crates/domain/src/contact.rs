//! How a person is reached: mail address and Indian mobile number, checked once.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A text that is no address to send to. The text itself is personal and so is not repeated here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidContact {
    /// Not a mail address.
    #[error("not a mail address: {0}")]
    Email(&'static str),
    /// Not a mobile number.
    #[error("not an Indian mobile number: {0}")]
    Mobile(&'static str),
}

/// A mail address that `SendGrid` and the SMTP world take: one `@`, a dotted host, at most 254 bytes, no control
/// characters. The host is kept in lower case. `Debug` shows a masked form.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The address in clear.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `a***@example.in`: enough to recognise, too little to write to.
    #[must_use]
    pub fn masked(&self) -> String {
        let (local, host) = self.0.split_once('@').unwrap_or(("", ""));
        format!("{}***@{host}", local.chars().next().unwrap_or('*'))
    }
}

impl FromStr for EmailAddress {
    type Err = InvalidContact;

    fn from_str(text: &str) -> Result<Self, InvalidContact> {
        let text = text.trim();
        if text.len() > 254 {
            return Err(InvalidContact::Email("longer than 254 bytes"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || "<>()[],;:\\\"".contains(c)) {
            return Err(InvalidContact::Email("it has white space, quotes, brackets or control characters"));
        }
        let Some((local, host)) = text.split_once('@') else {
            return Err(InvalidContact::Email("there is no @"));
        };
        if local.is_empty()
            || local.len() > 64
            || local.starts_with('.')
            || local.ends_with('.')
            || local.contains("..")
        {
            return Err(InvalidContact::Email("the part before the @ is empty, too long or has misplaced dots"));
        }
        let label_is_fine = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        };
        if !host.contains('.') || !host.split('.').all(label_is_fine) {
            return Err(InvalidContact::Email("the part after the @ is not a host name"));
        }
        Ok(Self(format!("{local}@{}", host.to_lowercase())))
    }
}

/// An Indian mobile number: ten digits that start with 6 to 9. `Debug` shows the last two digits only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Mobile(u64);

impl Mobile {
    /// `+919800000001`.
    #[must_use]
    pub fn e164(&self) -> String {
        format!("+91{}", self.0)
    }

    /// `919800000001`, as MSG91 wants it.
    #[must_use]
    pub fn digits(&self) -> String {
        format!("91{}", self.0)
    }

    /// `+91********01`.
    #[must_use]
    pub fn masked(&self) -> String {
        format!("+91********{:02}", self.0 % 100)
    }
}

impl FromStr for Mobile {
    type Err = InvalidContact;

    /// Takes `9800000001`, `09800000001`, `919800000001`, `+91 98000-00001`.
    fn from_str(text: &str) -> Result<Self, InvalidContact> {
        if text.chars().any(|c| !(c.is_ascii_digit() || "+- ()".contains(c))) {
            return Err(InvalidContact::Mobile("it has characters that are no part of a number"));
        }
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let national = match digits.len() {
            10 => digits.as_str(),
            11 => digits.strip_prefix('0').ok_or(InvalidContact::Mobile("eleven digits must start with 0"))?,
            12 => digits.strip_prefix("91").ok_or(InvalidContact::Mobile("the country code is not 91"))?,
            _ => return Err(InvalidContact::Mobile("it does not have ten digits")),
        };
        if !national.starts_with(['6', '7', '8', '9']) {
            return Err(InvalidContact::Mobile("mobile numbers start with 6, 7, 8 or 9"));
        }
        national.parse().map(Self).map_err(|_not_digits| InvalidContact::Mobile("it does not have ten digits"))
    }
}

macro_rules! text_type {
    ($name:ident, $show:ident) => {
        impl TryFrom<String> for $name {
            type Error = InvalidContact;
            fn try_from(text: String) -> Result<Self, InvalidContact> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(contact: $name) -> Self {
                contact.$show().to_owned()
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.masked())
            }
        }
    };
}
text_type!(EmailAddress, as_str);
text_type!(Mobile, e164);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_work_are_taken_and_others_are_refused() {
        for good in ["asha@example.in", "a.b+c@mail.example.co.in", "x@xn--bcher-kva.example"] {
            assert!(good.parse::<EmailAddress>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "asha",
            "@example.in",
            "asha@",
            "asha@localhost",
            "a b@example.in",
            "a@b@c.in",
            "a..b@example.in",
            "asha@-x.in",
            "asha@example..in",
            "asha@example.in\r\nBcc: x@y.in",
            "<asha@example.in>",
        ] {
            assert!(bad.parse::<EmailAddress>().is_err(), "{bad}");
        }
        assert_eq!("Asha@Example.IN".parse::<EmailAddress>().unwrap().as_str(), "Asha@example.in");
    }

    #[test]
    fn numbers_of_every_usual_form_become_one() {
        for form in ["9800000001", "09800000001", "919800000001", "+91 98000-00001", "(+91) 9800000001"] {
            assert_eq!(form.parse::<Mobile>().unwrap().e164(), "+919800000001", "{form}");
        }
        for bad in ["", "12345", "5800000001", "+449800000001", "98000000011", "98OOOOOOO1"] {
            assert!(bad.parse::<Mobile>().is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_never_shows_the_whole() {
        assert_eq!(format!("{:?}", "asha@example.in".parse::<EmailAddress>().unwrap()), "a***@example.in");
        assert_eq!(format!("{:?}", "9800000001".parse::<Mobile>().unwrap()), "+91********01");
    }
}
