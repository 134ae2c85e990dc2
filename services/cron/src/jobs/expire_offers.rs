//! Ends offers whose time is over.

use anyhow::Context as _;
use async_trait::async_trait;
use kv::redis::AsyncCommands as _;
use kv::{keys, tried};

use crate::job::{Context, CronJob, Report};
use crate::plan::Plan;

pub(crate) struct ExpireOffers;

#[async_trait]
impl CronJob for ExpireOffers {
    fn name(&self) -> &'static str {
        "expire_offers"
    }

    fn about(&self) -> &'static str {
        "Offers whose time is over become inactive; caches forget them"
    }

    fn plan(&self) -> Plan {
        Plan::daily("0 2 * * *")
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        let mut client = context.client().await?;
        let transaction = context.begin(&mut client).await?;
        let expired = store::upkeep::expire_offers(&transaction, context.now).await?;
        context.commit(transaction).await?;
        // The commit told every redirector; the shared cache would forget by itself within five minutes.
        if !context.dry_run {
            let keys: Vec<_> = expired.iter().map(|offer| keys::redirect_url(*offer)).collect();
            for keys in keys.chunks(500) {
                let forgotten: Result<u64, _> = context.kv.commands().del(keys).await;
                forgotten.map_err(tried("forgetting offers")).context("the cache still has offers that expired")?;
            }
        }
        Ok(Report::new().count("expired", expired.len()))
    }
}
