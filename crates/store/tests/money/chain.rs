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
        assert_eq!(chain::seal(&mut client).await.unwrap(), 4);
    }
    assert_eq!(chain::seal(&mut client).await.unwrap(), 0, "nothing is sealed twice");
    shop
}

#[tokio::test]
async fn an_honest_ledger_verifies_and_tells_what_waits() {
    let shop = sealed_shop().await;
    let asha = shop.shopper("ravi").await;
    let client = shop.client().await;
    wallet::post(&client, &credit(asha, "new")).await.unwrap();
    let verified = chain::verify(&client, None).await.unwrap();
    assert_eq!((verified.rows, verified.head.number, verified.fault), (12, 3, None));
    assert_eq!(verified.unsealed.0, 1);
    assert!(verified.unsealed.1.is_some());
}

#[tokio::test]
async fn every_kind_of_tampering_is_found() {
    let tampering = [
        ("an amount", "UPDATE wallet_transactions SET amount_paise = amount_paise + 1 WHERE idempotency_key = '1:2'"),
        ("a beneficiary", "UPDATE wallet_transactions SET debit_account = '00000000-0000-0000-0000-000000000004' WHERE idempotency_key = '0:0'"),
        ("a reason", "UPDATE wallet_transactions SET reason = '{}' WHERE idempotency_key = '2:3'"),
        ("a time", "UPDATE wallet_transactions SET created_at = created_at + interval '1 second' WHERE idempotency_key = '1:0'"),
        ("a balance", "UPDATE wallet_transactions SET balance_after_paise = 7 WHERE idempotency_key = '1:0'"),
        ("a row is gone", "DELETE FROM wallet_transactions WHERE idempotency_key = '1:1'"),
        ("the last row is gone", "DELETE FROM wallet_transactions WHERE idempotency_key = '2:3'"),
        ("two rows change places", "ALTER TABLE wallet_transactions ALTER seq DROP IDENTITY;
             UPDATE wallet_transactions w SET seq = o.seq FROM wallet_transactions o
             WHERE (w.idempotency_key, o.idempotency_key) IN (('1:1', '1:2'), ('1:2', '1:1'))"),
        ("a row is slipped in", "INSERT INTO wallet_transactions (seq, id, debit_account, credit_account, amount_paise, kind, idempotency_key, input_hash)
             OVERRIDING SYSTEM VALUE SELECT seq, gen_random_uuid(), '00000000-0000-0000-0000-000000000001',
             '00000000-0000-0000-0000-000000000002', 5, 'correction', 'slipped in', input_hash FROM wallet_transactions WHERE idempotency_key = '1:1'"),
        ("a seal", "UPDATE wallet_seals SET hash = sha256('x') WHERE number = 2"),
        ("a seal is gone", "DELETE FROM wallet_seals WHERE number = 2"),
    ];
    for (name, statements) in tampering {
        let shop = sealed_shop().await;
        let client = shop.client().await;
        client
            .batch_execute(
                "ALTER TABLE wallet_transactions DISABLE TRIGGER USER; ALTER TABLE wallet_seals DISABLE TRIGGER USER",
            )
            .await
            .unwrap();
        client.batch_execute(statements).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let verified = chain::verify(&client, None).await.unwrap();
        assert!(verified.fault.is_some(), "{name} was not found");
    }
}

#[tokio::test]
async fn a_chain_that_was_rewritten_as_a_whole_differs_from_the_head_that_was_kept_outside() {
    let shop = sealed_shop().await;
    let mut client = shop.client().await;
    let kept = chain::last(&client).await.unwrap();
    assert_eq!(chain::verify(&client, Some(&kept)).await.unwrap().fault, None);
    client
        .batch_execute(
            "ALTER TABLE wallet_transactions DISABLE TRIGGER USER; ALTER TABLE wallet_seals DISABLE TRIGGER USER;
             UPDATE wallet_transactions SET amount_paise = 1 WHERE idempotency_key = '0:1'; DELETE FROM wallet_seals",
        )
        .await
        .unwrap();
    assert_eq!(chain::seal(&mut client).await.unwrap(), 12);
    assert_eq!(chain::verify(&client, None).await.unwrap().fault, None, "by itself it looks whole");
    let fault = chain::verify(&client, Some(&kept)).await.unwrap().fault.expect("the head tells");
    assert!(fault.contains("kept outside"), "{fault}");
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
        sealed += one.unwrap() + two.unwrap();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    sealed += chain::seal(&mut client).await.unwrap();
    assert_eq!(sealed, 4 * 48);
    let verified = chain::verify(&client, None).await.unwrap();
    assert_eq!((verified.rows, verified.unsealed.0, verified.fault), (4 * 48, 0, None));
}
