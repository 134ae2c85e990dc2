//! Postings: once per key, never too much, in parallel without a deadlock, and for ever.

use std::collections::HashSet;
use std::sync::Arc;

use domain::ids::UserId;
use domain::money::Paise;
use domain::wallet::{Account, Transfer, TransferKind};
use serde_json::json;
use store::StoreError;
use store::wallet::{self, LedgerError};
use testkit::Database;

use crate::shop::{Shop, balance, count};

fn credit(user: UserId, paise: i64, key: &str) -> Transfer {
    Transfer {
        debit: Account::CashbackExpense,
        credit: Account::User(user),
        amount: Paise::new(paise),
        kind: TransferKind::CashbackCredit,
        key: key.to_owned(),
        reason: json!({"test": key}),
    }
}

fn debit(user: UserId, paise: i64, key: &str, kind: TransferKind) -> Transfer {
    Transfer { debit: Account::User(user), credit: Account::PayoutClearing, kind, ..credit(user, paise, key) }
}

/// A pool with this many connections.
fn pool_of(database: &Database, connections: &str) -> store::Pool {
    let url = database.url();
    let source = config::Map::from([("DATABASE_URL", url.as_str()), ("DATABASE_MAX_CONNECTIONS", connections)]);
    let mut reader = config::Reader::new(&source);
    store::Pool::connect(&store::Settings::read(&mut reader)).unwrap()
}

#[tokio::test]
async fn sixty_four_replays_at_once_have_one_effect_and_one_answer() {
    let shop = Shop::open().await;
    let asha = shop.shopper("asha").await;
    let pool = pool_of(&shop.database, "32");
    let single = credit(asha, 700, "one");
    let batch = Arc::new(vec![credit(asha, 11, "a"), credit(asha, 31, "b")]);
    let tasks = (0..64).map(|turn| {
        let (pool, single, batch) = (pool.clone(), single.clone(), batch.clone());
        tokio::spawn(async move {
            let client = pool.get().await.unwrap();
            if turn % 2 == 0 {
                vec![wallet::post(&client, &single).await.unwrap()]
            } else {
                wallet::post_many(&client, &batch).await.unwrap()
            }
        })
    });
    let answers: Vec<_> = futures_util::future::join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect();
    let ids: HashSet<_> = answers.iter().map(|posted| posted.id).collect();
    assert_eq!(ids.len(), 3, "three keys, three rows");
    assert_eq!(answers.iter().filter(|posted| !posted.replayed).count(), 3, "each had its effect once");
    assert_eq!(balance(&shop, asha).await, 742);
    assert_eq!(count(&shop, "wallet_transactions").await, 3);
}

#[tokio::test]
async fn thirty_two_writers_on_ten_wallets_end_without_a_deadlock_and_with_the_right_sums() {
    let shop = Shop::open().await;
    let mut users = Vec::new();
    for name in 0..10 {
        users.push(shop.shopper(&format!("s{name}")).await);
    }
    let pool = pool_of(&shop.database, "32");
    let users = Arc::new(users);
    let tasks = (0..32_usize).map(|writer| {
        let (pool, users) = (pool.clone(), users.clone());
        tokio::spawn(async move {
            let client = pool.get().await.unwrap();
            for turn in 0..20_usize {
                // Every writer walks the wallets in another order.
                let at = |step: usize| users[(writer * 7 + turn * 3 + step * (1 + writer % 9)) % users.len()];
                if turn % 3 == 0 {
                    wallet::post(&client, &credit(at(0), 5, &format!("{writer}:{turn}"))).await.unwrap();
                } else {
                    let batch: Vec<_> =
                        (0..4).map(|step| credit(at(step), 5, &format!("{writer}:{turn}:{step}"))).collect();
                    wallet::post_many(&client, &batch).await.unwrap();
                }
            }
        })
    });
    for ended in futures_util::future::join_all(tasks).await {
        ended.unwrap();
    }
    let entries = 32 * (7 + 13 * 4);
    assert_eq!(count(&shop, "wallet_transactions").await, entries);
    let client = shop.client().await;
    assert!(wallet::drift(&client, 10).await.unwrap().is_empty());
    let mut total = 0;
    for user in users.iter() {
        total += balance(&shop, *user).await;
    }
    assert_eq!(total, entries * 5);
    let expense = wallet::account_sum(&client, Account::CashbackExpense.id()).await.unwrap();
    assert_eq!(expense, Paise::new(-total), "what the shoppers have, the platform gave");
}

