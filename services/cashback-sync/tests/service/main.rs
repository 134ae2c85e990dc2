//! cashback-sync as a process, between real Redis, real Postgres and simulated networks.

mod alerts;
mod killed;
mod pulls;
mod stage;

use domain::click::sub_id;
use domain::ids::{ClickId, WebhookId};
use domain::job::Queue;
use domain::jobs::cashback::{ConfirmHint, SyncNetwork, SyncWindow};
use domain::network::Network;
use kv::redis::AsyncCommands;
use stage::{LIMIT, Stage};
use store::wallet::chain;

fn hint(id: &str) -> ConfirmHint {
    ConfirmHint {
        network: Network::Admitad,
        external_transaction_id: Some(id.to_owned()),
        sub_id: None,
        webhook_id: WebhookId::generate(),
    }
}

fn since_cursor() -> SyncNetwork {
    SyncNetwork { network: Network::Admitad, window: SyncWindow::SinceCursor, requested_by: "test".to_owned() }
}

#[tokio::test]
async fn a_click_and_a_postback_become_money_and_messages() {
    let stage = Stage::start().await;
    let asha = stage.shopper().await;
    let click = stage.click(asha);
    stage.enqueue(&click).await;
    stage.count_becomes("affiliate_clicks", 1).await;

    let id = stage.purchase(&click, "pending", "100.00").await;
    stage.enqueue(&hint(&id)).await;
    stage.count_becomes("cashback_events WHERE status = 'pending' AND amount_paise = 5000", 1).await;
    assert_eq!(stage.balance(asha).await.get(), 0);

    let path = format!("/_sim/transactions/admitad/{id}");
    stage.sim.post(&path, &serde_json::json!({"status": "approved"})).await;
    stage.enqueue(&hint(&id)).await;
    stage.balance_becomes(asha, 5_000).await;
    assert_eq!(stage.templates(Queue::Email, 2).await, ["cashback_credited", "cashback_tracked"]);
    assert_eq!(stage.templates(Queue::Sms, 1).await, ["cashback_credited"]);

    stage.sim.post(&path, &serde_json::json!({"status": "declined"})).await;
    stage.enqueue(&since_cursor()).await;
    stage.balance_becomes(asha, 0).await;
    stage.count_becomes("sync_runs WHERE status = 'succeeded'", 1).await;
    stage.count_becomes("sync_cursors", 1).await;
}

#[tokio::test]
async fn a_postback_of_a_network_that_is_not_asked_by_its_ids_is_confirmed_by_its_click() {
    let stage = Stage::start().await;
    let carried = sub_id(ClickId::generate());
    let purchase = serde_json::json!({"network": "vcommission", "sub_id": carried, "campaign_id": 100, "order_id": "OD-2",
                                      "sale_amount": "1000.00", "commission": "100.00", "currency": "INR", "status": "pending"});
    stage.sim.post("/_sim/transactions", &purchase).await;
    let both = ConfirmHint {
        network: Network::Vcommission,
        external_transaction_id: Some("66d000000000000000000001".to_owned()),
        sub_id: Some(carried.clone()),
        webhook_id: WebhookId::generate(),
    };
    stage.enqueue(&both).await;
    let confirmed = format!("affiliate_transactions WHERE network = 'vcommission' AND sub_id = '{carried}'");
    stage.count_becomes(&confirmed, 1).await;
    assert_eq!(stage.count("audit_logs WHERE action = 'network.error'").await, 0, "nothing was refused");
}

#[tokio::test]
async fn a_purchase_that_is_reported_before_its_click_matches_when_the_click_comes() {
    let stage = Stage::start().await;
    let asha = stage.shopper().await;
    let click = stage.click(asha);
    stage.purchase(&click, "approved", "100.00").await;
    stage.enqueue(&since_cursor()).await;
    stage.count_becomes("unmatched_transactions WHERE reason = 'unknown_click' AND resolved_at IS NULL", 1).await;
    stage.enqueue(&click).await;
    stage.balance_becomes(asha, 5_000).await;
    assert_eq!(stage.count("unmatched_transactions WHERE resolved_at IS NULL").await, 0);
}

