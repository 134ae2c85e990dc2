//! The inbox: mails and SMS as their receivers would see them.

use crate::provider::Provider;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::sync::Arc;

/// The way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Channel {
    Email,
    Sms,
}

impl Channel {
    /// The name in the control API and on pages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }
}

/// A message to one receiver.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) channel: Channel,
    pub(crate) provider: Provider,
    /// SendGrid's `X-Message-Id`, MSG91's request id.
    pub(crate) provider_id: String,
    pub(crate) to: String,
    pub(crate) to_name: Option<String>,
    pub(crate) from: String,
    pub(crate) subject: Option<String>,
    pub(crate) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) html: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) categories: Vec<String>,
    /// `custom_args` of a mail, template variables and `CRQID` of an SMS.
    pub(crate) args: Map<String, Value>,
    pub(crate) headers: Map<String, Value>,
    /// Nothing would have been sent.
    pub(crate) sandbox: bool,
}

/// The last messages.
#[derive(Debug)]
pub(crate) struct Inbox {
    limit: usize,
    next: u64,
    messages: VecDeque<Arc<Message>>,
}

/// Which messages are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    pub(crate) to: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) category: Option<String>,
    /// `email` or `sms`.
    pub(crate) channel: Option<String>,
    /// Only messages with a higher id.
    pub(crate) after: Option<u64>,
    /// A text that subject, text, HTML or an argument contains.
    pub(crate) contains: Option<String>,
}

impl Inbox {
    /// An inbox of the last `limit` messages.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, next: 1, messages: VecDeque::new() }
    }

    /// Takes a message in and gives it its number.
    pub(crate) fn deliver(&mut self, mut message: Message) -> Arc<Message> {
        message.id = self.next;
        self.next += 1;
        let message = Arc::new(message);
        self.messages.push_back(Arc::clone(&message));
        while self.messages.len() > self.limit {
            self.messages.pop_front();
        }
        message
    }

    /// How many messages have come since the start, kept or not.
    pub(crate) fn received(&self) -> u64 {
        self.next - 1
    }

    /// A message by its number.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<Message>> {
        self.messages.iter().rev().find(|m| m.id == id).map(Arc::clone)
    }

    /// Messages that match, newest first.
    pub(crate) fn matching(&self, filter: &Filter) -> Vec<Arc<Message>> {
        self.messages.iter().rev().filter(|m| filter.matches(m)).map(Arc::clone).collect()
    }
}

impl Filter {
    fn matches(&self, message: &Message) -> bool {
        // A form sends its empty fields too: they ask for nothing.
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_deref().is_none_or(|w| w.is_empty() || w.eq_ignore_ascii_case(value))
        };
        is(&self.to, &message.to)
            && is(&self.channel, message.channel.name())
            && self.after.is_none_or(|after| message.id > after)
            && self.template.as_deref().is_none_or(|t| message.template.as_deref() == Some(t))
            && self.category.as_deref().is_none_or(|c| message.categories.iter().any(|have| have == c))
            && self.contains.as_deref().is_none_or(|part| message.contains(part))
    }
}

impl Message {
    fn contains(&self, part: &str) -> bool {
        [&self.subject, &self.text, &self.html].into_iter().flatten().any(|t| t.contains(part))
            || self.args.values().any(|v| v.as_str().is_some_and(|v| v.contains(part)))
    }
}
