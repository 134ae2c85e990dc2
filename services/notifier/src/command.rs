//! What can be done besides serving: look at every message, send one, load registered SMS texts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use domain::contact::{EmailAddress, Mobile};
use domain::ids::NotificationId;
use domain::jobs::email::{EmailMessage, SendEmail};
use domain::jobs::sms::SendSms;
use domain::jobs::{EventKey, Language};
use queue::{Handler, JobContext};

use crate::parts::Parts;
use crate::previews;
use crate::samples;
use crate::sms::registry;

/// What can be done besides serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write every message in every language as files, with sample values
    Preview {
        /// Where to; made when it is missing
        #[arg(long, default_value = "preview")]
        out: PathBuf,
        /// All of them (what is done without a name)
        #[arg(long, conflicts_with = "template")]
        all: bool,
        /// Only this one, such as `cashback_credited`
        #[arg(long)]
        template: Option<String>,
    },
    /// Send one sample through the configured provider
    SendTest {
        /// Which one, such as `otp`
        #[arg(long)]
        template: String,
        /// A mail address, or an Indian mobile number
        #[arg(long)]
        to: String,
        /// en or hi
        #[arg(long, default_value = "en")]
        lang: String,
    },
    /// Check registered SMS texts in a JSON file as a carrier would, and store them if all pass
    LoadSms {
        /// The file; `services/notifier/templates/sms.json` shows its form
        file: PathBuf,
        /// Only check
        #[arg(long)]
        check: bool,
    },
}

pub(crate) async fn run(command: Command, parts: &Parts) -> anyhow::Result<()> {
    match command {
        Command::Preview { out, template, .. } => preview(parts, &out, template.as_deref()),
        Command::SendTest { template, to, lang } => send_test(parts, &template, &to, language(&lang)?).await,
        Command::LoadSms { file, check } => load_sms(parts, &file, check).await,
    }
}

fn language(word: &str) -> anyhow::Result<Language> {
    match Language::ALL.into_iter().find(|lang| lang.code() == word) {
        Some(lang) => Ok(lang),
        None => bail!("{word:?} is no language of ours: en or hi"),
    }
}

fn preview(parts: &Parts, out: &Path, only: Option<&str>) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let mut written = 0_u32;
    let mut write = |name: String, content: &str| {
        let path = out.join(name);
        written += 1;
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    };
    for lang in Language::ALL {
        for message in samples::emails()?.iter().filter(|sample| only.is_none_or(|name| name == sample.template())) {
            let name = email_name(message, lang);
            let letter = previews::letter(&parts.emails, message, lang)?;
            write(format!("{name}.html"), &letter.html)?;
            write(format!("{name}.txt"), &format!("Subject: {}\n\n{}", letter.subject, letter.text))?;
        }
        for message in samples::texts()?.into_iter().filter(|text| only.is_none_or(|name| name == text.template())) {
            let name = format!("sms-{}.{}.txt", message.template(), lang.code());
            let job = sms(message, "9800000001".parse()?, lang, "preview")?;
            write(name, &previews::text(&parts.texts, &job)?)?;
        }
    }
    if written == 0 {
        bail!("there is no message {:?}", only.unwrap_or_default());
    }
    tracing::info!(files = written, folder = %out.display(), "messages written");
    Ok(())
}

/// The two declines differ.
fn email_name(message: &EmailMessage, lang: Language) -> String {
    let taken_back = matches!(message, EmailMessage::CashbackDeclined { was_credited: true, .. });
    format!("{}{}.{}", message.template(), if taken_back { "-taken_back" } else { "" }, lang.code())
}

async fn send_test(parts: &Parts, template: &str, to: &str, lang: Language) -> anyhow::Result<()> {
    // A key of its own each time, so that a test can be repeated.
    let event = format!("test:{}", NotificationId::generate());
    let outcome = if to.contains('@') {
        let message = samples::emails()?.into_iter().find(|message| message.template() == template);
        let message = message.with_context(|| format!("there is no mail {template:?}"))?;
        if matches!(message, EmailMessage::OrderConfirmation { .. }) {
            bail!("order_confirmation reads a real order; push an email.send job with one");
        }
        let to: EmailAddress = to.parse()?;
        let job =
            SendEmail { event_key: event.parse()?, to, name: Some("Asha".to_owned()), user_id: None, lang, message };
        parts.emails.handle(job, by_hand()).await
    } else {
        let message = samples::texts()?.into_iter().find(|message| message.template() == template);
        let message = message.with_context(|| format!("there is no text message {template:?}"))?;
        parts.texts.handle(sms(message, to.parse()?, lang, &event)?, by_hand()).await
    };
    match outcome {
        Ok(()) => {
            tracing::info!(template, "handed to the provider; what became of it is in notifications");
            Ok(())
        }
        Err(
            queue::JobError::Retry(error)
            | queue::JobError::RetryAfter(_, error)
            | queue::JobError::Defer(_, error)
            | queue::JobError::Fail(error),
        ) => Err(error.context("not sent")),
    }
}

fn sms(message: domain::jobs::sms::SmsMessage, to: Mobile, lang: Language, event: &str) -> anyhow::Result<SendSms> {
    Ok(SendSms { event_key: event.parse::<EventKey>()?, to, user_id: None, lang, message })
}

fn by_hand() -> JobContext {
    JobContext {
        id: domain::ids::JobId::generate(),
        attempt: 1,
        max_attempts: 1,
        enqueued_at: None,
        replayed_at: None,
        correlation_id: None,
        traceparent: None,
    }
}

async fn load_sms(parts: &Parts, file: &Path, only_check: bool) -> anyhow::Result<()> {
    let rules = &parts.texts.rules;
    let json = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let texts = registry::read(&json, &rules.brand, &parts.sms_sender)?;
    registry::check(&texts, rules)?;
    if only_check {
        tracing::info!(texts = texts.len(), "all texts pass; nothing was stored");
        return Ok(());
    }
    let mut client = parts.pool.get().await?;
    let transaction = client.transaction().await?;
    for text in &texts {
        store::sms_templates::upsert(&transaction, &text.into()).await?;
    }
    transaction.commit().await?;
    tracing::info!(texts = texts.len(), "texts stored; replicas read them when they start");
    Ok(())
}
