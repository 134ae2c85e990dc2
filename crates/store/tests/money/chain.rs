//! The chain over the ledger: whoever alters, removes, adds or reorders a sealed row is found out.

use domain::money::Paise;
use domain::wallet::{Account, Transfer, TransferKind};
use store::wallet::{self, chain};

use crate::shop::Shop;

fn credit(user: domain::ids::UserId, key: &str) -> Transfer {
    Transfer {
        debit: Account::CashbackExpense,
        credit: Account::User(user),
        amount: Paise::new(100),
        kind: TransferKind::CashbackCredit,
        key: key.to_owned(),
        reason: serde_json::json!({ "key": key }),
    }
}

async fn sealed_shop() -> Shop {
    let shop = Shop::open().await;
    let asha = shop.shopper("asha").await;
    let mut client = shop.client().await;
    for round in 0..3 {
        for turn in 0..4 {
            wallet::post(&client, &credit(asha, &format!("{round}:{turn}"))).await.unwrap();
        }
        assert_eq!(chain::seal(&mut client).await.unwrap().rows, 4);
    }
    assert_eq!(chain::seal(&mut client).await.unwrap(), chain::Sealed::default(), "nothing is sealed twice");
    shop
}

async fn verify(client: &mut store::Client, kept: Option<&chain::KeptHead>) -> chain::Verified {
    chain::verify(client, kept, &mut |_done, _total| {}).await.unwrap()
}

#[tokio::test]
async fn an_honest_ledger_verifies_and_tells_what_waits() {
    let shop = sealed_shop().await;
    let asha = shop.shopper("ravi").await;
    let mut client = shop.client().await;
    wallet::post(&client, &credit(asha, "new")).await.unwrap();
    let mut heard = Vec::new();
    let verified = chain::verify(&mut client, None, &mut |done, total| heard.push((done, total))).await.unwrap();
    assert_eq!((verified.rows, verified.blocks, verified.head.number, verified.faults), (12, 3, 3, vec![]));
    assert_eq!(heard, [(4, 12), (8, 12), (12, 12)]);
    assert_eq!(verified.unsealed.0, 1);
    assert!(verified.unsealed.1.is_some());
}

/// What is done to the ledger, how many faults it makes, and what the first of them says.
const TAMPERING: [(&str, u64, &str); 12] = [
    (
        "UPDATE wallet_transactions SET amount_paise = amount_paise + 1 WHERE idempotency_key = '1:2'",
        1,
        "row 7, transaction ID, was altered: expected digest",
    ),
    (
        "UPDATE wallet_transactions SET debit_account = '00000000-0000-0000-0000-000000000004' WHERE idempotency_key = '0:0'",
        1,
        "are not those it was posted with",
    ),
    ("UPDATE wallet_transactions SET reason = '{}' WHERE idempotency_key = '2:3'", 1, "row 12, transaction ID, was altered"),
    (
        "UPDATE wallet_transactions SET created_at = created_at + interval '1 second' WHERE idempotency_key = '1:0'",
        1,
        "row 5, transaction ID, was altered",
    ),
    (
        "UPDATE wallet_transactions SET balance_after_paise = 7 WHERE idempotency_key = '1:0'",
        1,
        "its balance afterwards is ₹0.07, by the row before it ₹5.00 is due",
    ),
    (
        "DELETE FROM wallet_transactions WHERE idempotency_key = '1:1'",
        1,
        "row 6, transaction ID, was removed: expected it, found nothing",
    ),
    ("DELETE FROM wallet_transactions WHERE idempotency_key = '2:3'", 1, "row 12, transaction ID, was removed"),
    (
        "ALTER TABLE wallet_transactions ALTER seq DROP IDENTITY;
         UPDATE wallet_transactions w SET seq = o.seq FROM wallet_transactions o
         WHERE (w.idempotency_key, o.idempotency_key) IN (('1:1', '1:2'), ('1:2', '1:1'))",
        2,
        "row 6 was reordered or replaced: expected transaction ID, found ID, which was sealed as row 7",
    ),
    (
        "ALTER TABLE wallet_transactions ALTER seq DROP IDENTITY;
         UPDATE wallet_transactions SET seq = 99 WHERE idempotency_key = '1:1'",
        1,
        "row 6, transaction ID, was reordered: expected it here, found it as row 99",
    ),
    (
        "INSERT INTO wallet_transactions (seq, id, debit_account, credit_account, amount_paise, kind, idempotency_key, input_hash)
         OVERRIDING SYSTEM VALUE SELECT seq, gen_random_uuid(), '00000000-0000-0000-0000-000000000001',
         '00000000-0000-0000-0000-000000000002', 5, 'correction', 'slipped in', input_hash FROM wallet_transactions
         WHERE idempotency_key = '1:1'",
        1,
        "row 6, transaction ID, was slipped in: expected nothing here, found a row that was sealed nowhere",
    ),
    ("UPDATE wallet_seals SET hash = sha256('x') WHERE number = 2", 2, "the seal of block 2 was altered: expected hash"),
    ("DELETE FROM wallet_seals WHERE number = 2", 5, "the seal of block 2 was altered: expected a seal, found none"),
];

