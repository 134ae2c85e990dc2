//! Orders that wait for their payment, and what became of those that were paid.

use std::sync::{Arc, Mutex};

use domain::click::click_of;
use domain::ids::{ClickId, OrderId, ProductId, VoucherCodeId};

use crate::secrets::sealed;
use crate::system::System;
use crate::traffic::Sent;

/// The orders that payments can be reported for. Cheap to clone: all clones hand out the same ones.
#[derive(Clone)]
pub struct Orders(Arc<Mutex<std::vec::IntoIter<String>>>);

impl Orders {
    /// Puts a product, codes and `count` unpaid orders there.
    pub async fn open(system: &System, count: usize) -> Self {
        let (client, product, shopper) = (system.client().await, ProductId::generate(), system.cast.shopper);
        let sql = "INSERT INTO products (id, title, face_value_paise, price_paise, kind) VALUES ($1, 'Chaos voucher', 50000, 48000, 'voucher')";
        client.execute(sql, &[&product]).await.unwrap();
        let orders: Vec<_> = (0..count).map(|_| OrderId::generate()).collect();
        let names: Vec<_> = (0..count).map(|number| format!("order_chaos{number:06}")).collect();
        let sql = "INSERT INTO orders (id, user_id, total_paise, provider_order_id)
                   SELECT id, $1, 48000, name FROM unnest($2::uuid[], $3::text[]) AS new (id, name)";
        client.execute(sql, &[&shopper, &orders, &names]).await.unwrap();
        let sql = "INSERT INTO order_items (id, order_id, product_id, quantity, unit_price_paise)
                   SELECT gen_random_uuid(), id, $1, 1, 48000 FROM unnest($2::uuid[]) AS new (id)";
        client.execute(sql, &[&product, &orders]).await.unwrap();
        let codes: Vec<_> = (0..count).map(|_| VoucherCodeId::generate()).collect();
        let secret: Vec<_> = codes.iter().map(|code| sealed(*code, "CHAOS-CODE")).collect();
        let sql = "INSERT INTO voucher_codes (id, product_id, sealed)
                   SELECT id, $1, sealed FROM unnest($2::uuid[], $3::bytea[]) AS new (id, sealed)";
        client.execute(sql, &[&product, &codes, &secret]).await.unwrap();
        Self(Arc::new(Mutex::new(names.into_iter())))
    }

    /// One that nobody has paid yet.
    #[must_use]
    pub fn next(&self) -> Option<String> {
        self.0.lock().unwrap().next()
    }
}

/// What was accepted and is not yet done in Postgres: clicks, fulfilled orders, mails that are still to be sent.
pub async fn unfinished(system: &System, sent: &Sent) -> Vec<String> {
    let client = system.client().await;
    let clicks: Vec<ClickId> = sent.clicks.iter().map(|sub_id| click_of(sub_id).expect("our sub-id")).collect();
    let sql = "SELECT click::text FROM unnest($1::uuid[]) AS click
               WHERE NOT EXISTS (SELECT FROM affiliate_clicks WHERE id = click)";
    let mut rows = client.query(sql, &[&clicks]).await.unwrap();
    let sql = "SELECT provider_order_id FROM orders WHERE provider_order_id = ANY($1) AND status <> 'fulfilled'";
    rows.extend(client.query(sql, &[&sent.payments]).await.unwrap());
    let sql = "SELECT event_key FROM notifications WHERE channel = 'email' AND (status = 'retry' OR status = 'sending' AND claimed_at > now() - interval '10 seconds')";
    rows.extend(client.query(sql, &[]).await.unwrap());
    rows.iter().map(|row| row.get(0)).collect()
}
