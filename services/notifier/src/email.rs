//! Mails: rendered here, sent by the first provider that will have them.

pub(crate) mod letter;
mod order;
pub(crate) mod page;
pub(crate) mod provider;
pub(crate) mod sendgrid;
pub(crate) mod smtp;
pub(crate) mod standby;

use std::time::Instant;

use anyhow::anyhow;
use domain::clock::{Clock, SystemClock};
use domain::contact::EmailAddress;
use domain::ids::NotificationId;
use domain::jobs::email::{EmailMessage, SendEmail};
use queue::{Circuit, Handler, JobContext, JobError};
use store::Pool;
use store::notifications::{Category, Channel, Message};
use store::suppressions::AddressHash;
use store::vouchers::Cipher;
use telemetry::metrics::Histogram;

use crate::dates::written;
use crate::deadline::Deadline;
use crate::desk::{Desk, Tried, store_error};
use crate::email::letter::{Draft, Order, Shop};
use crate::email::page::Pages;
use crate::email::provider::{MailProvider, Outgoing};
use crate::email::standby::Standby;
use crate::outcome::{Outcome, guarded};
use crate::policy::Policy;
use crate::settings::Throttle;

/// A provider behind its circuit.
pub(crate) struct Way {
    pub(crate) provider: Box<dyn MailProvider>,
    pub(crate) circuit: Circuit,
}

/// The provider that steps in, and the watch over its use.
pub(crate) struct Second {
    pub(crate) way: Way,
    pub(crate) standby: Standby,
}

/// Who writes, in headers.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) address: EmailAddress,
    pub(crate) name: String,
    pub(crate) reply_to: Option<EmailAddress>,
}

/// Sends mails.
pub(crate) struct Emails {
    pub(crate) desk: Desk,
    pub(crate) pool: Pool,
    pub(crate) shop: Shop,
    pub(crate) sender: Sender,
    pub(crate) cipher: Cipher,
    /// Where one-click links lead, without a slash at its end.
    pub(crate) unsubscribe: Option<String>,
    pub(crate) throttle: Throttle,
    pub(crate) pages: Pages,
    pub(crate) rendering: Histogram<f64>,
    /// The second is asked when the first surely did not take the mail.
    pub(crate) first: Way,
    pub(crate) second: Option<Second>,
}

impl Handler<SendEmail> for Emails {
    async fn handle(&self, job: SendEmail, context: JobContext) -> queue::Outcome {
        let deadline = Deadline::of::<SendEmail>();
        let policy = Policy::from(&job.message);
        let order = self.order(&job).await?;
        let message = Message {
            event_key: job.event_key.clone(),
            channel: Channel::Email,
            template: job.message.template(),
            lang: job.lang,
            category: policy.category,
            user_id: job.user_id,
            recipient: job.to.masked(),
            address: AddressHash::from(&job.to),
            provider: self.first.provider.name(),
            queued_at: context.enqueued_at.unwrap_or_else(|| SystemClock.now()),
            correlation_id: telemetry::propagation::current_correlation(),
            newest_wins: policy.newest_wins,
            per_hour: self.throttle.per_hour,
            per_day: self.throttle.per_day,
        };
        self.desk
            .deliver(message, policy, context.replayed_at, deadline, async |id| {
                self.send(id, &job, policy, order.as_ref(), deadline).await
            })
            .await
    }
}

impl Emails {
    /// What an order confirmation tells beside its payload.
    async fn order(&self, job: &SendEmail) -> Result<Option<Order>, JobError> {
        let EmailMessage::OrderConfirmation { order_id } = &job.message else {
            return Ok(None);
        };
        let client = self.pool.get().await.map_err(store_error)?;
        let order = order::read(&client, *order_id, job.lang, &self.cipher).await.map_err(store_error)?;
        order.map(Some).ok_or_else(|| JobError::Fail(anyhow!("there is no order {order_id}")))
    }

    async fn send(
        &self,
        id: NotificationId,
        job: &SendEmail,
        policy: Policy,
        order: Option<&Order>,
        deadline: Deadline,
    ) -> Tried {
        let unsubscribe = self.unsubscribe_link(id, policy.category);
        let draft = Draft {
            shop: &self.shop,
            lang: job.lang,
            name: job.name.as_deref(),
            message: &job.message,
            order,
            unsubscribe_url: unsubscribe.as_deref(),
            now: &written(SystemClock.now(), job.lang),
        };
        let begin = Instant::now();
        let rendered = draft.render(&self.pages);
        self.rendering.record(begin.elapsed().as_secs_f64(), &[]);
        let letter = match rendered {
            Ok(letter) => letter,
            Err(error) => {
                let reason = format!("the mail cannot be rendered: {error}");
                let outcome = Outcome::Refused { reason, bad_address: false };
                return Tried { provider: self.first.provider.name(), outcome, parts: None };
            }
        };
        let mail = Outgoing {
            id,
            deadline,
            to: &job.to,
            to_name: job.name.as_deref(),
            from: &self.sender.address,
            from_name: &self.sender.name,
            reply_to: self.sender.reply_to.as_ref(),
            template: job.message.template(),
            category: policy.category.name(),
            unsubscribe_url: unsubscribe.as_deref(),
            letter: &letter,
        };
        self.ask(&mail).await
    }

    /// The second provider only when it is certain that the first did not take the mail, and will not within a minute; and when
    /// there is time left to hand it over.
    async fn ask(&self, mail: &Outgoing<'_>) -> Tried {
        let outcome = guarded(&self.first.circuit, self.first.provider.send(mail)).await;
        let first = Tried { provider: self.first.provider.name(), outcome, parts: None };
        let Some(Second { way, standby }) = &self.second else { return first };
        if matches!(first.outcome, Outcome::Accepted(_)) {
            standby.first_took();
        }
        if !first.outcome.surely_not_taken() || first.outcome.is_soon_over() || mail.deadline.is_over() {
            return first;
        }
        tracing::warn!(notification.id = %mail.id, first = first.outcome.name(), "mail goes to the second provider");
        let outcome = guarded(&way.circuit, way.provider.send(mail)).await;
        standby.used(&outcome);
        Tried { provider: way.provider.name(), outcome, parts: None }
    }

    /// Only what a shopper may do without carries a way out.
    fn unsubscribe_link(&self, id: NotificationId, category: Category) -> Option<String> {
        let base = self.unsubscribe.as_ref().filter(|_| category == Category::Reminder)?;
        Some(format!("{base}/unsubscribe/{id}"))
    }
}
