//! What the database refuses by itself, whoever writes past the functions: rows of the ledger that cannot be, children
//! without parents, and the removal of what money hangs on.

use domain::money::Paise;
use domain::network::Network;
use domain::transaction::TransactionStatus;
use store::cashback;
use tokio_postgres::error::SqlState;

use crate::shop::Shop;

async fn refusal(shop: &Shop, statement: &str) -> (SqlState, Option<String>) {
    let client = shop.client().await;
    let error = client.batch_execute(statement).await.expect_err(statement);
    let error = error.as_db_error().expect("the server's own word");
    (error.code().clone(), error.constraint().map(str::to_owned))
}

/// One confirmed purchase with everything that follows from it, and a click that nothing came of.
async fn shop() -> Shop {
    let shop = Shop::open().await;
    let asha = shop.shopper("asha").await;
    let click = shop.click(Network::Admitad, Some(asha), 5_000, None);
    shop.record(std::slice::from_ref(&click)).await;
    let mut report = shop.report(Network::Admitad, "1", Some(click.click_id), 0);
    report.status = TransactionStatus::Confirmed;
    let mut client = shop.client().await;
    let work = client.transaction().await.unwrap();
    cashback::settle(&work, Network::Admitad, &[report], "pull", chrono::Utc::now()).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(store::wallet::balance(&client, asha).await.unwrap(), Some(Paise::new(5_000)));
    shop
}

#[tokio::test]
async fn a_row_that_cannot_be_is_refused_by_the_ledger_itself() {
    let shop = shop().await;
    let columns = [
        ("debit_account", "debit_account"),
        ("credit_account", "credit_account"),
        ("amount_paise", "1"),
        ("kind", "'goodwill'"),
        ("idempotency_key", "'another'"),
        ("input_hash", "input_hash"),
        ("user_id", "user_id"),
        ("balance_after_paise", "1"),
    ];
    let insert = |changes: &[(&str, &str)]| {
        let value = |name: &str, own: &'static str| {
            changes.iter().find(|change| change.0 == name).map_or(own.to_owned(), |change| change.1.to_owned())
        };
        let names: Vec<_> = columns.iter().map(|column| column.0).collect();
        let values: Vec<_> = columns.iter().map(|column| value(column.0, column.1)).collect();
        format!(
            "INSERT INTO wallet_transactions (id, {}) SELECT gen_random_uuid(), {} FROM wallet_transactions LIMIT 1",
            names.join(", "),
            values.join(", ")
        )
    };
    let wrong: [&[(&str, &str)]; 9] = [
        &[("amount_paise", "0")],
        &[("amount_paise", "-1")],
        &[("credit_account", "debit_account")],
        &[("kind", "'gift'")],
        &[("idempotency_key", "''")],
        &[("idempotency_key", "repeat('k', 201)")],
        &[("input_hash", "'\\x00'")],
        &[("user_id", "NULL")],
        &[("balance_after_paise", "NULL")],
    ];
    for changes in wrong {
        let (code, constraint) = refusal(&shop, &insert(changes)).await;
        assert_eq!(code, SqlState::CHECK_VIOLATION, "{changes:?}");
        assert_eq!(constraint.as_deref(), Some("wallet_entry_is_sound"), "{changes:?}");
    }
    let debit =
        [("debit_account", "credit_account"), ("credit_account", "debit_account"), ("balance_after_paise", "-1")];
    let (code, constraint) = refusal(&shop, &insert(&debit)).await;
    assert_eq!((code, constraint.as_deref()), (SqlState::CHECK_VIOLATION, Some("wallet_not_overdrawn")));
    let clawback = [debit[0], debit[1], debit[2], ("kind", "'cashback_clawback'")];
    shop.client().await.batch_execute(&insert(&clawback)).await.expect("a merchant may take back what was spent");
}

