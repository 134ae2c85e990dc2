//! How Postgres carries out every statement when tables have grown: no statement but those named here reads a whole table.
//!
//! The plans are those that Postgres makes once for all values (as it does for statements that are prepared once per
//! connection), over tables with rows enough for it to care.

use domain::network::Network;
use serde_json::Value;
use store::GenericClient;

/// What webhooks and the notifier ask again and again, of tables that are empty when it is planned for the first time.
const ON_THE_FIRST_DAY: [&str; 2] = [
    "UPDATE notifications SET updated_at = now() FROM unnest($1::uuid[]) AS answer (id) WHERE notifications.id = answer.id",
    "UPDATE notifications SET updated_at = now() WHERE id = ANY ($1::uuid[])",
];

/// Tables that grow with the business, without bound, and the rows that they get here.
const GROWING: &[(&str, &str)] = &[
    (
        "users affiliate_transactions affiliate_transaction_history unmatched_transactions wallet_accounts \
         wallet_transactions wallet_balances cashback_events cashback_history withdrawals orders order_items voucher_codes \
         payments refunds webhook_logs webhook_receipts webhook_effects notifications notification_events suppressions outbox \
         audit_logs dead_letter_log offers offer_versions products merchants admin_sessions",
        "20000",
    ),
    ("affiliate_clicks", "200000"),
];

/// Statements that read a whole growing table, and why that is right.
const WHOLE: &[(&str, &str)] = &[
    ("admin_users/delete_expired_sessions.sql", "a job of the night over the sessions of a few people"),
    ("catalogue/public_pages.sql", "the sitemap of the night lists every page"),
    ("console/timeline.sql", "a person's search over all rooms; each room is bounded by its own index where one fits"),
    ("inventory/apply.sql", "an hourly feed over the catalogue"),
    ("inventory/count_codes.sql", "an hourly count over the catalogue"),
    ("notifications/delete_old.sql", "a weekly job over what is older than a year"),
    ("notifications/take_over.sql", "one message in doubt, at most once in half an hour"),
    ("outbox/delete_relayed.sql", "a job of the night over a table that it keeps short"),
    ("outbox/lag.sql", "the waiting part only, by a partial index"),
    ("standing/read.sql", "figures for the metrics, once in a while by one replica"),
    ("transactions/approval_drops.sql", "an hourly look at four weeks"),
    ("transactions/count_unmatched.sql", "the open part only, by a partial index"),
    ("transactions/suggestions.sql", "a person's look at one purchase, over a month of clicks"),
    ("transactions/sweep.sql", "the open part only, by a partial index"),
    ("upkeep/expire_offers.sql", "a job of the night"),
    ("upkeep/stale_webhooks.sql", "what is pending, by its own small table"),
    ("wallet/account_sum.sql", "an auditor's sum over the whole ledger"),
    ("wallet/drift.sql", "the night's check of the whole ledger"),
    ("wallet/overview.sql", "the pending part only, by a partial index"),
];

/// Statements that keep a hash of a table, and why that is right: they run on connections that plan by statistics.
const HASHED: &[(&str, &str)] = &[
    ("console/timeline.sql", "a person's search, over the few rows that it found"),
    ("cron_runs/take.sql", "the jobs that run just now"),
];

/// Statements that run in the transaction of a pull only, which begins with `lock_network.sql`.
const IN_PULLS: &[&str] = &["clicks/carried.sql", "clicks/find_many.sql"];

#[tokio::test]
async fn rows_are_looked_up_by_their_index_on_the_first_day_too() {
    let database = testkit::Database::start().await;
    let settings = settings_of(&database);
    let by_key = store::Pool::connect_by_key(&settings).unwrap().get().await.unwrap();
    let as_planned = store::Pool::connect(&settings).unwrap().get().await.unwrap();
    for text in ON_THE_FIRST_DAY {
        let mut whole = Vec::new();
        for client in [&by_key, &as_planned] {
            client.batch_execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
            client.batch_execute(&format!("PREPARE asked AS {text}")).await.unwrap();
            let plan = client.query("EXPLAIN EXECUTE asked (NULL)", &[]).await.unwrap();
            client.batch_execute("DEALLOCATE asked").await.unwrap();
            let lines: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
            whole.push(lines.iter().any(|line| line.contains("Seq Scan on notifications")));
        }
        assert!(!whole[0], "{text}");
        // Else this shows nothing.
        assert!(whole[1], "Postgres looks rows up by itself: {text}");
    }
}

/// Plans of the first day stay for as long as their connection, so nothing but an index may carry out what is asked again and
/// again: a hash of a table that is empty today holds all of it next month.
#[tokio::test]
async fn nothing_is_hashed_on_the_first_day() {
    let database = testkit::Database::start().await;
    let settings = settings_of(&database);
    let client = store::Pool::connect_by_key(&settings).unwrap().get().await.unwrap();
    let mut hashed = Vec::new();
    for (name, text) in statements() {
        let plan = plan(&client, &name, &text).await;
        if plan.to_string().contains("hashed SubPlan") {
            hashed.push(name);
        }
    }
    let known: Vec<&str> = HASHED.iter().map(|(name, _)| *name).collect();
    assert_eq!(hashed, known, "these keep a hash of a table");
}

