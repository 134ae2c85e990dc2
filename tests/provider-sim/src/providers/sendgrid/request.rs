//! The body of `POST /v3/mail/send`, and what SendGrid refuses in it.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Header names a mail may not set.
const RESERVED_HEADERS: &[&str] = &[
    "x-sg-id",
    "x-sg-eid",
    "received",
    "dkim-signature",
    "content-type",
    "content-transfer-encoding",
    "to",
    "from",
    "subject",
    "reply-to",
    "cc",
    "bcc",
];

/// One reason for a 400.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) field: Option<String>,
}

/// An address with its name.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Address {
    #[serde(default)]
    pub(super) email: String,
    #[serde(default)]
    pub(super) name: Option<String>,
}

impl Address {
    /// `Name <address>`.
    pub(super) fn shown(&self) -> String {
        match &self.name {
            Some(name) => format!("{name} <{}>", self.email),
            None => self.email.clone(),
        }
    }

    fn is_valid(&self) -> bool {
        let Some((local, domain)) = self.email.rsplit_once('@') else {
            return false;
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | '@');
        !local.is_empty()
            && domain.contains('.')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && !self.email.contains("..")
            && !local.contains(odd)
            && !domain.contains(odd)
    }
}

/// One envelope.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Personalization {
    to: Vec<Address>,
    cc: Vec<Address>,
    bcc: Vec<Address>,
    from: Option<Address>,
    pub(super) subject: Option<String>,
    pub(super) headers: Map<String, Value>,
    pub(super) dynamic_template_data: Option<Value>,
    pub(super) custom_args: Map<String, Value>,
    send_at: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Content {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Switch {
    enable: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MailSettings {
    sandbox_mode: Switch,
    bypass_list_management: Switch,
    bypass_spam_management: Switch,
    bypass_bounce_management: Switch,
    bypass_unsubscribe_management: Switch,
}

/// The whole request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Mail {
    personalizations: Vec<Personalization>,
    pub(super) from: Option<Address>,
    reply_to: Option<Address>,
    reply_to_list: Option<Vec<Address>>,
    pub(super) subject: Option<String>,
    content: Vec<Content>,
    pub(super) template_id: Option<String>,
    pub(super) headers: Map<String, Value>,
    pub(super) categories: Vec<String>,
    pub(super) custom_args: Map<String, Value>,
    send_at: Option<i64>,
    #[serde(rename = "mail_settings")]
    settings: MailSettings,
}

impl Mail {
    /// Reads and checks a body; the problems name the field as SendGrid does.
    pub(super) fn read(body: &[u8], now: DateTime<Utc>) -> Result<Self, Vec<Problem>> {
        let mail: Self = serde_json::from_slice(body)
            .map_err(|error| vec![Problem { message: format!("Bad Request: {error}"), field: None }])?;
        let mut problems = Problems(Vec::new());
        mail.check(now, &mut problems);
        mail.check_content(&mut problems);
        if problems.0.is_empty() { Ok(mail) } else { Err(problems.0) }
    }

    /// Accepted, but nothing is sent.
    pub(super) fn is_sandbox(&self) -> bool {
        self.settings.sandbox_mode.enable
    }

    /// Each receiver with the envelope that names it.
    pub(super) fn envelopes(&self) -> impl Iterator<Item = (&Personalization, &Address)> {
        self.personalizations.iter().flat_map(|p| p.everybody().map(move |to| (p, to)))
    }

    /// The body part of a content type.
    pub(super) fn content_of(&self, kind: &str) -> Option<String> {
        self.content.iter().find(|c| c.kind.starts_with(kind)).map(|c| c.value.clone())
    }

    fn every(&self, has: impl Fn(&Personalization) -> bool) -> bool {
        self.personalizations.iter().all(has)
    }

    /// Who it goes to and comes from, and the settings around it.
    fn check(&self, now: DateTime<Utc>, problems: &mut Problems) {
        match self.personalizations.len() {
            0 => problems.add(
                "The personalizations field is required and must have at least one personalization.",
                "personalizations",
            ),
            1..=1000 => {}
            _ => problems.add("There may not be more than 1000 personalizations per request.", "personalizations"),
        }
        if self.envelopes().count() > 1000 {
            problems.add("There may not be more than 1000 recipients per request.", "personalizations");
        }
        for (number, personalization) in self.personalizations.iter().enumerate() {
            personalization.check(number, now, problems);
        }
        match &self.from {
            None => problems.add("The from object must be provided for every email send.", "from.email"),
            Some(from) if !from.is_valid() => {
                problems.add("The from email does not contain a valid address.", "from.email");
            }
            Some(_) => {}
        }
        if self.reply_to.is_some() && self.reply_to_list.is_some() {
            problems.add("Only one of reply_to and reply_to_list may be given.", "reply_to");
        }
        check_headers(&self.headers, "headers", problems);
        check_args(&self.custom_args, "custom_args", problems);
        check_send_at(self.send_at, now, "send_at", problems);
        let settings = &self.settings;
        let single = [
            &settings.bypass_spam_management,
            &settings.bypass_bounce_management,
            &settings.bypass_unsubscribe_management,
        ];
        if settings.bypass_list_management.enable && single.iter().any(|s| s.enable) {
            problems.add("bypass_list_management cannot be combined with another bypass setting.", "mail_settings");
        }
    }

    /// Subject, parts, template and categories.
    fn check_content(&self, problems: &mut Problems) {
        let templated = self.template_id.is_some();
        let filled = |subject: &Option<String>| subject.as_deref().is_some_and(|s| !s.is_empty());
        if !templated && !filled(&self.subject) && !self.every(|p| filled(&p.subject)) {
            problems.add(
                "The subject is required. You can get around this requirement if you use a template with a subject \
                 defined or if every personalization has a subject defined.",
                "subject",
            );
        }
        if !templated && self.content.is_empty() {
            problems.add("Unless a valid template_id is provided, the content parameter is required.", "content");
        }
        for (number, _) in self.content.iter().enumerate().filter(|(_, c)| c.value.is_empty()) {
            problems.add(
                "The content value must be a string at least one character in length.",
                &format!("content.{number}.value"),
            );
        }
        if self.content.len() > 1 && self.content.first().is_some_and(|c| c.kind == "text/html") {
            problems.add("If present, text/plain must be first, followed by text/html.", "content.0.type");
        }
        if self.categories.len() > 10 || self.categories.iter().collect::<HashSet<_>>().len() < self.categories.len() {
            problems.add("There may be at most 10 unique categories.", "categories");
        }
        if self.categories.iter().any(|c| c.chars().count() > 255) {
            problems.add("A category may have at most 255 characters.", "categories");
        }
        let dynamic = self.template_id.as_deref().is_some_and(|t| t.starts_with("d-"));
        if !dynamic && !self.every(|p| p.dynamic_template_data.is_none()) {
            problems.add("dynamic_template_data may only be used with a dynamic template.", "template_id");
        }
    }
}

impl Personalization {
    fn everybody(&self) -> impl Iterator<Item = &Address> {
        self.to.iter().chain(&self.cc).chain(&self.bcc)
    }

    fn check(&self, number: usize, now: DateTime<Utc>, problems: &mut Problems) {
        let at = format!("personalizations.{number}");
        if self.to.is_empty() {
            problems.add(
                "The to array is required for all personalization objects, and must have at least one email object \
                 with a valid email address.",
                &format!("{at}.to"),
            );
        }
        for (list, name) in [(&self.to, "to"), (&self.cc, "cc"), (&self.bcc, "bcc")] {
            for (index, _) in list.iter().enumerate().filter(|(_, a)| !a.is_valid()) {
                problems.add("Does not contain a valid address.", &format!("{at}.{name}.{index}.email"));
            }
        }
        let mut seen = HashSet::new();
        if self.everybody().any(|a| !seen.insert(a.email.to_ascii_lowercase())) {
            problems
                .add("Each email address in the personalization block should be unique between to, cc, and bcc.", &at);
        }
        if self.from.as_ref().is_some_and(|f| !f.is_valid()) {
            problems.add("The from email does not contain a valid address.", &format!("{at}.from.email"));
        }
        check_headers(&self.headers, &format!("{at}.headers"), problems);
        check_args(&self.custom_args, &format!("{at}.custom_args"), problems);
        check_send_at(self.send_at, now, &format!("{at}.send_at"), problems);
    }
}

struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, message: &str, field: &str) {
        self.0.push(Problem { message: message.to_owned(), field: Some(field.to_owned()) });
    }
}

fn check_headers(headers: &Map<String, Value>, field: &str, problems: &mut Problems) {
    for (name, value) in headers {
        if RESERVED_HEADERS.iter().any(|r| name.eq_ignore_ascii_case(r)) {
            problems.add("The header is reserved and may not be set.", &format!("{field}.{name}"));
        }
        if !value.is_string() {
            problems.add("A header value must be a string.", &format!("{field}.{name}"));
        }
    }
}

fn check_args(args: &Map<String, Value>, field: &str, problems: &mut Problems) {
    for (name, _) in args.iter().filter(|(_, value)| !value.is_string()) {
        problems.add("A custom_args value must be a string.", &format!("{field}.{name}"));
    }
    let bytes: usize = args.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum();
    if bytes > 10_000 {
        problems.add("custom_args may have at most 10000 bytes.", field);
    }
}

fn check_send_at(send_at: Option<i64>, now: DateTime<Utc>, field: &str, problems: &mut Problems) {
    if send_at.is_some_and(|at| at > now.timestamp() + 72 * 3_600) {
        problems.add("send_at may not be more than 72 hours in the future.", field);
    }
}
