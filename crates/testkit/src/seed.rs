//! Clicks as `cashback-sync` writes them, and much data, made in the database itself.

use domain::jobs::click::RecordClick;
use store::clicks::Carried;
use tokio_postgres::Client;

/// Writes clicks that belong to nothing; gives the number of new ones.
pub async fn clicks<'a>(client: &mut store::Client, clicks: impl IntoIterator<Item = &'a RecordClick>) -> u64 {
    let nothing = Carried::default();
    let clicks: Vec<_> = clicks.into_iter().map(|click| (click, &nothing)).collect();
    store::clicks::record(client, &clicks).await.unwrap()
}

/// Adds so many shoppers with so many ledger entries each, and the balances that they leave.
pub async fn entries(client: &Client, shoppers: usize, each: usize) {
    let sql = format!(
        "CREATE TEMP TABLE IF NOT EXISTS fresh (id uuid);
         TRUNCATE fresh;
         WITH added AS (INSERT INTO users (id, name, email, lang) SELECT gen_random_uuid(), 'n', gen_random_uuid() || '@x.in', 'en'
                        FROM generate_series(1, {shoppers}) RETURNING id)
         INSERT INTO fresh SELECT id FROM added;
         INSERT INTO wallet_transactions (id, debit_account, credit_account, amount_paise, kind, idempotency_key, input_hash, user_id,
                                          balance_after_paise, reason)
         SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', id, 100 + n, 'cashback_credit', id || ':' || n,
                transfer_hash('00000000-0000-0000-0000-000000000001', id, 100 + n, 'cashback_credit'), id,
                sum(100 + n) OVER (PARTITION BY id ORDER BY n), '{{}}'
         FROM fresh, generate_series(1, {each}) n;
         UPDATE wallet_balances SET balance_paise = (SELECT sum(100 + n) FROM generate_series(1, {each}) n)
         WHERE user_id IN (SELECT id FROM fresh);
         ANALYZE"
    );
    client.batch_execute(&sql).await.unwrap();
}

/// Adds so many offers of one merchant.
pub async fn offers(client: &Client, count: usize) {
    let sql = format!(
        "INSERT INTO merchants (id, name, network, campaign_id, tracking_template, allowed_hosts, landing_url, cashback_bps)
         VALUES ('00000000-0000-7000-8000-000000000001', 'm', 'admitad', '1', 'https://ad.admitad.com/g/HASH/?ulp={{url}}&subid={{click_id}}&subid4={{click_id}}', '{{shop.example}}', 'https://shop.example', 500)
         ON CONFLICT DO NOTHING;
         INSERT INTO offers (id, merchant_id, title, target_url) SELECT gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'o', 'https://shop.example/p'
         FROM generate_series(1, {count});
         ANALYZE"
    );
    client.batch_execute(&sql).await.unwrap();
}
