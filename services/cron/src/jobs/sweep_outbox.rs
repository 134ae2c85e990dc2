//! Looks after the outbox: tells when promises wait too long, deletes old ones that were kept.

use async_trait::async_trait;
use store::outbox;

use crate::alarm;
use crate::job::{Context, CronJob, Report};
use crate::plan::Plan;

pub(crate) struct SweepOutbox;

const KEPT_DAYS: i32 = 7;
const LATE_S: i64 = 60;

#[async_trait]
impl CronJob for SweepOutbox {
    fn name(&self) -> &'static str {
        "sweep_outbox"
    }

    fn about(&self) -> &'static str {
        "Promised jobs that wait for more than a minute are told; old rows go"
    }

    fn plan(&self) -> Plan {
        Plan::frequent("*/5 * * * *")
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        let mut client = context.client().await?;
        let transaction = context.begin(&mut client).await?;
        let deleted = outbox::delete_relayed(&transaction, KEPT_DAYS).await?;
        let (waiting, oldest) = outbox::lag(&transaction).await?;
        let age = oldest.map_or(0, |oldest| (context.now - oldest).num_seconds());
        let detail = format!("{waiting} promised jobs wait to be pushed, the oldest for {age} s. Is Redis reachable?");
        let trouble = (age > LATE_S).then_some(("Promised jobs are not pushed", detail.as_str()));
        alarm::set(&transaction, &context.settings, "outbox-late", trouble).await?;
        context.commit(transaction).await?;
        Ok(Report::new().count("waiting", waiting).count("oldest_age_s", age).count("deleted", deleted))
    }
}