#[tokio::test]
async fn no_child_names_a_parent_that_is_not_there() {
    let shop = shop().await;
    let nobody = "'01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f'";
    let copy = |table: &str, columns: &str, values: &str| {
        format!("INSERT INTO {table} ({columns}) SELECT {values} FROM {table} LIMIT 1")
    };
    let transaction = "id, network, external_transaction_id, user_id, merchant_id, click_id, matched_by, matched_at, commission_paise, currency, raw_status, status, funded, occurred_at, observed_at, raw";
    let transaction_values = |user: &str, merchant: &str| {
        format!(
            "gen_random_uuid(), network, 'x', {user}, {merchant}, click_id, matched_by, matched_at, commission_paise, currency, raw_status, status, funded, occurred_at, observed_at, raw"
        )
    };
    let event =
        "id, transaction_id, user_id, click_id, merchant_id, amount_paise, status, rate_bps, rule_version, occurred_at";
    let event_values = |of: &str, user: &str, merchant: &str, rule: &str| {
        format!("gen_random_uuid(), {of}, {user}, click_id, {merchant}, 0, 'pending', rate_bps, {rule}, occurred_at")
    };
    let history = "transaction_id, revision, raw_status, status, funded, commission_paise, observed_at, source";
    let change = "cashback_id, revision, status, amount_paise, posted_paise, wallet_transaction_id, cause";
    let cases = [
        (
            copy("affiliate_transactions", transaction, &transaction_values(nobody, "merchant_id")),
            "affiliate_transactions_user_id_fkey",
        ),
        (
            copy("affiliate_transactions", transaction, &transaction_values("user_id", nobody)),
            "affiliate_transactions_merchant_id_fkey",
        ),
        (
            format!("UPDATE affiliate_transactions SET merchant_id = {nobody}"),
            "affiliate_transactions_merchant_id_fkey",
        ),
        (
            copy(
                "affiliate_transaction_history",
                history,
                &format!("{nobody}::uuid, 9, raw_status, status, funded, commission_paise, observed_at, source"),
            ),
            "affiliate_transaction_history_transaction_id_fkey",
        ),
        (
            copy("cashback_events", event, &event_values(nobody, "user_id", "merchant_id", "rule_version")),
            "cashback_events_transaction_id_fkey",
        ),
        (format!("UPDATE cashback_events SET user_id = {nobody}"), "cashback_events_user_id_fkey"),
        (format!("UPDATE cashback_events SET merchant_id = {nobody}"), "cashback_events_merchant_id_fkey"),
        ("UPDATE cashback_events SET rule_version = 99".to_owned(), "cashback_events_rule_version_fkey"),
        (
            copy("cashback_history", change, &format!("{nobody}::uuid, 9, status, amount_paise, 0, NULL, cause")),
            "cashback_history_cashback_id_fkey",
        ),
        (
            copy(
                "cashback_history",
                change,
                &format!("cashback_id, 9, status, amount_paise, 1, {nobody}::uuid, cause"),
            ),
            "cashback_history_wallet_transaction_id_fkey",
        ),
    ];
    for (statement, key) in cases {
        let (code, constraint) = refusal(&shop, &statement).await;
        assert_eq!((code, constraint.as_deref()), (SqlState::FOREIGN_KEY_VIOLATION, Some(key)), "{statement}");
    }
}

#[tokio::test]
async fn what_money_hangs_on_stays() {
    let shop = shop().await;
    for statement in [
        "DELETE FROM affiliate_transactions",
        "TRUNCATE affiliate_transactions CASCADE",
        "UPDATE affiliate_transactions SET id = gen_random_uuid()",
        "DELETE FROM cashback_events",
        "TRUNCATE cashback_events CASCADE",
        "UPDATE cashback_events SET id = gen_random_uuid()",
        "DELETE FROM wallet_accounts WHERE owner = 'user'",
    ] {
        assert_eq!(refusal(&shop, statement).await.0, SqlState::RESTRICT_VIOLATION, "{statement}");
    }
    assert_eq!(refusal(&shop, "DELETE FROM users").await.0, SqlState::FOREIGN_KEY_VIOLATION);
    let booked = "FROM merchants WHERE id IN (SELECT merchant_id FROM cashback_events)";
    let client = shop.client().await;
    client.batch_execute("DELETE FROM offers").await.unwrap();
    assert_eq!(refusal(&shop, &format!("DELETE {booked}")).await.0, SqlState::FOREIGN_KEY_VIOLATION);
    let unbooked = "DELETE FROM merchants WHERE id NOT IN (SELECT merchant_id FROM cashback_events)";
    assert_eq!(client.execute(unbooked, &[]).await.unwrap(), 2, "the others may go");
}

#[tokio::test]
async fn a_merchant_cannot_go_between_the_check_of_a_report_and_its_commit() {
    let shop = Shop::open().await;
    shop.client().await.batch_execute("DELETE FROM offers").await.unwrap();
    let mut client = shop.client().await;
    let work = client.transaction().await.unwrap();
    let report = shop.report(Network::Admitad, "1", None, 0);
    cashback::settle(&work, Network::Admitad, &[report], "pull", chrono::Utc::now()).await.unwrap();
    let remover = shop.client().await;
    let removal =
        tokio::spawn(async move { remover.execute("DELETE FROM merchants WHERE network = 'admitad'", &[]).await });
    let watcher = shop.client().await;
    testkit::eventually_true("the removal waits", std::time::Duration::from_secs(10), async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DELETE FROM merchants%' AND datname = current_database()";
        watcher.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    work.commit().await.unwrap();
    let error = removal.await.unwrap().expect_err("the report has it now");
    assert_eq!(error.code(), Some(&SqlState::FOREIGN_KEY_VIOLATION), "{error:?}");
}