#[tokio::test]
async fn every_kind_of_tampering_is_told_by_its_row() {
    for (statements, count, told) in TAMPERING {
        let shop = sealed_shop().await;
        let mut client = shop.client().await;
        client
            .batch_execute(
                "ALTER TABLE wallet_transactions DISABLE TRIGGER USER; ALTER TABLE wallet_seals DISABLE TRIGGER USER",
            )
            .await
            .unwrap();
        client.batch_execute(statements).await.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
        let verified = verify(&mut client, None).await;
        let faults: Vec<_> = verified.faults.iter().map(|fault| without_ids(&fault.to_string())).collect();
        assert!(faults.first().is_some_and(|fault| fault.contains(told)), "{statements}: {faults:?}");
        assert_eq!(verified.fault_count, count, "{statements}: {faults:?}");
    }
}

/// The text with ids of random value left out.
fn without_ids(text: &str) -> String {
    let words =
        text.split(' ').map(|word| if word.matches('-').count() == 4 { word.get(36..).unwrap_or(word) } else { word });
    let words: Vec<_> =
        words.map(|word| if word.is_empty() || word == "," { format!("ID{word}") } else { word.to_owned() }).collect();
    words.join(" ")
}

#[tokio::test]
async fn blocks_of_which_only_the_hash_is_known_are_verified_too() {
    let shop = sealed_shop().await;
    let mut client = shop.client().await;
    client
        .batch_execute(
            "ALTER TABLE wallet_transactions DISABLE TRIGGER USER; ALTER TABLE wallet_seals DISABLE TRIGGER USER;
             UPDATE wallet_seals SET row_seqs = NULL, row_ids = NULL, row_digests = NULL WHERE number < 3",
        )
        .await
        .unwrap();
    assert_eq!(verify(&mut client, None).await.faults, []);
    client.batch_execute("DELETE FROM wallet_transactions WHERE idempotency_key = '1:2'").await.unwrap();
    let faults = verify(&mut client, None).await.faults;
    assert!(faults.len() == 1 && faults[0].to_string().starts_with("block 2, rows 5 to 8, was altered"), "{faults:?}");
}

#[tokio::test]
async fn a_chain_that_was_rewritten_as_a_whole_differs_from_the_head_that_was_kept_outside() {
    let shop = sealed_shop().await;
    let mut client = shop.client().await;
    let kept = chain::last(&client).await.unwrap().keep();
    assert_eq!(kept.to_string().parse::<chain::KeptHead>().unwrap(), kept);
    assert_eq!(verify(&mut client, Some(&kept)).await.faults, []);
    client
        .batch_execute(
            "ALTER TABLE wallet_transactions DISABLE TRIGGER USER; ALTER TABLE wallet_seals DISABLE TRIGGER USER;
             UPDATE wallet_transactions SET amount_paise = 1 WHERE idempotency_key = '0:1'; DELETE FROM wallet_seals",
        )
        .await
        .unwrap();
    assert_eq!(chain::seal(&mut client).await.unwrap().rows, 12);
    assert_eq!(verify(&mut client, None).await.faults, [], "by itself it looks whole");
    let faults = verify(&mut client, Some(&kept)).await.faults;
    assert!(faults.len() == 1 && faults[0].to_string().contains("kept outside"), "the head tells: {faults:?}");
}

#[tokio::test]
async fn rows_that_are_written_while_it_is_sealed_are_neither_lost_nor_sealed_half() {
    let shop = Shop::open().await;
    let mut users = Vec::new();
    for name in 0..4 {
        users.push(shop.shopper(&format!("s{name}")).await);
    }
    let writers: Vec<_> = users
        .iter()
        .enumerate()
        .map(|(writer, user)| {
            let (pool, user) = (shop.pool.clone(), *user);
            tokio::spawn(async move {
                let mut client = pool.get().await.unwrap();
                for turn in 0..60 {
                    let transaction = client.transaction().await.unwrap();
                    wallet::post(&transaction, &credit(user, &format!("{writer}:{turn}"))).await.unwrap();
                    // Some are rolled back, so that numbers are missing.
                    if turn % 5 == 4 {
                        transaction.rollback().await.unwrap();
                    } else {
                        transaction.commit().await.unwrap();
                    }
                }
            })
        })
        .collect();
    let mut client = shop.client().await;
    let mut other = shop.client().await;
    let mut sealed = 0;
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        let (one, two) = tokio::join!(chain::seal(&mut client), chain::seal(&mut other));
        sealed += one.unwrap().rows + two.unwrap().rows;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    sealed += chain::seal(&mut client).await.unwrap().rows;
    assert_eq!(sealed, 4 * 48);
    let verified = verify(&mut client, None).await;
    assert_eq!((verified.rows, verified.unsealed.0, verified.faults), (4 * 48, 0, vec![]));
}