#[tokio::test]
async fn a_click_whose_purchase_cannot_be_settled_is_stored_and_no_dead_letter() {
    let stage = Stage::start().await;
    let asha = stage.shopper().await;
    let click = stage.click(asha);
    stage.purchase(&click, "approved", "100.00").await;
    stage.enqueue(&since_cursor()).await;
    stage.count_becomes("unmatched_transactions WHERE resolved_at IS NULL", 1).await;
    let client = stage.client().await;
    client
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON cashback_events FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    stage.enqueue(&click).await;
    stage.count_becomes("affiliate_clicks", 1).await;
    let stats = testkit::eventually("the click's job is over", LIMIT, async || {
        let stats = queue::admin::stats(&stage.kv, Queue::Clicks).await.unwrap();
        (stats.waiting == 0 && stats.in_flight == 0 && stats.delayed == 0).then_some(stats)
    })
    .await;
    assert_eq!(stats.dead, 0);
    client.batch_execute("DROP TRIGGER refuse ON cashback_events").await.unwrap();
    stage.balance_becomes(asha, 5_000).await;
}

#[tokio::test]
async fn the_same_clicks_twice_are_stored_once_and_a_bad_one_goes_to_the_dead_letters_alone() {
    let stage = Stage::start().await;
    let asha = stage.shopper().await;
    let clicks: Vec<_> = (0..200).map(|_| stage.click(asha)).collect();
    for click in clicks.iter().chain(&clicks) {
        stage.enqueue(click).await;
    }
    let mut bad = stage.click(asha);
    bad.cap = Some(domain::money::Paise::new(-1));
    bad.user_agent = "zero\0byte".to_owned();
    stage.enqueue(&bad).await;
    stage.count_becomes("affiliate_clicks", 200).await;
    testkit::eventually_true("one dead letter", LIMIT, async || {
        queue::admin::stats(&stage.kv, Queue::Clicks).await.is_ok_and(|stats| stats.dead == 1)
    })
    .await;
}

#[tokio::test]
async fn a_purchase_without_a_click_ends_in_the_dead_letters_and_on_the_list() {
    let stage = Stage::start().await;
    let asha = stage.shopper().await;
    let id = stage.purchase(&stage.click(asha), "pending", "100.00").await;
    stage.enqueue(&hint(&id)).await;
    stage.count_becomes("unmatched_transactions WHERE resolved_at IS NULL", 1).await;
    let letters = testkit::eventually("a dead letter", LIMIT, async || {
        let letters = queue::admin::dead_letters(&stage.kv, Queue::Cashback, 0, 10).await.unwrap();
        (!letters.is_empty()).then_some(letters)
    })
    .await;
    let bytes = String::from_utf8(letters[0].bytes()).unwrap();
    assert!(letters.len() == 1 && bytes.contains("cashback.match"), "{bytes}");
    // The same news again tells nobody a second time.
    stage.enqueue(&hint(&id)).await;
    stage.enqueue(&since_cursor()).await;
    stage.count_becomes("sync_runs WHERE status = 'succeeded'", 1).await;
    assert_eq!(stage.count("outbox WHERE kind = 'cashback.match'").await, 1);
}

#[tokio::test]
async fn what_a_network_refuses_is_written_down_and_the_cursor_stays() {
    let stage = Stage::start().await;
    let body = serde_json::json!({"error": "synthetic", "error_description": "no such right", "error_code": 2});
    let fault = serde_json::json!({"provider": "admitad", "fault": "status", "status": 403, "body": body,
                                   "path_contains": "statistics"});
    stage.sim.post("/_sim/faults", &fault).await;
    stage.enqueue(&since_cursor()).await;
    stage.count_becomes("audit_logs WHERE action = 'network.error' AND target = 'network:admitad'", 1).await;
    stage.count_becomes("outbox WHERE kind = 'email.send' AND payload::text LIKE '%sync_failed%'", 1).await;
    assert_eq!(stage.count("sync_cursors").await, 0);
    let logs = stage.count("audit_logs WHERE after->>'error' LIKE '%403%no such right%'").await;
    assert_eq!(logs, 1);
}

