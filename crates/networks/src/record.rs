//! A row of a report as named fields, whatever it was written in. Numbers stay the text they were.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use domain::money::Currency;
use domain::network::Network;
use domain::transaction::{NetworkTransaction, QuarantineReason, Quarantined, ReportedRow, SubId};
use rust_decimal::Decimal;
use serde_json::value::RawValue;

use crate::report::CheckValue;

/// No id, order number or sub-id of a network comes near this length.
const LONGEST_TEXT: usize = 512;

/// One row.
#[derive(Debug)]
pub(crate) struct Record(BTreeMap<String, Box<RawValue>>);

/// What a field may be.
pub(crate) type Field<T> = Result<T, QuarantineReason>;

fn unreadable(field: &str, detail: &str) -> QuarantineReason {
    QuarantineReason::Unreadable { field: field.to_owned(), detail: detail.to_owned() }
}

impl Record {
    /// A row of JSON; an error when it is not an object.
    pub(crate) fn from_json(row: &RawValue) -> Result<Self, serde_json::Error> {
        serde_json::from_str(row.get()).map(Self)
    }

    /// A row whose fields are texts, as in CSV and XML.
    pub(crate) fn from_texts(fields: impl IntoIterator<Item = (String, String)>) -> Result<Self, serde_json::Error> {
        fields
            .into_iter()
            .map(|(name, text)| Ok((name, serde_json::value::to_raw_value(&text)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// A text, number or truth value as text; `None` when it is absent, null or blank.
    pub(crate) fn text(&self, field: &str) -> Field<Option<String>> {
        let Some(raw) = self.0.get(field).map(|raw| raw.get().trim()) else {
            return Ok(None);
        };
        let text = match raw.chars().next() {
            Some('"') => {
                serde_json::from_str::<String>(raw).map_err(|_bad_escape| unreadable(field, "a broken text"))?
            }
            Some('{' | '[') => return Err(unreadable(field, "a single value was to come")),
            _ if raw == "null" => return Ok(None),
            _ => raw.to_owned(),
        };
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return Err(unreadable(field, "it has control characters"));
        }
        if text.len() > LONGEST_TEXT {
            return Err(unreadable(field, "it is longer than any such field"));
        }
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    /// A text that the row cannot do without.
    pub(crate) fn must(&self, field: &str) -> Field<String> {
        self.text(field)?.ok_or_else(|| QuarantineReason::Missing { field: field.to_owned() })
    }

    /// A text that nothing depends on: shortened rather than refused.
    pub(crate) fn remark(&self, field: &str) -> Option<String> {
        let raw = self.0.get(field)?.get();
        let text: String =
            serde_json::from_str::<String>(raw).ok()?.chars().filter(|c| !c.is_control()).take(200).collect();
        (!text.trim().is_empty()).then(|| text.trim().to_owned())
    }

    /// An exact decimal, written as number or text.
    fn decimal(&self, field: &str) -> Field<Option<Decimal>> {
        let Some(text) = self.text(field)? else {
            return Ok(None);
        };
        Decimal::from_str_exact(&text)
            .or_else(|_not_plain| Decimal::from_scientific(&text))
            .map(Some)
            .map_err(|_not_decimal| unreadable(field, "it is not an exact decimal number"))
    }

    /// An amount of money, which cannot be negative.
    pub(crate) fn amount(&self, field: &str) -> Field<Option<Decimal>> {
        match self.decimal(field)? {
            Some(amount) if amount < Decimal::ZERO => Err(QuarantineReason::NegativeAmount { field: field.to_owned() }),
            amount => Ok(amount),
        }
    }

    /// A currency, which the row cannot do without: an amount alone is not money.
    pub(crate) fn currency(&self, field: &str) -> Field<Currency> {
        Currency::parse(&self.must(field)?).ok_or_else(|| unreadable(field, "it is not a currency code"))
    }

    /// An instant; where it is written without an offset, it is in `zone`.
    pub(crate) fn instant(&self, field: &str, zone: FixedOffset) -> Field<Option<DateTime<Utc>>> {
        let Some(text) = self.text(field)? else {
            return Ok(None);
        };
        let instant = DateTime::parse_from_rfc3339(&text)
            .or_else(|_other| DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S %z"))
            .map(|at| at.with_timezone(&Utc))
            .ok()
            .or_else(|| {
                let naive = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S")
                    .or_else(|_other| NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S"))
                    .or_else(|_other| {
                        NaiveDate::parse_from_str(&text, "%Y-%m-%d").map(|day| day.and_time(NaiveTime::MIN))
                    });
                naive.ok()?.and_local_timezone(zone).single().map(|at| at.with_timezone(&Utc))
            });
        match instant {
            // Beyond these years it is a mistake, and not every store can hold it.
            Some(at) if (2000..2200).contains(&chrono::Datelike::year(&at)) => Ok(Some(at)),
            _ => Err(unreadable(field, "it is not a time")),
        }
    }

    /// An instant that the row cannot do without.
    pub(crate) fn must_instant(&self, field: &str, zone: FixedOffset) -> Field<DateTime<Utc>> {
        self.instant(field, zone)?.ok_or_else(|| QuarantineReason::Missing { field: field.to_owned() })
    }

    /// The sub-ids of these fields that are not empty, those that carry a click first. One that cannot be read is
    /// left out: it carries no click of ours.
    pub(crate) fn sub_ids(&self, fields: &[&str]) -> Vec<SubId> {
        let mut sub_ids: Vec<SubId> = fields
            .iter()
            .filter_map(|name| {
                let value = self.text(name).ok().flatten()?;
                Some(SubId { name: (*name).to_owned(), value })
            })
            .collect();
        sub_ids.sort_by_key(|sub_id| domain::click::click_of(&sub_id.value).is_none());
        sub_ids
    }

    /// These fields as JSON text, as they came. A field that a database could not hold (a NUL, half a surrogate pair)
    /// is left out.
    pub(crate) fn keep(&self, fields: &[&str]) -> String {
        let storable = |raw: &RawValue| {
            let text = raw.get();
            !text.contains("\\u")
                || (!text.contains("\\u0000") && serde_json::from_str::<serde_json::Value>(text).is_ok())
        };
        let kept: BTreeMap<&str, &RawValue> = fields
            .iter()
            .filter_map(|name| {
                let (name, raw) = self.0.get_key_value(*name)?;
                storable(raw).then_some((name.as_str(), raw.as_ref()))
            })
            .collect();
        serde_json::to_string(&kept).unwrap_or_else(|_never| "{}".to_owned())
    }

    /// What the row adds to the sums.
    pub(crate) fn check_value(&self, id: &str, currency: &str, commission: &str) -> CheckValue {
        let amount = || {
            let commission = self.decimal(commission).ok()?.unwrap_or_default();
            Some((self.currency(currency).ok()?, commission))
        };
        CheckValue { external_id: self.text(id).ok().flatten(), commission: amount() }
    }
}

/// Puts a row into our words with `understand`, or aside with the reason.
pub(crate) fn reported(
    network: Network,
    record: &Record,
    (id, status, kept): (&str, &str, &[&str]),
    observed_at: DateTime<Utc>,
    understand: impl FnOnce(&Record) -> Field<NetworkTransaction>,
) -> ReportedRow {
    match understand(record) {
        Ok(transaction) => ReportedRow::Transaction(Box::new(transaction)),
        Err(reason) => ReportedRow::Quarantined(Box::new(Quarantined {
            network,
            external_id: record.text(id).ok().flatten(),
            reason,
            raw_status: record.text(status).ok().flatten(),
            observed_at,
            raw: record.keep(kept),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::india;

    fn record(json: &str) -> Record {
        Record(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn amounts_are_exact_in_every_form() {
        let row = record(r#"{"a":0.29,"b":"124.95","c":1e2,"d":null,"e":"","f":62.50,"g":9007199254740993.01}"#);
        let amount = |field| row.amount(field).unwrap().map(|amount| amount.to_string());
        assert_eq!(amount("a").as_deref(), Some("0.29"));
        assert_eq!(amount("b").as_deref(), Some("124.95"));
        assert_eq!(amount("c").as_deref(), Some("100"));
        assert_eq!(amount("f").as_deref(), Some("62.50"));
        assert_eq!(amount("g").as_deref(), Some("9007199254740993.01"), "a float would have lost this");
        assert_eq!((amount("d"), amount("e"), amount("absent")), (None, None, None));
    }

    #[test]
    fn what_is_no_amount_is_not_made_one() {
        let row = record(
            r#"{"a":"12,50","b":{"x":1},"c":true,"d":-0.01,"e":"NaN","f":"0.00000000000000000000000000000001"}"#,
        );
        for field in ["a", "b", "c", "e", "f"] {
            assert!(matches!(row.amount(field), Err(QuarantineReason::Unreadable { .. })), "{field}");
        }
        assert_eq!(row.amount("d"), Err(QuarantineReason::NegativeAmount { field: "d".to_owned() }));
    }

    #[test]
    fn instants_are_read_in_every_form() {
        let row = record(
            r#"{"z":"2026-08-14T09:15:30.000Z","offset":"2026-08-14T14:45:30+05:30","ruby":"2026-08-14 14:45:30 +0530",
                "naive":"2026-08-14 14:45:30","day":"2026-08-14","never":"0000-00-00 00:00:00","far":"9999-12-31 00:00:00"}"#,
        );
        for field in ["z", "offset", "ruby", "naive"] {
            let at = row.must_instant(field, india()).unwrap();
            assert_eq!(at.to_rfc3339(), "2026-08-14T09:15:30+00:00", "{field}");
        }
        assert_eq!(row.must_instant("day", india()).unwrap().to_rfc3339(), "2026-08-13T18:30:00+00:00");
        assert!(row.instant("never", india()).is_err());
        assert!(row.instant("far", india()).is_err());
    }

    #[test]
    fn only_named_fields_are_kept_and_their_numbers_stay_as_they_were() {
        let row = record(r#"{"id":7,"payout":62.50,"city":"Pune","nul":"a\u0000b","half":"\ud800","fine":"\u20b9"}"#);
        let kept = row.keep(&["id", "payout", "nul", "half", "fine", "absent"]);
        assert_eq!(kept, r#"{"fine":"\u20b9","id":7,"payout":62.50}"#);
    }

    #[test]
    fn a_sub_id_that_carries_a_click_comes_first() {
        let click = domain::ids::ClickId::generate().compact();
        let row = record(&format!(r#"{{"s1":"home","s2":"{click}","s3":"","s4":["x"]}}"#));
        let names: Vec<_> = row.sub_ids(&["s1", "s2", "s3", "s4"]).into_iter().map(|sub_id| sub_id.name).collect();
        assert_eq!(names, ["s2", "s1"]);
    }
}
