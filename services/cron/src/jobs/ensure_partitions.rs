//! Makes the partitions of the months to come.

use async_trait::async_trait;
use store::upkeep;

use crate::job::{Context, CronJob, Report};
use crate::plan::Plan;

pub(crate) struct EnsurePartitions;

/// From last month on: three months lie ahead.
const MONTHS: i32 = 5;

#[async_trait]
impl CronJob for EnsurePartitions {
    fn name(&self) -> &'static str {
        "ensure_partitions"
    }

    fn about(&self) -> &'static str {
        "Tables by month have their partitions for three months ahead"
    }

    fn plan(&self) -> Plan {
        Plan::daily("30 1 * * *")
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        let mut client = context.client().await?;
        let transaction = context.begin(&mut client).await?;
        let tables = upkeep::partitioned_tables(&transaction).await?;
        let mut made = 0;
        for table in &tables {
            made += upkeep::ensure_partitions(&transaction, table, MONTHS).await?;
        }
        context.commit(transaction).await?;
        Ok(Report::new().count("tables", tables.len()).count("made", made))
    }
}