#[tokio::test]
async fn a_hint_that_is_put_off_again_and_again_is_written_down_once() {
    let mut stage = Stage::empty().await;
    // Longer than is waited inside one job, so that the job is put off by it.
    let often = [("ADMITAD_RATE_LIMIT_WAIT_MS", "200"), ("PROVIDER_RETRY_LONGEST_MS", "100")];
    stage.environment.extend(often.map(|(key, value)| (key.to_owned(), value.to_owned())));
    stage.launch().await;
    let asha = stage.shopper().await;
    let click = stage.click(asha);
    stage.enqueue(&click).await;
    stage.count_becomes("affiliate_clicks", 1).await;
    let id = stage.purchase(&click, "approved", "100.00").await;
    let fault = serde_json::json!({"provider": "admitad", "fault": "status", "status": 503,
                                   "path_contains": "statistics"});
    stage.sim.post("/_sim/faults", &fault).await;
    stage.enqueue(&hint(&id)).await;
    testkit::eventually_true("the hint is put off a few times", LIMIT, async || {
        stage.sim.get("/_sim/faults").await["faults"][0]["hits"].as_u64().is_some_and(|hits| hits >= 4)
    })
    .await;
    stage.sim.delete("/_sim/faults?provider=admitad").await;
    stage.balance_becomes(asha, 5_000).await;
    assert_eq!(stage.count("audit_logs WHERE action = 'network.error' AND reason = 'postback'").await, 1);
}

#[tokio::test]
async fn a_pull_waits_for_postgres_and_uses_up_no_attempt() {
    let stage = Stage::start().await;
    let beside = testkit::Database::empty().await;
    let (admin, mut connection) = (beside.client().await, stage.kv.commands());
    let (_, url) = stage.environment.iter().find(|(key, _)| key == "DATABASE_URL").unwrap();
    let (_, name) = url.rsplit_once('/').unwrap();
    admin.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await.unwrap();
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    admin.batch_execute(&end).await.unwrap();
    let only_one_try = serde_json::json!({"kind": "cashback.sync", "payload": since_cursor(), "max_attempts": 1});
    let _length: i64 = connection.rpush(kv::keys::ready(Queue::Cashback), only_one_try.to_string()).await.unwrap();
    testkit::eventually_true("the pull waits", LIMIT, async || {
        queue::admin::stats(&stage.kv, Queue::Cashback).await.is_ok_and(|stats| stats.delayed == 1)
    })
    .await;
    admin.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await.unwrap();
    stage.count_becomes("sync_runs WHERE status = 'succeeded'", 1).await;
}

#[tokio::test]
async fn a_pull_by_hand_without_credentials_leaves_the_run_of_another_process_open() {
    let stage = Stage::empty().await;
    let (client, window) = (stage.client().await, serde_json::json!({}));
    store::sync::begin(&client, Network::Cuelinks, &window, &window, "test").await.unwrap();
    let mut command = std::process::Command::new(testkit::binary("cashback-sync"));
    command.args(["run", "--network", "cuelinks"]).envs(stage.environment.iter().cloned());
    assert!(!testkit::Process::start("cashback-sync run", &mut command).wait(LIMIT).success());
    assert_eq!(stage.count("sync_runs WHERE status = 'running'").await, 1);
}

#[tokio::test]
async fn ledger_rows_are_sealed_by_themselves() {
    let stage = Stage::start().await;
    let asha = stage.shopper().await;
    let click = stage.click(asha);
    stage.enqueue(&click).await;
    stage.count_becomes("affiliate_clicks", 1).await;
    stage.purchase(&click, "approved", "100.00").await;
    stage.enqueue(&since_cursor()).await;
    stage.balance_becomes(asha, 5_000).await;
    stage.count_becomes("wallet_seals", 1).await;
    let verified = chain::verify(&mut stage.client().await, None, &mut |_done, _total| {}).await.unwrap();
    assert_eq!((verified.rows, verified.faults), (1, vec![]));
}

