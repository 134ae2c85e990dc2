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
