use domain::contact::EmailAddress;
use domain::ids::UserId;
use domain::jobs::Language;
use serde_json::{Value, json};
use store::notifications::{Category, Channel};
use store::suppressions;

use crate::stage::Stage;

/// Purchases of a shopper, each with its state and its age in days, of ₹10 each.
async fn purchases(stage: &Stage, user: UserId, of: &[(&str, i32)]) {
    for (status, days) in of {
        let sql = "WITH m AS (INSERT INTO merchants (id, name, network, campaign_id, tracking_template, allowed_hosts, landing_url, cashback_bps)
                              VALUES (gen_random_uuid(), 'shop', 'admitad', gen_random_uuid()::text, 'https://t.example/?s={click_id}',
                                      '{shop.example}', 'https://shop.example', 500) RETURNING id),
                        t AS (INSERT INTO affiliate_transactions
                                  (id, network, external_transaction_id, merchant_id, status, raw_status, sale_paise, commission_paise, currency, funded, occurred_at, observed_at, raw)
                              SELECT gen_random_uuid(), 'admitad', gen_random_uuid()::text, m.id, 'pending', 'pending', 20000, 2000,
                                     'INR', false, now() - make_interval(days => $3), now(), '{}' FROM m RETURNING id, merchant_id, occurred_at)
                   INSERT INTO cashback_events (id, transaction_id, user_id, click_id, merchant_id, amount_paise, credited_paise, status, rate_bps,
                                                rule_version, occurred_at)
                   SELECT gen_random_uuid(), t.id, $1, gen_random_uuid(), t.merchant_id, 1000,
                          CASE $2 WHEN 'confirmed' THEN 1000 ELSE 0 END, $2, 500, 1, t.occurred_at FROM t";
        stage.execute(sql, &[&user, status, days]).await;
    }
}

async fn shopper(stage: &Stage, name: &str, lang: Language) -> (UserId, EmailAddress) {
    let (id, email) = (UserId::generate(), format!("{name}@Example.in").parse::<EmailAddress>().unwrap());
    store::users::insert(&stage.client().await, id, name, Some(&email), None, lang).await.unwrap();
    (id, email)
}

async fn mails(stage: &Stage) -> Vec<Value> {
    let sql = "SELECT payload FROM outbox WHERE kind = 'email.send' ORDER BY payload ->> 'name'";
    stage.client().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn one_digest_in_the_shoppers_language_and_none_for_who_does_not_want_it() {
    let stage = Stage::set().await;
    let (asha, _) = shopper(&stage, "asha", Language::Hi).await;
    let (ravi, _) = shopper(&stage, "ravi", Language::En).await;
    let (mina, address) = shopper(&stage, "mina", Language::En).await;
    purchases(&stage, asha, &[("pending", 31), ("pending", 200), ("pending", 29), ("confirmed", 90), ("declined", 90)])
        .await;
    purchases(&stage, ravi, &[("pending", 29), ("confirmed", 60)]).await;
    purchases(&stage, mina, &[("pending", 60)]).await;
    let hash = (&address).into();
    let client = stage.client().await;
    suppressions::insert(&client, Channel::Email, &hash, Some(Category::Reminder), "unsubscribed").await.unwrap();

    assert_eq!(stage.run("remind_pending").await, json!({"shoppers": 1, "purchases": 2, "mails": 1}));
    let sent = mails(&stage).await;
    assert_eq!(sent.len(), 1);
    assert_eq!((&sent[0]["name"], &sent[0]["lang"]), (&json!("asha"), &json!("hi")));
    assert_eq!(sent[0]["message"], json!({"template": "pending_reminder", "amount": 2000, "purchases": 2}));
    // The same nominal time is not run twice, by hand neither.
    let sql = "SELECT to_char(scheduled_for AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM cron_runs";
    let at: String = client.query_one(sql, &[]).await.unwrap().get(0);
    assert!(!stage.say(&["run", "remind_pending", "--at", &at]).0);
    assert_eq!(mails(&stage).await.len(), 1);
}

#[tokio::test]
async fn a_run_that_is_killed_between_two_batches_writes_to_everybody_once() {
    let stage = Stage::set().await;
    let (first, _) = shopper(&stage, "first", Language::En).await;
    purchases(&stage, first, &[("pending", 400)]).await;
    // As many shoppers as it takes for three batches, each with one purchase like the first's.
    stage
        .batch(
            "INSERT INTO users (id, name, email, lang) SELECT gen_random_uuid(), 'n', n || '@example.in', 'en' FROM generate_series(1, 2199) n;
             INSERT INTO affiliate_transactions SELECT (jsonb_populate_record(t, jsonb_build_object('id', u.id, 'external_transaction_id', u.id))).*
             FROM affiliate_transactions t, users u WHERE u.name = 'n';
             INSERT INTO cashback_events SELECT (jsonb_populate_record(e, jsonb_build_object('id', u.id, 'transaction_id', u.id, 'user_id', u.id))).*
             FROM cashback_events e, users u WHERE u.name = 'n'",
        )
        .await;
    // A mail of the second batch waits for this row, when the first batch is committed.
    let lock = "INSERT INTO outbox (id, queue, kind, payload, dedupe_key)
                SELECT gen_random_uuid(), 'email', 'x', '{}', 'pending-reminder:' || id || ':20260105T043000'
                FROM users ORDER BY id OFFSET 1500 LIMIT 1";
    stage.kill_in_the_middle(&["remind_pending", "--at", "2026-01-05T10:00"], lock).await;
    assert_eq!(mails(&stage).await.len(), 1000);
    assert_eq!(stage.take_over("remind_pending").await["shoppers"], json!(2200));
    assert_eq!(mails(&stage).await.len(), 2200);
}