#[tokio::test]
async fn no_statement_reads_a_whole_growing_table() {
    let database = testkit::Database::start().await;
    let mut client = database.pool().get().await.unwrap();
    for (tables, rows) in GROWING {
        let settings = format!("SET plans.tables = '{tables}'; SET plans.rows = '{rows}'");
        client.batch_execute(&settings).await.unwrap();
        client.batch_execute(include_str!("fill.sql")).await.unwrap();
    }
    client.batch_execute("SET plan_cache_mode = force_generic_plan; SET jit = off").await.unwrap();

    let mut wrong = Vec::new();
    let mut unneeded: Vec<&str> = WHOLE.iter().map(|(name, _)| *name).collect();
    for (name, text) in statements() {
        let plan = if IN_PULLS.contains(&name.as_str()) {
            let transaction = client.transaction().await.unwrap();
            store::transactions::lock_network(&transaction, Network::Admitad).await.unwrap();
            plan(&transaction, &name, &text).await
        } else {
            plan(&client, &name, &text).await
        };
        let whole = whole_reads(&plan);
        match unneeded.iter().position(|known| *known == name) {
            Some(at) if !whole.is_empty() => drop(unneeded.remove(at)),
            _ if whole.is_empty() || WHOLE.iter().any(|(known, _)| *known == name) => {}
            _ => wrong.push(format!("{name}: {}", whole.join(", "))),
        }
    }
    assert!(wrong.is_empty(), "these read a whole table that grows:\n{}", wrong.join("\n"));
    assert!(unneeded.is_empty(), "these read no whole table any more, so they need no excuse: {unneeded:?}");
}

fn settings_of(database: &testkit::Database) -> store::Settings {
    let source = config::Map::from([("DATABASE_URL", &*database.url())]);
    let mut reader = config::Reader::new(&source);
    let settings = store::Settings::read(&mut reader);
    reader.finish(settings).unwrap()
}

/// Every statement file, by `family/name.sql`.
fn statements() -> Vec<(String, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut all = Vec::new();
    for family in std::fs::read_dir(&root).unwrap() {
        for file in std::fs::read_dir(family.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            all.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    all.sort();
    all
}

async fn plan(client: &impl GenericClient, name: &str, text: &str) -> Value {
    let prepare = format!("PREPARE planned AS {}", text.trim_end().trim_end_matches(';'));
    client.batch_execute(&prepare).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let count =
        "SELECT coalesce(array_length(parameter_types, 1), 0) FROM pg_prepared_statements WHERE name = 'planned'";
    let parameters: i32 = client.query_one(count, &[]).await.unwrap().get(0);
    let values = (0..parameters).map(|_| "NULL").collect::<Vec<_>>().join(", ");
    let values = if values.is_empty() { values } else { format!("({values})") };
    let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE planned{values}");
    let rows = client.query(&explain, &[]).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let plan: Value = rows[0].get(0);
    client.batch_execute("DEALLOCATE planned").await.unwrap();
    plan[0]["Plan"].clone()
}

/// The growing tables that this plan reads from end to end.
fn whole_reads(plan: &Value) -> Vec<String> {
    let mut found = Vec::new();
    visit(plan, false, None, &mut found);
    found.sort();
    found.dedup();
    found
}

/// `is_bounded`: a LIMIT above ends the reading early, with nothing between that must see all rows first.
fn visit(node: &Value, is_bounded: bool, heap: Option<&str>, found: &mut Vec<String>) {
    let kind = node["Node Type"].as_str().unwrap();
    let table = node["Relation Name"].as_str().or(heap).map(base).unwrap_or_default();
    if GROWING.iter().any(|(tables, _)| tables.split_whitespace().any(|name| name == table)) {
        let by_index = matches!(kind, "Index Scan" | "Index Only Scan" | "Bitmap Index Scan");
        let is_whole = kind == "Seq Scan" || by_index && node["Index Cond"].is_null();
        if is_whole && !is_bounded {
            found.push(format!("{kind} on {table}"));
        }
    }
    let passes = matches!(
        kind,
        "Index Scan" | "Nested Loop" | "Append" | "Merge Append" | "LockRows" | "Subquery Scan" | "Result"
    );
    let is_bounded = kind == "Limit" || is_bounded && passes;
    let heap = (kind == "Bitmap Heap Scan").then_some(node["Relation Name"].as_str()).flatten();
    for child in node["Plans"].as_array().into_iter().flatten() {
        visit(child, is_bounded, heap, found);
    }
}

/// A partition stands for its table.
fn base(table: &str) -> &str {
    let month = table.len().saturating_sub("_2026_01".len());
    match table.get(month..) {
        Some(end) if end.starts_with("_20") => &table[..month],
        _ => table,
    }
}
