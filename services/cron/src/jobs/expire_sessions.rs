//! Deletes console sessions that ended.

use async_trait::async_trait;
use chrono::TimeDelta;

use crate::job::{Context, CronJob, Report};
use crate::plan::Plan;

pub(crate) struct ExpireSessions;

/// Longer than the console lets a session lie idle; it refuses such sessions itself.
const IDLE: TimeDelta = TimeDelta::hours(12);

#[async_trait]
impl CronJob for ExpireSessions {
    fn name(&self) -> &'static str {
        "expire_sessions"
    }

    fn about(&self) -> &'static str {
        "Console sessions that ended or lay idle are deleted"
    }

    fn plan(&self) -> Plan {
        Plan::frequent("15 * * * *")
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        let mut client = context.client().await?;
        let transaction = context.begin(&mut client).await?;
        let deleted = store::admin_users::delete_expired_sessions(&transaction, IDLE).await?;
        context.commit(transaction).await?;
        Ok(Report::new().count("deleted", deleted))
    }
}
