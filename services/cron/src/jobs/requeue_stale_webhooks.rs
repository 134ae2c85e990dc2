//! Queues webhooks again that were stored and never worked on: the list is the wake-up, Postgres is the truth.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::jobs::payment::ProcessPaymentEvent;
use domain::jobs::receipt::ProcessReceipts;
use store::outbox::{self, Lane};
use store::upkeep;

use crate::job::{Context, CronJob, Report};
use crate::plan::Plan;

pub(crate) struct RequeueStaleWebhooks;

/// Longer than a queue may be behind in an ordinary hour. Working twice on one webhook has no second effect.
const STALE_S: f64 = 300.0;
const AT_MOST: i64 = 1_000;

#[async_trait]
impl CronJob for RequeueStaleWebhooks {
    fn name(&self) -> &'static str {
        "requeue_stale_webhooks"
    }

    fn about(&self) -> &'static str {
        "Webhooks that nobody worked on for five minutes are queued again"
    }

    fn plan(&self) -> Plan {
        Plan::frequent("*/5 * * * *")
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        let mut client = context.client().await?;
        let transaction = context.begin(&mut client).await?;
        let stale = upkeep::stale_webhooks(&transaction, STALE_S, AT_MOST).await?;
        let mut queued: BTreeMap<&str, u32> = BTreeMap::new();
        for (id, source, _event) in &stale {
            // Once per hour and webhook, so that one that waits behind a long queue does not make it longer.
            let key = format!("stale:{id}:{}", context.scheduled_for.format("%Y%m%d%H"));
            let new = match source.as_str() {
                "razorpay" | "razorpayx" => {
                    let job = ProcessPaymentEvent { webhook_id: *id };
                    outbox::push_once(&transaction, &job, Lane::Normal, &key).await?
                }
                "sendgrid" | "msg91" => {
                    let job = ProcessReceipts { webhook_id: *id };
                    outbox::push_once(&transaction, &job, Lane::Normal, &key).await?
                }
                // A network's postback is a hint: the nightly sync brings what it told.
                _ => false,
            };
            *queued.entry(source).or_default() += u32::from(new);
        }
        context.commit(transaction).await?;
        let report = Report::new().count("stale", stale.len());
        Ok(queued.into_iter().fold(report, |report, (source, number)| report.count(source, number)))
    }
}
