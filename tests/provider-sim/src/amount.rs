//! Money as the providers write it: an exact decimal that keeps the digits it was given.

use rust_decimal::Decimal;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use std::str::FromStr;

/// An amount in major units (rupees), never a float. `"51.90"` stays `51.90`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Amount(pub(crate) Decimal);

impl Amount {
    /// Zero, with no decimal places.
    pub(crate) const ZERO: Self = Self(Decimal::ZERO);

    /// `minor` hundredths.
    pub(crate) fn from_minor(minor: i64) -> Self {
        Self(Decimal::new(minor, 2))
    }

    /// As a JSON number with exactly these digits.
    pub(crate) fn number(self) -> WireAmount {
        WireAmount { amount: self, text: false }
    }

    /// As a JSON string.
    pub(crate) fn text(self) -> WireAmount {
        WireAmount { amount: self, text: true }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Amount {
    type Err = rust_decimal::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Decimal::from_str_exact(text.trim()).map(Self)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal string such as \"124.95\" or a whole number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, whole: i64) -> Result<Amount, E> {
                Ok(Amount(whole.into()))
            }

            fn visit_u64<E: de::Error>(self, whole: u64) -> Result<Amount, E> {
                Ok(Amount(whole.into()))
            }
        }
        // A float has lost its digits before we see it, so `12.5` without quotes is refused by the visitor.
        deserializer.deserialize_any(Reader)
    }
}

/// An amount about to be written into a provider's answer, as number or as string.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WireAmount {
    amount: Amount,
    text: bool,
}

impl Serialize for WireAmount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.text {
            return serializer.collect_str(&self.amount);
        }
        RawValue::from_string(self.amount.to_string()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}
