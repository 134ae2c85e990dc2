//! The values of a text message, in the form that carriers take.

use domain::ids::OrderId;
use domain::jobs::Language;
use domain::jobs::sms::SmsMessage;
use domain::money::Paise;

use super::dlt::Kind;
use super::lint::LONGEST_VALUE;
use crate::mask::one_line;

/// Names of all text messages.
pub(crate) const TEMPLATES: [&str; 4] = ["otp", "order_confirmation", "cashback_credited", "withdrawal_processed"];

/// The kinds of values that a message brings, in the order of the text in this language.
pub(crate) fn kinds(template: &str, lang: Language) -> &'static [Kind] {
    match (template, lang) {
        ("otp" | "order_confirmation", _) | ("cashback_credited", Language::Hi) => &[Kind::Alphanumeric, Kind::Numeric],
        ("cashback_credited", Language::En) => &[Kind::Numeric, Kind::Alphanumeric],
        ("withdrawal_processed", _) => &[Kind::Numeric],
        _ => &[],
    }
}

/// The values of a message, in the order of [`kinds`].
pub(crate) fn of(message: &SmsMessage, lang: Language) -> Vec<String> {
    match message {
        SmsMessage::Otp { code, valid_minutes } => vec![one_line(code.expose()), valid_minutes.to_string()],
        SmsMessage::OrderConfirmation { order_id, amount } => vec![order_number(*order_id), rupees(*amount)],
        SmsMessage::CashbackCredited { merchant, amount } => {
            let mut values = vec![rupees(*amount), shortened(merchant)];
            if lang == Language::Hi {
                values.reverse();
            }
            values
        }
        SmsMessage::WithdrawalProcessed { amount } => vec![rupees(*amount)],
    }
}

/// `1,23,456.50`; whole rupees without paise. The rupee sign would turn the text into UCS-2, so the text says `Rs.`.
fn rupees(amount: Paise) -> String {
    let written: String = amount.to_string().chars().filter(|c| *c != '₹').collect();
    written.strip_suffix(".00").map_or(written.clone(), str::to_owned)
}

/// The end of the order's id: the part that differs between two orders, short enough for an SMS.
pub(crate) fn order_number(order: OrderId) -> String {
    let id = order.as_uuid().simple().to_string().to_uppercase();
    id.get(20..).unwrap_or_default().to_owned()
}

/// A name of at most 30 letters, cut between words where one ends near, without signs that carriers refuse.
fn shortened(name: &str) -> String {
    let plain: String = one_line(name).chars().filter(|c| !"<>{}#".contains(*c)).collect();
    // A dot between letters would make a link of it, and a carrier drops links that are not registered.
    let plain = plain.replace('.', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    if plain.chars().count() <= LONGEST_VALUE {
        return plain;
    }
    let cut: String = plain.chars().take(LONGEST_VALUE).collect();
    match cut.rsplit_once(' ') {
        Some((words, _)) if words.chars().count() >= LONGEST_VALUE / 2 => words.to_owned(),
        _ => cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_names_fit() {
        assert_eq!(rupees(Paise::new(12_345_650)), "1,23,456.50");
        assert_eq!(rupees(Paise::new(25_000)), "250");
        assert_eq!(shortened("Demo Store"), "Demo Store");
        assert_eq!(shortened("The Very Long Name of a Store in Pune"), "The Very Long Name of a Store");
        assert_eq!(shortened(&"x".repeat(40)), "x".repeat(30));
        assert_eq!(shortened("Shop.com <Men>\n"), "Shop com Men");
    }

    #[test]
    fn an_order_number_is_the_end_of_the_id() {
        let order: OrderId = "01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f".parse().unwrap();
        assert_eq!(order_number(order), "0D9A5C1B2E4F");
    }
}
