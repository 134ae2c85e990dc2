//! The ledger's chain and a wallet's statement on the command line.

use std::process::Command;

use chrono::Utc;
use domain::click::{ClickClass, sub_id};
use domain::ids::{ClickId, MerchantId, OfferId, UserId};
use domain::jobs::Language;
use domain::jobs::click::RecordClick;
use domain::money::{BasisPoints, Paise};
use domain::network::Network;
use domain::transaction::{NetworkTransaction, SubId, TransactionStatus};
use domain::wallet::{Account, Transfer, TransferKind};
use serde_json::Value;
use store::wallet::{self, chain};
use store::{Client, Pool, users};
use testkit::{Database, binary};

/// How a command ended, and what it said.
fn admin(database: &Database, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(binary("admin"));
    let output = command.env("DATABASE_URL", database.url()).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

async fn shopper(client: &Client) -> UserId {
    let id = UserId::generate();
    let (email, mobile) = ("asha@example.in".parse().unwrap(), "+919800000001".parse().unwrap());
    users::insert(client, id, "Asha Rao", Some(&email), Some(mobile), Language::En).await.unwrap();
    id
}

/// Two and a half thousand sealed rows in three blocks.
async fn sealed(pool: &Pool) {
    let mut client = pool.get().await.unwrap();
    let asha = shopper(&client).await;
    let transfers: Vec<_> = (0..2_500)
        .map(|number| Transfer {
            debit: Account::CashbackExpense,
            credit: Account::User(asha),
            amount: Paise::new(100 + number),
            kind: TransferKind::CashbackCredit,
            key: format!("k{number}"),
            reason: serde_json::json!({}),
        })
        .collect();
    wallet::post_many(&client, &transfers).await.unwrap();
    assert_eq!(chain::seal(&mut client).await.unwrap().rows, 2_500);
    client
        .batch_execute(
            "ALTER TABLE wallet_transactions DISABLE TRIGGER USER; ALTER TABLE wallet_seals DISABLE TRIGGER USER;
             ALTER TABLE wallet_transactions ALTER seq DROP IDENTITY",
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn ledger_verify_ends_with_one_and_names_the_row_that_was_altered_removed_or_reordered() {
    let database = Database::start().await;
    let pool = database.pool();
    sealed(&pool).await;
    let client = pool.get().await.unwrap();
    let (code, out, err) = admin(&database, &["ledger", "verify"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("2500 rows in 3 blocks are as they were sealed"), "{out}");
    assert!(err.contains("] 100 %  2500 of 2500 rows"), "{err}");
    let (code, head, _) = admin(&database, &["ledger", "head"]);
    assert!(code == Some(0) && out.contains(&format!("head {}", head.trim())), "{head}");
    assert_eq!(admin(&database, &["ledger", "verify", "--head", head.trim()]).0, Some(0));

    // Each done in turn and undone again.
    let swap = "UPDATE wallet_transactions w SET seq = o.seq FROM wallet_transactions o
                WHERE (w.seq, o.seq) IN ((1200, 1201), (1201, 1200))";
    let cases = [
        (
            "UPDATE wallet_transactions SET amount_paise = amount_paise + 1 WHERE seq = 1500",
            "UPDATE wallet_transactions SET amount_paise = amount_paise - 1 WHERE seq = 1500",
            "fault: row 1500, transaction",
            "was altered: expected digest",
        ),
        (
            "CREATE TABLE taken AS SELECT * FROM wallet_transactions WHERE seq = 7;
             DELETE FROM wallet_transactions WHERE seq = 7",
            "INSERT INTO wallet_transactions SELECT * FROM taken; DROP TABLE taken",
            "fault: row 7, transaction",
            "was removed: expected it, found nothing",
        ),
        (swap, swap, "fault: row 1200 was reordered or replaced: expected transaction", "which was sealed as row 1201"),
        (
            "CREATE TABLE taken AS SELECT * FROM wallet_transactions WHERE seq > 2490;
             DELETE FROM wallet_transactions WHERE seq > 2490",
            "INSERT INTO wallet_transactions SELECT * FROM taken; DROP TABLE taken",
            "fault: row 2491, transaction",
            "was removed",
        ),
    ];
    for (spoil, mend, row, what) in cases {
        client.batch_execute(spoil).await.unwrap();
        let (code, out, err) = admin(&database, &["ledger", "verify"]);
        assert_eq!(code, Some(1), "{spoil}: {out}{err}");
        assert!(out.lines().any(|line| line.starts_with(row) && line.contains(what)), "{spoil}: {out}");
        client.batch_execute(mend).await.unwrap();
        let (code, out, err) = admin(&database, &["ledger", "verify"]);
        assert_eq!(code, Some(0), "{mend}: {out}{err}");
    }

    // The end cut off, seals and all: only the head that was kept outside tells, and the balances.
    client
        .batch_execute("DELETE FROM wallet_transactions WHERE seq > 2000; DELETE FROM wallet_seals WHERE number = 3")
        .await
        .unwrap();
    let (code, out, _) = admin(&database, &["ledger", "verify", "--head", head.trim()]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("found a chain that ends at block 2"), "{out}");
    let (code, out, _) = admin(&database, &["ledger", "verify"]);
    assert!(code == Some(1) && out.contains("fault: the wallet of"), "{out}");
    assert_eq!(admin(&database, &["ledger", "verify", "--head", "3:beef"]).0, Some(2), "no head at all");
}

/// A click, a purchase that is confirmed after it was pending, and another that waits.
async fn story(client: &mut Client) -> (UserId, ClickId) {
    let asha = shopper(client).await;
    let (merchant, offer) = (MerchantId::generate(), OfferId::generate());
    client
        .execute(
            "INSERT INTO merchants (id, name, network, campaign_id, tracking_template, allowed_hosts, landing_url, cashback_bps, active, version)
             VALUES ($1, 'Shoes', 'admitad', '100', 'https://track.example.com/?subid={click_id}&url={url}', '{shoes.example.in}',
                     'https://shoes.example.in/', 5000, true, 1)",
            &[&merchant],
        )
        .await
        .unwrap();
    let click = RecordClick {
        click_id: ClickId::generate(),
        offer_id: offer,
        merchant_id: merchant,
        network: Network::Admitad,
        user_id: Some(asha),
        rate: BasisPoints::new(5_000).unwrap(),
        cap: None,
        offer_version: 1,
        class: ClickClass::Human,
        reason: String::new(),
        client_hash: "0badcafe".to_owned(),
        user_agent: "Mozilla/5.0".to_owned(),
        clicked_at: Utc::now(),
    };
    testkit::seed::clicks(client, [&click]).await;
    let at = Utc::now();
    let report = |id: &str, status, raw: &str, age| NetworkTransaction {
        network: Network::Admitad,
        external_id: id.to_owned(),
        campaign_id: Some("100".to_owned()),
        sub_ids: vec![SubId { name: "subid4".to_owned(), value: sub_id(click.click_id) }],
        order_ref: Some(format!("OD-{id}")),
        sale: Some(Paise::new(100_000)),
        commission: Paise::new(10_000),
        foreign: None,
        raw_status: raw.to_owned(),
        status,
        funded: false,
        reason: None,
        clicked_at: None,
        occurred_at: at,
        status_updated_at: Some(at + chrono::TimeDelta::seconds(age)),
        observed_at: at + chrono::TimeDelta::seconds(age),
        raw: "{}".to_owned(),
    };
    for (id, status, raw, age) in [
        ("71", TransactionStatus::Pending, "pending", 0),
        ("71", TransactionStatus::Confirmed, "approved", 60),
        ("72", TransactionStatus::Pending, "pending", 0),
    ] {
        let transaction = client.transaction().await.unwrap();
        let reports = [report(id, status, raw, age)];
        store::cashback::settle(&transaction, Network::Admitad, &reports, "pull", at).await.unwrap();
        transaction.commit().await.unwrap();
    }
    (asha, click.click_id)
}

#[tokio::test]
async fn wallet_show_explains_each_rupee_from_click_to_entry() {
    let database = Database::start().await;
    let mut client = database.pool().get().await.unwrap();
    let (asha, click) = story(&mut client).await;
    let by_id = admin(&database, &["wallet", "show", &asha.to_string()]);
    assert_eq!(by_id.0, Some(0), "{}", by_id.2);
    for name in ["Asha@example.in", "9800000001", "+919800000001"] {
        assert_eq!(admin(&database, &["wallet", "show", name]).1, by_id.1, "{name}");
    }
    let text = by_id.1;
    let mut rest = text.as_str();
    // In this order: what waits, then the line with its click, order, changes, cashback and entry.
    for part in [
        "balance ₹50.00",
        "₹50.00 pending",
        "pending  ₹50.00 (not in the wallet yet)",
        "admitad 72: pending (pending), commission ₹100.00",
        "+₹50.00  cashback_credit, balance ₹50.00",
        &format!("50 % of the commission promised, {click}"),
        "order      OD-71 at Shoes, ₹1,000.00 paid",
        "admitad 71: pending (pending), commission ₹100.00",
        "admitad 71: confirmed (approved), commission ₹100.00",
        "50 % of ₹100.00: ₹50.00, confirmed by now, rules of version 1",
        "because    pending to confirmed, by pull",
        "entry      row 1 of the ledger",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} is not in its place in:\n{text}"));
        rest = &rest[at..];
    }
    assert!(!text.contains("asha@example.in") && !text.contains("9800000001"), "masked: {text}");
    let json: Value =
        serde_json::from_str(&admin(&database, &["wallet", "show", &asha.to_string(), "--json"]).1).unwrap();
    assert_eq!(json["balance_paise"], 5_000);
    assert_eq!(json["lines"][0]["origin"]["changes"][1]["status"], "confirmed");
    let (code, _, err) = admin(&database, &["wallet", "show", "nobody@example.in"]);
    assert!(code == Some(1) && err.contains("there is no shopper"), "{err}");
}
