//! What was accepted against what was done.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::click::click_of;
use domain::ids::{ClickId, OrderId, ProductId, VoucherCodeId};
use e2e::System;
use store::Client;

use crate::traffic::Sent;

/// Orders that wait for their payment.
const ORDERS: usize = 12_000;
/// How long what was accepted may take after the fault's end.
const PATIENCE: Duration = Duration::from_secs(180);

/// The orders that payments can be reported for.
pub(crate) struct Books {
    orders: Arc<Mutex<std::vec::IntoIter<String>>>,
}

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

impl Books {
    /// Puts a product, codes and unpaid orders there.
    pub(crate) async fn open(system: &System) -> Self {
        let (client, product) = (system.client().await, ProductId::generate());
        let run = async |sql: &str, values: &[&(dyn tokio_postgres::types::ToSql + Sync)]| {
            client.execute(sql, values).await.unwrap();
        };
        run(
            "INSERT INTO products (id, title, face_value_paise, price_paise, kind) VALUES ($1, 'Chaos voucher', 50000, 48000, 'voucher')",
            &[&product],
        )
        .await;
        let orders: Vec<_> = (0..ORDERS).map(|_| OrderId::generate()).collect();
        let names: Vec<_> = (0..ORDERS).map(|number| format!("order_chaos{number:06}")).collect();
        run(
            "INSERT INTO orders (id, user_id, total_paise, provider_order_id)
             SELECT id, $1, 48000, name FROM unnest($2::uuid[], $3::text[]) AS new (id, name)",
            &[&system.cast.shopper, &orders, &names],
        )
        .await;
        run(
            "INSERT INTO order_items (id, order_id, product_id, quantity, unit_price_paise)
             SELECT gen_random_uuid(), id, $1, 1, 48000 FROM unnest($2::uuid[]) AS new (id)",
            &[&product, &orders],
        )
        .await;
        let codes: Vec<_> = (0..ORDERS).map(|_| VoucherCodeId::generate()).collect();
        let sealed: Vec<_> = codes.iter().map(|code| e2e::sealed(*code, "CHAOS-CODE")).collect();
        run(
            "INSERT INTO voucher_codes (id, product_id, sealed)
             SELECT id, $1, sealed FROM unnest($2::uuid[], $3::bytea[]) AS new (id, sealed)",
            &[&product, &codes, &sealed],
        )
        .await;
        Self { orders: Arc::new(Mutex::new(names.into_iter())) }
    }

    /// Those that nobody has paid yet.
    pub(crate) fn orders(&self) -> Arc<Mutex<std::vec::IntoIter<String>>> {
        self.orders.clone()
    }

    /// Waits until all is done, or time is up; what is missing then is lost.
    pub(crate) async fn settle(&self, system: &System, sent: Sent, mended: Instant) -> Counts {
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
        Counts { clicks, not_redirected: sent.not_redirected, payments, in_doubt, lost, doubled, all_done }
    }
}

/// What was accepted and is not there: clicks in Postgres, fulfilled orders, mails at the provider.
async fn missing(system: &System, sent: &Sent) -> Vec<String> {
    let client = system.client().await;
    let clicks: Vec<ClickId> = sent.clicks.iter().map(|sub_id| click_of(sub_id).expect("our sub-id")).collect();
    let sql = "SELECT click::text FROM unnest($1::uuid[]) AS click
               WHERE NOT EXISTS (SELECT FROM affiliate_clicks WHERE id = click)";
    let mut missing = texts(&client, sql, &[&clicks]).await;
    let sql = "SELECT provider_order_id FROM orders WHERE provider_order_id = ANY($1) AND status <> 'fulfilled'";
    missing.extend(texts(&client, sql, &[&sent.payments]).await);
    let sql = "SELECT event_key FROM notifications WHERE channel = 'email' AND (status = 'retry' OR status = 'sending' AND claimed_at > now() - interval '10 seconds')";
    missing.extend(texts(&client, sql, &[]).await);
    // The inbox is a large page: it is read when there is a chance that all is in it.
    if missing.is_empty() {
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
