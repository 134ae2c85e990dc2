//! How every message looks with sample values: as files for those who design them, and in the database for the console.

use std::collections::BTreeSet;

use anyhow::Context;
use domain::jobs::Language;
use domain::jobs::email::EmailMessage;
use domain::jobs::sms::SendSms;
use store::Pool;
use store::previews::{self, Preview};

use crate::email::Emails;
use crate::email::letter::{Draft, Letter};
use crate::parts::Parts;
use crate::samples;
use crate::sms::Texts;

/// A mail with sample values.
pub(crate) fn letter(emails: &Emails, message: &EmailMessage, lang: Language) -> anyhow::Result<Letter> {
    let order = samples::order(lang)?;
    let is_order = matches!(message, EmailMessage::OrderConfirmation { .. });
    let is_reminder = matches!(message, EmailMessage::PendingReminder { .. });
    let draft = Draft {
        shop: &emails.shop,
        lang,
        name: Some("Asha"),
        message,
        order: is_order.then_some(&order),
        unsubscribe_url: is_reminder.then_some("https://shop.example.in/unsubscribe/sample"),
        now: &order.placed,
    };
    draft.render(&emails.pages).with_context(|| format!("{} in {}", message.template(), lang.code()))
}

/// A text message with sample values.
pub(crate) fn text(texts: &Texts, job: &SendSms) -> anyhow::Result<String> {
    Ok(texts.compose(job)?.shown())
}

/// One preview of each message in each language. Texts that are not set up are left out.
pub(crate) fn all(parts: &Parts) -> anyhow::Result<Vec<Preview>> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for lang in Language::ALL {
        for message in samples::emails()? {
            let template = message.template();
            if seen.insert((template, lang.code())) {
                let Letter { subject, text, html, .. } = letter(&parts.emails, &message, lang)?;
                found.push(Preview { channel: "email", template, lang: lang.code(), subject, body: text, html });
            }
        }
        for message in samples::texts()? {
            let template = message.template();
            let (event_key, to) = ("preview".parse()?, "9800000001".parse()?);
            let job = SendSms { event_key, to, user_id: None, lang, message };
            if let Ok(body) = text(&parts.texts, &job) {
                let (subject, html) = (String::new(), String::new());
                found.push(Preview { channel: "sms", template, lang: lang.code(), subject, body, html });
            }
        }
    }
    Ok(found)
}

/// Stores them. Without them the console shows no preview, which stops no message.
pub(crate) async fn store(pool: Pool, previews: Vec<Preview>) {
    let storing = async {
        let client = pool.get().await?;
        for preview in &previews {
            previews::upsert(&client, preview).await?;
        }
        Ok::<_, store::StoreError>(())
    };
    if let Err(error) = storing.await {
        tracing::warn!(error.chain = telemetry::chain(&error), "the console has no previews of messages");
    }
}
