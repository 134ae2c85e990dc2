//! Brings stocks up to date: vouchers by their codes, everything else by the feeds of those who deliver it.

use anyhow::Context as _;
use async_trait::async_trait;
use outbound::Client;
use store::catalogue::{self, LowStock};
use store::inventory::{self, Applied, Told};

use crate::alarm::{self, Seen};
use crate::feed::{self, Source};
use crate::job::{Context, CronJob, Report};
use crate::plan::Plan;

pub(crate) struct SyncInventory;

#[async_trait]
impl CronJob for SyncInventory {
    fn name(&self) -> &'static str {
        "sync_inventory"
    }

    fn about(&self) -> &'static str {
        "Stocks are set to what feeds and voucher codes come to; what runs out is told"
    }

    fn plan(&self) -> Plan {
        Plan::frequent("5 * * * *")
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        let client = Client::new("inventory feed", &context.settings.outbound)?;
        let (mut broken, mut rows, mut changed) = (0, 0, 0);
        let sources = &context.settings.inventory;
        for source in sources {
            match take_in(context, source, &client).await? {
                Some((read, applied)) => {
                    rows += read;
                    changed += applied.changed;
                }
                None => broken += 1,
            }
        }
        let mut client = context.client().await?;
        let transaction = context.begin(&mut client).await?;
        changed += inventory::count_codes(&transaction).await?;
        let low = catalogue::low_stock(&transaction).await?;
        let troubles: Vec<_> = low
            .iter()
            .map(|LowStock { product_id, title, stock, low_stock_at }| {
                (product_id.to_string(), format!("{title}: {stock} left; told at {low_stock_at}."))
            })
            .collect();
        let kind = ("low-stock", "Products run out");
        let turn = alarm::set_all(&transaction, &context.settings, kind, &troubles, Seen::All).await?;
        context.commit(transaction).await?;
        let report = Report::new().count("sources", sources.len()).count("broken", broken).count("rows", rows);
        Ok(report.count("changed", changed).count("low", low.len()).count("newly_low", turn.began))
    }
}

/// Takes in one feed; `None` when it is not believed, and then nothing of it was.
async fn take_in(context: &Context, source: &Source, client: &Client) -> anyhow::Result<Option<(usize, Applied)>> {
    let key = format!("inventory-feed:{}", source.name);
    let title = format!("The stock feed {} is broken", source.name);
    let wrong = match feed::read(source, client).await {
        Ok(told) => match apply(context, source, &told, &key).await? {
            Ok(applied) => return Ok(Some((told.len(), applied))),
            Err(wrong) => wrong,
        },
        Err(error) => format!("{:#}", anyhow::Error::from(error)),
    };
    tracing::warn!(source = source.name, error.chain = wrong, "a stock feed is not believed");
    let mut client = context.client().await?;
    let transaction = context.begin(&mut client).await?;
    inventory::note_failure(&transaction, &source.name, &wrong).await?;
    let detail = format!("Nothing of it was taken in; stocks stay as they were. {wrong}");
    alarm::raise(&transaction, &context.settings, &key, &title, &detail).await?;
    context.commit(transaction).await?;
    Ok(None)
}

/// Sets the stocks that a feed tells, all in one transaction; or says why it is not believed.
async fn apply(
    context: &Context,
    source: &Source,
    told: &[Told],
    key: &str,
) -> anyhow::Result<Result<Applied, String>> {
    let mut client = context.client().await?;
    let transaction = context.begin(&mut client).await?;
    let applied = inventory::apply(&transaction, told).await.context("the feed could not be taken in")?;
    if applied.known == 0 {
        return Ok(Err(format!("none of its {} rows names a product of ours", told.len())));
    }
    if applied.known != applied.products {
        return Ok(Err("it names a product by its sku and by its id".to_owned()));
    }
    inventory::note_read(&transaction, &source.name, i32::try_from(told.len())?).await?;
    alarm::settle(&transaction, &context.settings, key).await?;
    context.commit(transaction).await?;
    Ok(Ok(applied))
}
