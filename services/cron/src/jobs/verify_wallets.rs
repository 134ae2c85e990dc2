//! Compares every wallet's balance with the sum of its entries. Reads in one statement, so that it sees one moment and
//! nobody waits for it.

use anyhow::Context as _;
use async_trait::async_trait;
use store::{drifts, wallet};

use crate::alarm::{self, Seen};
use crate::job::{Context, CronJob, Report};
use crate::plan::Plan;

pub(crate) struct VerifyWallets;

/// More than this many wrong wallets are one trouble, and not one each: the rest is found once these are repaired.
const AT_MOST: i64 = 10_000;

#[async_trait]
impl CronJob for VerifyWallets {
    fn name(&self) -> &'static str {
        "verify_wallets"
    }

    fn about(&self) -> &'static str {
        "Balances are compared with the sums of their entries; a wallet that drifts pays nothing out"
    }

    fn plan(&self) -> Plan {
        Plan::daily("0 3 * * *")
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        let mut client = context.client().await?;
        let found = wallet::drift(&client, AT_MOST).await.context("the wallets could not be compared")?;
        let transaction = context.begin(&mut client).await?;
        drifts::note(&transaction, &found).await?;
        let users: Vec<_> = found.iter().map(|drift| drift.user_id).collect();
        let seen = if i64::try_from(found.len()).unwrap_or(i64::MAX) < AT_MOST { Seen::All } else { Seen::Some };
        let mut report = Report::new().count("drifting", found.len());
        if seen == Seen::All {
            report = report.count("ended", drifts::end_others(&transaction, &users).await?.len());
        }
        let troubles: Vec<_> = found
            .iter()
            .map(|drift| {
                let wallet::Drift { user_id, balance, entries } = drift;
                let text = format!("The wallet of {user_id} holds {balance}; its entries come to {entries}. Its withdrawals are blocked.");
                (user_id.to_string(), text)
            })
            .collect();
        let kind = ("wallet-drift", "Wallets do not hold what their entries come to");
        let turn = alarm::set_all(&transaction, &context.settings, kind, &troubles, seen).await?;
        context.commit(transaction).await?;
        Ok(report.count("new", turn.began))
    }
}
