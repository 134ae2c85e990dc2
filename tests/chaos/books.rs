//! What was accepted against what was done.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use e2e::{Sent, System};
use store::Client;

/// How long what was accepted may take after the fault's end.
const PATIENCE: Duration = Duration::from_secs(180);

/// One line of the report.
pub(crate) struct Counts {
    clicks: usize,
    not_redirected: usize,
    payments: usize,
    /// Mails of which nobody knows yet whether the provider took them.
    in_doubt: usize,
    lost: Vec<String>,
    doubled: Vec<String>,
    all_done: Option<Duration>,
}

/// What was accepted and is not there: in Postgres, or of mails at the provider.
async fn missing(system: &System, sent: &Sent) -> Vec<String> {
    let mut missing = e2e::unfinished(system, sent).await;
    // The inbox is a large page: it is read when there is a chance that all is in it.
    if missing.is_empty() {
        let client = system.client().await;
        let (mails, in_doubt) = (mails(system, &client).await, in_doubt(&client).await);
        let absent = sent.payments.iter().filter(|order| !mails.contains_key(*order) && !in_doubt.contains(*order));
        missing.extend(absent.map(|order| format!("mail of {order}")));
    }
    missing
}

/// Orders whose mail had been asked for when its sender died, or that the provider never answered: whether it was taken, a report
/// will say, and until then it is not sent again.
async fn in_doubt(client: &Client) -> HashSet<String> {
    let sql = "SELECT provider_order_id FROM orders
               JOIN notifications ON event_key LIKE '%' || orders.id || '%' AND channel = 'email'
               WHERE provider_order_id LIKE 'order_chaos%' AND notifications.status IN ('sending', 'unknown')";
    texts(client, sql, &[]).await.into_iter().collect()
}

/// Effects that happened more than once.
async fn doubled(system: &System, sent: &Sent) -> Vec<String> {
    let client = system.client().await;
    let sql = "SELECT provider_order_id FROM orders JOIN order_items ON order_id = orders.id
               JOIN voucher_codes ON order_item_id = order_items.id
               WHERE provider_order_id = ANY($1) GROUP BY provider_order_id HAVING count(*) > 1";
    let mut doubled = texts(&client, sql, &[&sent.payments]).await;
    let paid: HashSet<&String> = sent.payments.iter().collect();
    let mails = mails(system, &client).await;
    doubled
        .extend(mails.into_iter().filter(|(order, mails)| *mails > 1 && paid.contains(order)).map(|(order, _)| order));
    doubled
}

/// How many mails each order's shopper has, at the provider.
async fn mails(system: &System, client: &Client) -> HashMap<String, usize> {
    let sql = "SELECT notifications.id::text, provider_order_id FROM orders
               JOIN notifications ON event_key LIKE '%' || orders.id || '%' AND channel = 'email'
               WHERE provider_order_id LIKE 'order_chaos%' AND orders.status = 'fulfilled'";
    let rows = client.query(sql, &[]).await.unwrap();
    let orders: HashMap<String, String> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let inbox = system.sim.get(&format!("/_sim/inbox.json?to={}", system.cast.email)).await;
    let mut counts = HashMap::new();
    for mail in inbox["messages"].as_array().expect("messages") {
        if let Some(order) = mail["args"]["notification_id"].as_str().and_then(|id| orders.get(id)) {
            *counts.entry(order.clone()).or_default() += 1;
        }
    }
    counts
}

async fn texts(client: &Client, sql: &str, values: &[&(dyn tokio_postgres::types::ToSql + Sync)]) -> Vec<String> {
    client.query(sql, values).await.unwrap().iter().map(|row| row.get(0)).collect()
}

impl Counts {
    /// Waits until all is done, or time is up; what is missing then is lost.
    pub(crate) async fn settle(system: &System, sent: Sent, mended: Instant) -> Self {
        let mut lost;
        let all_done = loop {
            lost = missing(system, &sent).await;
            if lost.is_empty() {
                break Some(mended.elapsed());
            }
            if mended.elapsed() > PATIENCE {
                break None;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        };
        let doubled = doubled(system, &sent).await;
        let doubtful = in_doubt(&system.client().await).await;
        let in_doubt = sent.payments.iter().filter(|order| doubtful.contains(*order)).count();
        let (clicks, payments) = (sent.clicks.len(), sent.payments.len());
        Self { clicks, not_redirected: sent.not_redirected, payments, in_doubt, lost, doubled, all_done }
    }

    pub(crate) fn header() -> String {
        format!(
            "{:42} {:>7} {:>8} {:>5} {:>8} {:>12} {:>5} {:>8} {:>9}",
            "fault", "clicks", "refused", "paid", "done", "all done in", "lost", "doubled", "in doubt"
        )
    }

    pub(crate) fn line(&self, name: &str) -> String {
        let accepted = self.clicks + 2 * self.payments;
        let all_done = self.all_done.map_or_else(|| "never".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()));
        let mut line = format!(
            "{name:42} {:>7} {:>8} {:>5} {:>8} {all_done:>12} {:>5} {:>8} {:>9}",
            self.clicks,
            self.not_redirected,
            self.payments,
            accepted - self.lost.len(),
            self.lost.len(),
            self.doubled.len(),
            self.in_doubt
        );
        for (what, those) in [("lost", &self.lost), ("doubled", &self.doubled)] {
            for one in those.iter().take(5) {
                line.push_str(&format!("\n    {what}: {one}"));
            }
        }
        line
    }

    pub(crate) fn nothing_is_missing(&self) -> bool {
        self.lost.is_empty() && self.doubled.is_empty()
    }
}