#[tokio::test]
async fn thirty_two_withdrawals_at_once_cannot_overdraw_one_wallet() {
    let shop = Shop::open().await;
    let asha = shop.shopper("asha").await;
    let pool = pool_of(&shop.database, "32");
    wallet::post(&shop.client().await, &credit(asha, 1_000, "start")).await.unwrap();
    let tasks = (0..32).map(|turn| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let client = pool.get().await.unwrap();
            wallet::post(&client, &debit(asha, 300, &format!("w{turn}"), TransferKind::Withdrawal)).await
        })
    });
    let answers: Vec<_> = futures_util::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3, "1,000 pays 300 three times");
    assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(LedgerError::Insufficient))));
    assert_eq!(balance(&shop, asha).await, 100);
}

#[tokio::test]
async fn a_key_stands_for_its_input_and_only_a_clawback_goes_below_zero() {
    let shop = Shop::open().await;
    let (asha, ravi) = (shop.shopper("asha").await, shop.shopper("ravi").await);
    let client = shop.client().await;
    let first = wallet::post(&client, &credit(asha, 100, "k")).await.unwrap();
    for other in [credit(asha, 101, "k"), credit(ravi, 100, "k"), debit(asha, 100, "k", TransferKind::Withdrawal)] {
        assert!(matches!(wallet::post(&client, &other).await, Err(LedgerError::OtherInput)), "{other:?}");
        let batch = [credit(ravi, 1, "fresh"), other];
        assert!(matches!(wallet::post_many(&client, &batch).await, Err(LedgerError::OtherInput)));
    }
    assert_eq!(balance(&shop, ravi).await, 0, "a batch is all or nothing");

    for batch in [
        vec![debit(asha, 101, "too much", TransferKind::Withdrawal)],
        vec![credit(asha, 1, "x"), debit(asha, 102, "y", TransferKind::Withdrawal)],
    ] {
        assert!(matches!(wallet::post_many(&client, &batch).await, Err(LedgerError::Insufficient)));
        if batch.len() == 1 {
            assert!(matches!(wallet::post(&client, &batch[0]).await, Err(LedgerError::Insufficient)));
        }
    }
    let after = wallet::post(&client, &debit(asha, 150, "back", TransferKind::CashbackClawback)).await.unwrap();
    assert_eq!(after.balance, Some(Paise::new(-50)));
    // The first answer again, although the wallet has changed since.
    let again = wallet::post(&client, &credit(asha, 100, "k")).await.unwrap();
    assert_eq!((again.id, again.replayed, again.balance), (first.id, true, Some(Paise::new(100))));
    assert_eq!(balance(&shop, asha).await, -50);

    let nobody = credit(UserId::generate(), 1, "nobody");
    assert!(matches!(wallet::post(&client, &nobody).await, Err(LedgerError::NoAccount)));
    assert!(matches!(wallet::post_many(&client, &[nobody]).await, Err(LedgerError::NoAccount)));
    let two = Transfer { debit: Account::User(ravi), ..credit(asha, 1, "two shoppers") };
    assert!(matches!(wallet::post(&client, &two).await, Err(LedgerError::NoAccount)));
}

#[tokio::test]
async fn the_database_itself_refuses_to_change_what_was_posted() {
    let shop = Shop::open().await;
    let asha = shop.shopper("asha").await;
    let client = shop.client().await;
    wallet::post(&client, &credit(asha, 100, "k")).await.unwrap();
    for statement in [
        "UPDATE wallet_transactions SET amount_paise = 1",
        "DELETE FROM wallet_transactions",
        "TRUNCATE wallet_transactions CASCADE",
        "UPDATE wallet_seals SET row_count = 1",
        "TRUNCATE cashback_history",
        "INSERT INTO wallet_transactions (id, debit_account, credit_account, amount_paise, kind, idempotency_key, input_hash, user_id, balance_after_paise)
         SELECT gen_random_uuid(), user_id, '00000000-0000-0000-0000-000000000002', 500, 'withdrawal', 'past the door', input_hash, user_id, -400
         FROM wallet_transactions",
        "INSERT INTO wallet_transactions (id, debit_account, credit_account, amount_paise, kind, idempotency_key, input_hash)
         SELECT gen_random_uuid(), debit_account, debit_account, 0, kind, 'nothing', input_hash FROM wallet_transactions",
    ] {
        let outcome = client.batch_execute(statement).await.map_err(StoreError::from);
        // An empty table has no row to refuse; its TRUNCATE is refused all the same.
        let is_of_empty_table = statement.starts_with("UPDATE wallet_seals");
        assert!(outcome.is_err() || is_of_empty_table, "{statement}");
    }
    assert_eq!(count(&shop, "wallet_transactions").await, 1);
    assert_eq!(balance(&shop, asha).await, 100);
}
