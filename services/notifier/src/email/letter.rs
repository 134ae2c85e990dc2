//! Turns a message with its values into subject, text and HTML. The templates are checked when this is compiled: a variable
//! that is missing, or a mail without its template, is an error of the compiler.

use askama::Template;
use domain::contact::EmailAddress;
use domain::jobs::Language;
use domain::jobs::email::EmailMessage;
use domain::money::Paise;
use domain::redacted::Redacted;

use crate::email::page::{PageError, Pages};
use crate::mask::one_line;

/// Who writes.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    /// The name in headings and texts.
    pub(crate) name: String,
    /// The shop's own address, without a slash at its end.
    pub(crate) url: String,
    /// Where people who need help write to.
    pub(crate) support: EmailAddress,
    /// The firm's postal address.
    pub(crate) postal_address: Option<String>,
}

/// An order as the mail shows it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) number: String,
    pub(crate) placed: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) total: Paise,
}

/// A line of an order.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) title: String,
    pub(crate) quantity: i32,
    pub(crate) amount: Paise,
    pub(crate) codes: Vec<Redacted<String>>,
    /// Whether codes are due that are not there yet.
    pub(crate) codes_pending: bool,
}

/// Everything a mail is made of.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) shop: &'a Shop,
    pub(crate) lang: Language,
    pub(crate) name: Option<&'a str>,
    pub(crate) message: &'a EmailMessage,
    pub(crate) order: Option<&'a Order>,
    pub(crate) unsubscribe_url: Option<&'a str>,
    /// The time now, as written in the mail's language.
    pub(crate) now: &'a str,
}

/// A rendered mail. `Debug` shows its subject only.
#[derive(Clone)]
pub(crate) struct Letter {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Letter").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// Why a mail cannot be rendered. It never repeats a value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LetterError {
    /// The template failed.
    #[error("the template failed")]
    Template(#[from] askama::Error),
    /// The text part lacks its head.
    #[error("the text part does not begin with Subject and Preview")]
    Head,
    /// The HTML.
    #[error("the HTML part failed")]
    Page(#[from] PageError),
}

#[derive(Template)]
#[template(path = "email/mail.txt", escape = "none")]
struct Text<'a> {
    shop: &'a Shop,
    hindi: bool,
    greeting: &'a str,
    message: &'a EmailMessage,
    order: Option<&'a Order>,
    unsubscribe_url: Option<&'a str>,
    now: &'a str,
}

#[derive(Template)]
#[template(path = "email/mail.mjml")]
struct Mjml<'a> {
    shop: &'a Shop,
    lang: &'a str,
    hindi: bool,
    subject: &'a str,
    preview: &'a str,
    greeting: &'a str,
    message: &'a EmailMessage,
    order: Option<&'a Order>,
    unsubscribe_url: Option<&'a str>,
    now: &'a str,
}

impl Draft<'_> {
    /// Renders the mail; `pages` keeps what can be used again.
    pub(crate) fn render(&self, pages: &Pages) -> Result<Letter, LetterError> {
        let greeting = self.greeting();
        let message = &cleaned(self.message);
        let hindi = self.lang == Language::Hi;
        let (shop, order, unsubscribe_url, now) = (self.shop, self.order, self.unsubscribe_url, self.now);
        let text = Text { shop, hindi, greeting: &greeting, message, order, unsubscribe_url, now }.render()?;
        let (subject, preview, body) = split_head(&text).ok_or(LetterError::Head)?;
        let lang = self.lang.code();
        let mjml =
            Mjml { shop, lang, hindi, subject, preview, greeting: &greeting, message, order, unsubscribe_url, now };
        let html = pages.html(&mjml.render()?)?;
        Ok(Letter { subject: subject.to_owned(), text: body.to_owned(), html })
    }

    fn greeting(&self) -> String {
        let name = self.name.map(one_line).filter(|name| !name.is_empty());
        match (self.lang, name) {
            (Language::En, Some(name)) => format!("Hello {name},"),
            (Language::En, None) => "Hello,".to_owned(),
            (Language::Hi, Some(name)) => format!("नमस्ते {name},"),
            (Language::Hi, None) => "नमस्ते,".to_owned(),
        }
    }
}

/// `Subject: …`, `Preview: …`, an empty line, the body.
fn split_head(text: &str) -> Option<(&str, &str, &str)> {
    let (subject, rest) = text.trim_start().strip_prefix("Subject: ")?.split_once('\n')?;
    let (preview, body) = rest.strip_prefix("Preview: ")?.split_once("\n\n")?;
    Some((subject, preview, body.trim_start()))
}

/// The same message with every value of outside on one line, so that none can begin a line of the head.
fn cleaned(message: &EmailMessage) -> EmailMessage {
    let mut message = message.clone();
    match &mut message {
        EmailMessage::CashbackTracked { merchant, order_ref, .. } => {
            *merchant = one_line(merchant);
            *order_ref = order_ref.as_deref().map(one_line);
        }
        EmailMessage::CashbackCredited { merchant, .. } | EmailMessage::CashbackDeclined { merchant, .. } => {
            *merchant = one_line(merchant);
        }
        EmailMessage::WithdrawalProcessed { utr, .. } => *utr = utr.as_deref().map(one_line),
        EmailMessage::WithdrawalFailed { reason, .. } => *reason = one_line(reason),
        EmailMessage::AdminAlert { title, detail } => {
            *title = one_line(title);
            *detail = detail.lines().map(one_line).collect::<Vec<_>>().join("\n");
        }
        EmailMessage::Otp { code, .. } => *code = Redacted::new(one_line(code.expose())),
        EmailMessage::Welcome { .. }
        | EmailMessage::PasswordReset { .. }
        | EmailMessage::OrderConfirmation { .. }
        | EmailMessage::PendingReminder { .. } => {}
    }
    message
}
