//! Money in whole paise and rates in basis points. All rounding of the system is in this file, toward the platform.

use std::fmt;

use postgres_types::{FromSql, ToSql};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why an amount could not be computed or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The result does not fit 64 bits.
    #[error("the amount is out of range")]
    OutOfRange,
    /// The text is not a decimal number.
    #[error("{0:?} is not an amount of money (a decimal number such as 124.95)")]
    NotAnAmount(String),
    /// The rate is outside 0 to 10,000 basis points.
    #[error("{0} basis points is not a rate between 0 and 10000")]
    NotARate(i32),
}

/// An amount in paise (1/100 rupee). It may be negative: a correction, or a wallet after a claw-back.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
    ToSql,
    FromSql,
)]
#[serde(transparent)]
#[postgres(transparent)]
pub struct Paise(i64);

impl Paise {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// From a number of paise.
    #[must_use]
    pub const fn new(paise: i64) -> Self {
        Self(paise)
    }

    /// From whole rupees.
    pub fn from_rupees(rupees: i64) -> Result<Self, MoneyError> {
        rupees.checked_mul(100).map(Self).ok_or(MoneyError::OutOfRange)
    }

    /// Reads an amount in rupees from an exact decimal; a fraction of a paisa is dropped (toward zero),
    /// since a network that reports 12.345 has not promised the half paisa.
    pub fn from_decimal(rupees: Decimal) -> Result<Self, MoneyError> {
        rupees
            .checked_mul(Decimal::ONE_HUNDRED)
            .and_then(|paise| paise.trunc().to_i64())
            .map(Self)
            .ok_or(MoneyError::OutOfRange)
    }

    /// Reads an amount in rupees from text such as `124.95` or `1e2`, exactly.
    pub fn parse_rupees(text: &str) -> Result<Self, MoneyError> {
        let text = text.trim();
        let decimal = text
            .parse::<Decimal>()
            .or_else(|_not_plain| Decimal::from_scientific(text))
            .map_err(|_not_decimal| MoneyError::NotAnAmount(text.chars().take(64).collect()))?;
        Self::from_decimal(decimal)
    }

    /// The number of paise.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Sum.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_add(other.0).map(Self).ok_or(MoneyError::OutOfRange)
    }

    /// Difference.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_sub(other.0).map(Self).ok_or(MoneyError::OutOfRange)
    }

    /// The amount with its sign turned.
    pub fn checked_neg(self) -> Result<Self, MoneyError> {
        self.0.checked_neg().map(Self).ok_or(MoneyError::OutOfRange)
    }

    /// `self × rate`, rounded down: what is left of a paisa stays with the platform.
    /// A negative amount has no share, since no cashback is due on a loss.
    pub fn share(self, rate: BasisPoints) -> Result<Self, MoneyError> {
        if self.0 <= 0 {
            return Ok(Self::ZERO);
        }
        let product = i128::from(self.0) * i128::from(rate.0);
        i64::try_from(product / 10_000).map(Self).map_err(|_too_big| MoneyError::OutOfRange)
    }

    /// Whether the amount is above zero.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Whether the amount is below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

/// Writes the amount as Indians do: `₹1,23,456.50`, `-₹0.05`.
impl fmt::Display for Paise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        write!(f, "{sign}₹{}.{:02}", indian_grouping((magnitude / 100).into()), magnitude % 100)
    }
}

/// Groups digits as `12,34,567`: three at the end, then pairs.
#[must_use]
pub fn indian_grouping(number: u128) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 2);
    for (index, digit) in digits.chars().enumerate() {
        let left = digits.len() - index;
        if index > 0 && (left == 3 || (left > 3 && left % 2 == 1)) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A rate in hundredths of a percent, 0 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema, ToSql, FromSql)]
#[serde(transparent)]
#[postgres(transparent)]
pub struct BasisPoints(i32);

impl BasisPoints {
    /// A rate; refused outside 0 to 10,000.
    pub fn new(basis_points: i32) -> Result<Self, MoneyError> {
        if (0..=10_000).contains(&basis_points) {
            Ok(Self(basis_points))
        } else {
            Err(MoneyError::NotARate(basis_points))
        }
    }

    /// The number of basis points.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for BasisPoints {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i32::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for BasisPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        if part == 0 { write!(f, "{whole}%") } else { write!(f, "{whole}.{part:02}%") }
    }
}

/// An ISO 4217 code, three capital letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The Indian rupee.
    pub const INR: Self = Self(*b"INR");

    /// Reads a code in any case; `None` when it is not three letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 3] = text.trim().as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_alphabetic).then(|| Self(bytes.map(|b| b.to_ascii_uppercase())))
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rupees_are_written_as_indians_write_them() {
        let written = |paise| Paise::new(paise).to_string();
        assert_eq!(written(0), "₹0.00");
        assert_eq!(written(5), "₹0.05");
        assert_eq!(written(99_900), "₹999.00");
        assert_eq!(written(123_450), "₹1,234.50");
        assert_eq!(written(12_345_650), "₹1,23,456.50");
        assert_eq!(written(12_345_678_900), "₹12,34,56,789.00");
        assert_eq!(written(-10_000_000), "-₹1,00,000.00");
    }

    #[test]
    fn amounts_are_read_exactly() {
        assert_eq!(Paise::parse_rupees("0.29").unwrap(), Paise::new(29));
        assert_eq!(Paise::parse_rupees(" 124.95 ").unwrap(), Paise::new(12_495));
        assert_eq!(Paise::parse_rupees("62.5").unwrap(), Paise::new(6_250));
        assert_eq!(Paise::parse_rupees("12.349").unwrap(), Paise::new(1_234));
        assert_eq!(Paise::parse_rupees("-12.349").unwrap(), Paise::new(-1_234));
        assert_eq!(Paise::parse_rupees("1e2").unwrap(), Paise::new(10_000));
        assert!(matches!(Paise::parse_rupees("12,50"), Err(MoneyError::NotAnAmount(_))));
        assert!(matches!(Paise::parse_rupees("NaN"), Err(MoneyError::NotAnAmount(_))));
        assert!(matches!(Paise::parse_rupees("9999999999999999999999"), Err(MoneyError::OutOfRange)));
    }

    proptest! {
        #[test]
        fn a_share_never_exceeds_the_amount_nor_loses_more_than_a_paisa(
            amount in 0_i64..=i64::MAX, rate in 0_i32..=10_000,
        ) {
            let share = Paise::new(amount).share(BasisPoints::new(rate).unwrap()).unwrap().get();
            prop_assert!(share <= amount);
            let exact = i128::from(amount) * i128::from(rate);
            let lost = exact - i128::from(share) * 10_000;
            prop_assert!((0..10_000).contains(&lost));
        }

        #[test]
        fn two_shares_are_never_more_than_the_share_of_the_sum(
            a in 0_i64..1_000_000_000, b in 0_i64..1_000_000_000, rate in 0_i32..=10_000,
        ) {
            let rate = BasisPoints::new(rate).unwrap();
            let apart = Paise::new(a).share(rate).unwrap().checked_add(Paise::new(b).share(rate).unwrap()).unwrap();
            prop_assert!(apart <= Paise::new(a + b).share(rate).unwrap());
        }

        #[test]
        fn grouping_keeps_every_digit(paise in any::<i64>()) {
            let digits: String = Paise::new(paise).to_string().chars().filter(char::is_ascii_digit).collect();
            prop_assert_eq!(digits.parse::<u64>().unwrap(), paise.unsigned_abs());
        }
    }
}
