//! Text messages: linted here, sent by MSG91.

mod dlt;
mod lint;
pub(crate) mod msg91;
pub(crate) mod registry;
mod segments;
mod values;
mod window;

use std::collections::HashMap;

use anyhow::anyhow;
use domain::clock::{Clock, SystemClock};
use domain::ids::NotificationId;
use domain::jobs::Language;
use domain::jobs::sms::SendSms;
use queue::{Circuit, Handler, JobContext, JobError};
use store::notifications::{Channel, Message};
use store::suppressions::AddressHash;

use crate::deadline::Deadline;
use crate::desk::{Desk, Tried};
use crate::outcome::guarded;
use crate::policy::Policy;
use crate::settings::Throttle;
use crate::sms::dlt::{Category, fill};
use crate::sms::lint::{Registered, check_values, cost};
use crate::sms::msg91::{Msg91, Outgoing};
use crate::sms::registry::Registry;

pub(crate) use crate::sms::lint::Rules;
pub(crate) use crate::sms::values::{TEMPLATES, order_number};
pub(crate) use crate::sms::window::Window;

/// MSG91's own ids of the texts, by template and language.
pub(crate) type FlowIds = HashMap<(&'static str, Language), String>;

/// Sends text messages.
pub(crate) struct Texts {
    pub(crate) desk: Desk,
    pub(crate) registry: Registry,
    pub(crate) rules: Rules,
    pub(crate) flows: FlowIds,
    pub(crate) window: Window,
    pub(crate) throttle: Throttle,
    pub(crate) msg91: Msg91,
    pub(crate) circuit: Circuit,
}

/// A message with its text and values.
pub(crate) struct Composed<'a> {
    text: &'a Registered,
    flow: &'a str,
    values: Vec<String>,
    lang: Language,
}

impl Composed<'_> {
    /// The text as the handset shows it.
    pub(crate) fn shown(&self) -> String {
        fill(&self.text.body, &self.values)
    }

    /// Parts that are billed.
    pub(crate) fn parts(&self) -> i16 {
        cost(self.text, &self.values)
    }
}

/// A message that cannot go out, in words for an operator; no value is repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComposeError {
    /// MSG91 has no text of ours for it.
    #[error("MSG91_TEMPLATE_ID_{0} is not set, so this text message cannot be sent")]
    NoFlow(String),
    /// Carriers would drop it.
    #[error("carriers would drop it: {0}")]
    Wrong(#[from] lint::Problem),
}

impl Texts {
    /// Fills the registered text in the wanted language, or in English where it is not registered with all ids.
    pub(crate) fn compose(&self, job: &SendSms) -> Result<Composed<'_>, ComposeError> {
        let template = job.message.template();
        let known = |lang| Some((lang, self.registry.exactly(template, lang)?, self.flows.get(&(template, lang))?));
        let (lang, text, flow) = known(job.lang)
            .or_else(|| known(Language::En))
            .ok_or_else(|| ComposeError::NoFlow(template.to_uppercase()))?;
        let values = values::of(&job.message, lang);
        match check_values(text, &values, &self.rules).into_iter().next() {
            Some(problem) => Err(problem.into()),
            None => Ok(Composed { text, flow, values, lang }),
        }
    }

    async fn send(&self, id: NotificationId, job: &SendSms, composed: &Composed<'_>, deadline: Deadline) -> Tried {
        let sms = Outgoing {
            id,
            deadline,
            to: job.to,
            template_id: composed.flow,
            sender: &composed.text.sender_id,
            values: &composed.values,
        };
        let outcome = guarded(&self.circuit, self.msg91.send(&sms)).await;
        Tried { provider: msg91::NAME, outcome, parts: Some(composed.parts()) }
    }
}

impl Handler<SendSms> for Texts {
    async fn handle(&self, job: SendSms, context: JobContext) -> queue::Outcome {
        let deadline = Deadline::of::<SendSms>();
        let policy = Policy::from(&job.message);
        let composed = match self.compose(&job) {
            Ok(composed) => composed,
            // A dead letter would keep the code.
            Err(error) if policy.secret => {
                tracing::error!(template = job.message.template(), %error, "text message refused");
                return Ok(());
            }
            Err(error) => return Err(JobError::Fail(error.into())),
        };
        let now = SystemClock.now();
        if composed.text.category == Category::Promotional
            && let Some(wait) = self.window.opens_in(now)
        {
            return Err(JobError::Defer(wait, anyhow!("advertising waits for the morning")));
        }
        let message = Message {
            event_key: job.event_key.clone(),
            channel: Channel::Sms,
            template: job.message.template(),
            lang: composed.lang,
            category: policy.category,
            user_id: job.user_id,
            recipient: job.to.masked(),
            address: AddressHash::from(job.to),
            provider: msg91::NAME,
            queued_at: context.enqueued_at.unwrap_or(now),
            correlation_id: telemetry::propagation::current_correlation(),
            newest_wins: policy.newest_wins,
            per_hour: self.throttle.per_hour,
            per_day: self.throttle.per_day,
        };
        self.desk
            .deliver(message, policy, context.replayed_at, deadline, async |id| {
                self.send(id, &job, &composed, deadline).await
            })
            .await
    }
}
