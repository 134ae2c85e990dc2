//! Rupees for amounts in other currencies.

use config::Reader;
use domain::money::{Currency, Paise};
use domain::transaction::{ForeignAmounts, QuarantineReason, rupees_of};
use rust_decimal::Decimal;

/// What one unit of other currencies is worth, as the operator set it.
#[derive(Debug, Clone, Default)]
pub struct Rates(Vec<(Currency, Decimal)>);

/// A row's amounts in rupees.
pub(crate) struct Amounts {
    pub(crate) sale: Option<Paise>,
    pub(crate) commission: Paise,
    pub(crate) foreign: Option<ForeignAmounts>,
}

impl Rates {
    /// Reads `FX_RATE_USD` and the like.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let family = reader.family("FX_RATE_", "rupees for one unit of a currency, such as FX_RATE_USD=84.10");
        let mut rates = Vec::new();
        for (code, text) in family {
            match (Currency::parse(&code), text.trim().parse::<Decimal>()) {
                (Some(currency), Ok(rate)) if rate > Decimal::ZERO && currency != Currency::INR => {
                    rates.push((currency, rate));
                }
                _ => reader
                    .problem(format!("FX_RATE_{code}: a rate is a decimal above zero for a currency other than INR")),
            }
        }
        Self(rates)
    }

    /// The rate of a currency.
    #[must_use]
    pub fn of(&self, currency: Currency) -> Option<Decimal> {
        self.0.iter().find(|(known, _)| *known == currency).map(|(_, rate)| *rate)
    }

    /// Puts amounts into rupees; those of a currency without a rate are not.
    pub(crate) fn rupees(
        &self,
        currency: Currency,
        sale: Option<Decimal>,
        commission: Decimal,
    ) -> Result<Amounts, QuarantineReason> {
        let (rate, foreign) = if currency == Currency::INR {
            (Decimal::ONE, None)
        } else {
            let rate = self.of(currency).ok_or(QuarantineReason::NoRate(currency))?;
            (rate, Some(ForeignAmounts { currency, sale, commission, rate }))
        };
        let rupees = |field: &str, amount| {
            rupees_of(amount, rate)
                .map_err(|error| QuarantineReason::Unreadable { field: field.to_owned(), detail: error.to_string() })
        };
        Ok(Amounts {
            sale: sale.map(|sale| rupees("the sale", sale)).transpose()?,
            commission: rupees("the commission", commission)?,
            foreign,
        })
    }
}

#[cfg(test)]
mod tests {
    use config::Map;

    use super::*;

    #[test]
    fn rates_are_read_and_wrong_ones_are_told() {
        let source =
            Map::from([("FX_RATE_USD", "84.10"), ("FX_RATE_RUPEE", "1"), ("FX_RATE_EUR", "-1"), ("FX_RATE_INR", "2")]);
        let mut reader = Reader::new(&source);
        let rates = Rates::read(&mut reader);
        assert_eq!(rates.of(Currency::parse("usd").unwrap()), Some(Decimal::new(8_410, 2)));
        assert_eq!(reader.finish(()).unwrap_err().list().len(), 3);
    }

    #[test]
    fn a_foreign_amount_keeps_what_it_was() {
        let dollar = Currency::parse("USD").unwrap();
        let rates = Rates(vec![(dollar, Decimal::new(8_410, 2))]);
        let amounts = rates.rupees(dollar, None, Decimal::new(1_99, 2)).unwrap();
        assert_eq!(amounts.commission, Paise::new(16_735), "1.99 × 84.10 = 167.359, the rest of the paisa is dropped");
        assert_eq!(amounts.foreign.unwrap().commission, Decimal::new(1_99, 2));
        let euro = Currency::parse("EUR").unwrap();
        assert_eq!(rates.rupees(euro, None, Decimal::ONE).err(), Some(QuarantineReason::NoRate(euro)));
        assert!(matches!(
            rates.rupees(dollar, Some(Decimal::MAX), Decimal::ONE).err(),
            Some(QuarantineReason::Unreadable { .. })
        ));
    }
}
