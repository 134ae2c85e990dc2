//! Writes to shoppers whose cashback has been pending for long: one digest each.

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::ids::UserId;
use domain::jobs::email::{EmailMessage, SendEmail};
use store::outbox::{self, Lane};
use store::users::{self, LongPending};

use crate::job::{Context, CronJob, Report};
use crate::plan::Plan;

pub(crate) struct RemindPending;

/// A merchant usually confirms or declines within this many days.
const PENDING_DAYS: i64 = 30;
/// Shoppers in one transaction.
const AT_ONCE: usize = 1_000;

#[async_trait]
impl CronJob for RemindPending {
    fn name(&self) -> &'static str {
        "remind_pending"
    }

    fn about(&self) -> &'static str {
        "Shoppers whose cashback is pending for more than 30 days get one mail about all of it"
    }

    fn plan(&self) -> Plan {
        Plan::daily("0 10 * * 1")
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        let before = context.scheduled_for - TimeDelta::days(PENDING_DAYS);
        let (mut shoppers, mut promised, mut purchases) = (0, 0_u64, 0);
        let mut last: Option<UserId> = None;
        loop {
            let mut client = context.client().await?;
            let transaction = context.begin(&mut client).await?;
            let found = users::long_pending(&transaction, before, last, AT_ONCE).await?;
            for pending in &found {
                promised += u64::from(remind(context, &transaction, pending).await?);
                purchases += pending.purchases;
            }
            context.commit(transaction).await?;
            shoppers += found.len();
            match found.last() {
                Some(pending) if found.len() == AT_ONCE => last = Some(pending.user_id),
                _ => break,
            }
        }
        Ok(Report::new().count("shoppers", shoppers).count("purchases", purchases).count("mails", promised))
    }
}

/// Promises the mail; says whether it was not promised before, as by a run that was killed.
async fn remind(
    context: &Context,
    transaction: &store::Transaction<'_>,
    pending: &LongPending,
) -> anyhow::Result<bool> {
    let LongPending { user_id, name, email, lang, amount, purchases } = pending;
    // Of one nominal time there is one mail a shopper, however often its run is tried.
    let key = format!("pending-reminder:{user_id}:{}", context.scheduled_for.format("%Y%m%dT%H%M%S"));
    let mail = SendEmail {
        event_key: key.parse()?,
        to: email.clone(),
        name: Some(name.clone()),
        user_id: Some(*user_id),
        lang: *lang,
        message: EmailMessage::PendingReminder { amount: *amount, purchases: u32::try_from(*purchases)? },
    };
    Ok(outbox::push_once(transaction, &mail, Lane::Normal, &key).await?)
}