#[tokio::test]
async fn the_ledgers_head_is_mailed_once_a_day_and_a_ledger_that_was_rewritten_does_not_fit_it() {
    let mut stage = Stage::start().await;
    let asha = stage.shopper().await;
    let click = stage.click(asha);
    stage.enqueue(&click).await;
    stage.count_becomes("affiliate_clicks", 1).await;
    stage.purchase(&click, "approved", "100.00").await;
    stage.enqueue(&since_cursor()).await;
    stage.count_becomes("wallet_seals", 1).await;
    let mails = "outbox WHERE kind = 'email.send' AND payload->>'event_key' LIKE 'ledger-head:%'";
    stage.count_becomes(mails, 1).await;
    // Another replica on the same day.
    stage.launch().await;
    stage.purchase(&stage.click(asha), "approved", "100.00").await;
    stage.enqueue(&since_cursor()).await;
    stage.count_becomes("sync_runs WHERE status = 'succeeded'", 2).await;
    assert_eq!(stage.count(mails).await, 1);

    let client = stage.client().await;
    let text = format!("SELECT payload->'message'->>'detail' FROM {mails}");
    let detail: String = client.query_one(text.as_str(), &[]).await.unwrap().get(0);
    let head: chain::KeptHead = detail.lines().next().unwrap().parse().unwrap();
    let faults = async |head: &chain::KeptHead| {
        chain::verify(&mut stage.client().await, Some(head), &mut |_done, _total| {}).await.unwrap().faults
    };
    assert_eq!(faults(&head).await, vec![]);
    // Who owns the tables can begin the chain anew; the mail cannot be taken back.
    client
        .batch_execute("SET session_replication_role = replica; DELETE FROM wallet_seals; UPDATE wallet_transactions SET amount_paise = 1;
                        RESET session_replication_role")
        .await
        .unwrap();
    stage.count_becomes("wallet_seals", 1).await;
    assert_eq!(faults(&head).await.len(), 1);
}

/// With the settings that operators have by default.
#[tokio::test]
async fn serial_every_ledger_row_is_sealed_within_sixty_seconds() {
    let mut stage = Stage::empty().await;
    stage.environment.retain(|(key, _)| key != "CASHBACK_UPKEEP_INTERVAL_MS");
    stage.launch().await;
    let asha = stage.shopper().await;
    let client = stage.client().await;
    let mut number = 0;
    testkit::eventually_true("two rounds of seals while rows are written", 3 * LIMIT, async || {
        number += 1;
        let credit = domain::wallet::Transfer {
            debit: domain::wallet::Account::CashbackExpense,
            credit: domain::wallet::Account::User(asha),
            amount: domain::money::Paise::new(1),
            kind: domain::wallet::TransferKind::CashbackCredit,
            key: format!("k{number}"),
            reason: serde_json::json!({}),
        };
        store::wallet::post(&client, &credit).await.unwrap();
        stage.count("wallet_seals").await >= 2
    })
    .await;
    let (waiting, since) = chain::unsealed(&client).await.unwrap();
    assert!(
        since.is_none_or(|since| chrono::Utc::now() - since < chrono::TimeDelta::seconds(60)),
        "{waiting} {since:?}"
    );
    let late = "wallet_transactions w JOIN wallet_seals s ON w.seq BETWEEN s.first_seq AND s.last_seq
                WHERE s.sealed_at - w.created_at > interval '60 seconds'";
    assert_eq!(stage.count(late).await, 0);
    let metrics = stage.metrics().await;
    assert!(metrics.contains("ledger_unsealed_age_seconds") && metrics.contains("ledger_unsealed_rows"), "{metrics}");
}
