//! Asks for pulls of the networks: what changed since the last time each night, and the tails in which networks correct
//! old transactions without saying when.

use async_trait::async_trait;
use domain::jobs::cashback::{SyncNetwork, SyncWindow};
use store::outbox::{self, Lane};

use crate::job::{Context, CronJob, Report};
use crate::plan::Plan;

pub(crate) struct SyncNetworks {
    name: &'static str,
    about: &'static str,
    schedule: &'static str,
    window: SyncWindow,
}

pub(crate) const SINCE_LAST_TIME: SyncNetworks = SyncNetworks {
    name: "sync_networks",
    about: "Each network is asked for what changed since the last time",
    schedule: "0 2 * * *",
    window: SyncWindow::SinceCursor,
};

pub(crate) const LAST_MONTH: SyncNetworks = SyncNetworks {
    name: "sync_networks_weekly",
    about: "Each network is asked again for the last 45 days",
    schedule: "30 2 * * 0",
    window: SyncWindow::DaysBack { nearest: 0, farthest: 45 },
};

pub(crate) const LAST_QUARTER: SyncNetworks = SyncNetworks {
    name: "sync_networks_monthly",
    about: "Each network is asked again for the days from 45 to 180 ago",
    schedule: "0 4 1 * *",
    window: SyncWindow::DaysBack { nearest: 45, farthest: 180 },
};

#[async_trait]
impl CronJob for SyncNetworks {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn plan(&self) -> Plan {
        Plan::daily(self.schedule)
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        let mut client = context.client().await?;
        let transaction = context.begin(&mut client).await?;
        let mut enqueued = 0_u32;
        for network in &context.settings.networks {
            let job = SyncNetwork { network: *network, window: self.window, requested_by: "cron".to_owned() };
            let key = format!("{}:{network}:{}", self.name, context.scheduled_for.timestamp());
            enqueued += u32::from(outbox::push_once(&transaction, &job, Lane::Normal, &key).await?);
        }
        context.commit(transaction).await?;
        Ok(Report::new().count("networks", context.settings.networks.len()).count("enqueued", enqueued))
    }
}
