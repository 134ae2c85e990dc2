//! One of every message, for previews, tests and people who design them.

use domain::ids::OrderId;
use domain::jobs::Language;
use domain::jobs::email::EmailMessage;
use domain::jobs::sms::SmsMessage;
use domain::money::Paise;
use domain::redacted::Redacted;

use crate::email::letter::{Line, Order};
use crate::sms::order_number;

const ORDER: &str = "01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f";

/// One of every mail.
pub(crate) fn emails() -> anyhow::Result<Vec<EmailMessage>> {
    let link = |path: &str| anyhow::Ok(Redacted::new(url::Url::parse("https://shop.example.in")?.join(path)?));
    let merchant = || "Demo Store".to_owned();
    Ok(vec![
        EmailMessage::Welcome { verify_url: link("/verify?token=sample")? },
        EmailMessage::Otp { code: Redacted::new("482913".to_owned()), valid_minutes: 10 },
        EmailMessage::PasswordReset { reset_url: link("/reset?token=sample")?, valid_minutes: 30 },
        EmailMessage::OrderConfirmation { order_id: ORDER.parse::<OrderId>()? },
        EmailMessage::CashbackTracked {
            merchant: merchant(),
            amount: Paise::new(12_495),
            order_ref: Some("OD-4410293".to_owned()),
        },
        EmailMessage::CashbackCredited {
            merchant: merchant(),
            amount: Paise::new(12_495),
            balance: Paise::new(12_345_650),
        },
        EmailMessage::CashbackDeclined { merchant: merchant(), amount: Paise::new(12_495), was_credited: false },
        EmailMessage::CashbackDeclined { merchant: merchant(), amount: Paise::new(12_495), was_credited: true },
        EmailMessage::WithdrawalProcessed { amount: Paise::new(50_000), utr: Some("UTIB0123456789".to_owned()) },
        EmailMessage::WithdrawalFailed {
            amount: Paise::new(50_000),
            reason: "The bank does not know this account.".to_owned(),
        },
        EmailMessage::PendingReminder { amount: Paise::new(43_210), purchases: 3 },
        EmailMessage::AdminAlert {
            title: "Admitad has not answered for 30 minutes".to_owned(),
            detail: "Every call since 10:02 IST ended with 503.\nLook at the provider's status page.".to_owned(),
        },
    ])
}

/// The order that the sample of its mail tells of.
pub(crate) fn order(lang: Language) -> anyhow::Result<Order> {
    let code = |text: &str| Redacted::new(text.to_owned());
    let placed = crate::dates::written("2026-11-24T12:02:00Z".parse()?, lang);
    Ok(Order {
        number: order_number(ORDER.parse()?),
        placed,
        lines: vec![
            Line {
                title: "Demo Store gift card ₹1,000".to_owned(),
                quantity: 2,
                amount: Paise::new(190_000),
                codes: vec![code("DEMO-7QK2-XM4P-9TBA"), code("DEMO-3HJ8-WE6R-2NCD")],
                codes_pending: false,
            },
            Line {
                title: "Another shop's gift card ₹500".to_owned(),
                quantity: 1,
                amount: Paise::new(48_500),
                codes: Vec::new(),
                codes_pending: true,
            },
        ],
        total: Paise::new(238_500),
    })
}

/// One of every text message.
pub(crate) fn texts() -> anyhow::Result<Vec<SmsMessage>> {
    Ok(vec![
        SmsMessage::Otp { code: Redacted::new("482913".to_owned()), valid_minutes: 10 },
        SmsMessage::OrderConfirmation { order_id: ORDER.parse()?, amount: Paise::new(238_500) },
        SmsMessage::CashbackCredited { merchant: "Demo Store".to_owned(), amount: Paise::new(12_495) },
        SmsMessage::WithdrawalProcessed { amount: Paise::new(50_000) },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::email::letter::{Draft, Letter, Shop};
    use crate::email::page::Pages;

    fn letters(name: &str) -> Vec<(String, Letter)> {
        let shop = Shop {
            name: "Demo Cashback".to_owned(),
            url: "https://shop.example.in".to_owned(),
            support: "help@shop.example.in".parse().unwrap(),
            postal_address: Some("12 <Lane>, Pune".to_owned()),
        };
        let pages = Pages::default();
        let mut letters = Vec::new();
        for lang in Language::ALL {
            let order = order(lang).unwrap();
            for message in &emails().unwrap() {
                let draft = Draft {
                    shop: &shop,
                    lang,
                    name: Some(name),
                    message,
                    order: Some(&order),
                    unsubscribe_url: Some("https://hooks.example.in/unsubscribe/1"),
                    now: &order.placed,
                };
                letters.push((format!("{} in {}", message.template(), lang.code()), draft.render(&pages).unwrap()));
            }
        }
        letters
    }

    #[test]
    fn every_mail_reads_well_in_both_languages_and_escapes_what_it_is_given() {
        let letters = letters("<script>alert(1)</script>\r\nBcc: all@example.in");
        assert_eq!(letters.len(), 24);
        for (name, letter) in letters {
            assert!((8..=78).contains(&letter.subject.chars().count()), "{name}: {}", letter.subject);
            assert!(!letter.subject.contains(['\n', '\r', '{']), "{name}: {}", letter.subject);
            assert!(letter.text.contains("\n-- \nDemo Cashback\n"), "{name}: the signature\n{}", letter.text);
            assert!(!letter.text.contains("{{") && !letter.text.contains("&#"), "{name}:\n{}", letter.text);
            assert!(!letter.text.contains("\n\n\n"), "{name}: holes in the text\n{}", letter.text);
            assert!(!letter.html.contains("<script>alert"), "{name}: the name is not escaped");
            assert!(!letter.html.contains("<Lane>"), "{name}: the address is not escaped");
            assert!(!letter.html.contains(['⟦', '⟧']) && !letter.html.contains("u{"), "{name}: a value is missing");
            assert!(letter.html.contains("href=\"mailto:help@shop.example.in\""), "{name}: the link for help");
            // Nothing is fetched from elsewhere when the mail is opened.
            assert!(!letter.html.contains("src=\"http") && !letter.html.contains("@import"), "{name}");
        }
    }
}
