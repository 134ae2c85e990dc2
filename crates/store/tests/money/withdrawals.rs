//! Withdrawals: never more than there is, and what becomes of the money whatever order the provider's news come in.

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{UserId, WithdrawalId};
use domain::money::Paise;
use domain::wallet::{Account, PayoutState, Transfer, TransferKind, WithdrawalStatus};
use store::wallet;
use store::withdrawals::{self, NewWithdrawal, PayoutEffect, PayoutError, PayoutNews, RequestError};

use crate::shop::{Shop, balance, count};

async fn shopper_with(shop: &Shop, name: &str, paise: i64) -> UserId {
    let user = shop.shopper(name).await;
    let transfer = Transfer {
        debit: Account::Adjustments,
        credit: Account::User(user),
        amount: Paise::new(paise),
        kind: TransferKind::Goodwill,
        key: format!("start:{user}"),
        reason: serde_json::json!({}),
    };
    wallet::post(&shop.client().await, &transfer).await.unwrap();
    user
}

fn wish(user: UserId, paise: i64, key: &str) -> NewWithdrawal {
    NewWithdrawal {
        id: WithdrawalId::generate(),
        user_id: user,
        amount: Paise::new(paise),
        fund_account_id: "fa_test".to_owned(),
        idempotency_key: format!("{user}:{key}"),
    }
}

pub(crate) fn news(id: WithdrawalId, state: PayoutState, paise: i64, at: DateTime<Utc>) -> PayoutNews {
    PayoutNews {
        payout_id: format!("pout_{}", id.as_uuid().simple()),
        withdrawal_id: Some(id),
        state,
        provider_status: format!("{state:?}").to_lowercase(),
        amount: Paise::new(paise),
        utr: (state == PayoutState::Processed).then(|| "UTR1".to_owned()),
        reason: state.returns_money().then(|| "no such account".to_owned()),
        at,
    }
}

pub(crate) async fn tell(shop: &Shop, news: &PayoutNews) -> Result<PayoutEffect, PayoutError> {
    let mut client = shop.client().await;
    let transaction = client.transaction().await.unwrap();
    let effect = withdrawals::apply_payout(&transaction, news).await?;
    transaction.commit().await.unwrap();
    Ok(effect)
}

#[tokio::test]
async fn two_wishes_at_once_cannot_overdraw_and_one_wish_twice_is_one() {
    let shop = Shop::open().await;
    let asha = shopper_with(&shop, "asha", 50_000).await;
    let tasks = (0..16).map(|turn| {
        let pool = shop.pool.clone();
        tokio::spawn(async move {
            withdrawals::request(&pool.get().await.unwrap(), &wish(asha, 20_000, &turn.to_string())).await
        })
    });
    let answers: Vec<_> = futures_util::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
    let told = answers.iter().filter_map(|answer| match answer {
        Ok(_) => None,
        Err(RequestError::Insufficient { available }) => Some(available.get()),
        Err(error) => panic!("{error}"),
    });
    assert!(told.into_iter().all(|available| [10_000, 30_000].contains(&available)));
    assert_eq!(balance(&shop, asha).await, 10_000);

    let ravi = shopper_with(&shop, "ravi", 50_000).await;
    let tasks = (0..16).map(|_| {
        let pool = shop.pool.clone();
        tokio::spawn(async move {
            withdrawals::request(&pool.get().await.unwrap(), &wish(ravi, 20_000, "same")).await.unwrap().id
        })
    });
    let ids: std::collections::HashSet<_> =
        futures_util::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    assert_eq!((ids.len(), balance(&shop, ravi).await), (1, 30_000));
    assert_eq!(count(&shop, "outbox WHERE kind = 'payout.start'").await, 3, "one payout each");
}

#[tokio::test]
async fn a_wish_is_refused_for_a_reason() {
    let shop = Shop::open().await;
    let asha = shopper_with(&shop, "asha", 50_000).await;
    let client = shop.client().await;
    let refused = withdrawals::request(&client, &wish(asha, 9_999, "a")).await;
    assert!(matches!(refused, Err(RequestError::BelowMinimum { minimum }) if minimum == Paise::new(10_000)));
    let refused = withdrawals::request(&client, &wish(asha, 50_001, "b")).await;
    assert!(matches!(refused, Err(RequestError::Insufficient { available }) if available == Paise::new(50_000)));
    let refused = withdrawals::request(&client, &wish(UserId::generate(), 10_000, "c")).await;
    assert!(matches!(refused, Err(RequestError::NoWallet)));
    withdrawals::request(&client, &wish(asha, 10_000, "d")).await.unwrap();
    let refused = withdrawals::request(&client, &wish(asha, 10_001, "d")).await;
    assert!(matches!(refused, Err(RequestError::OtherInput)));
    client.execute("UPDATE users SET frozen_at = now() WHERE id = $1", &[&asha]).await.unwrap();
    let refused = withdrawals::request(&client, &wish(asha, 10_000, "e")).await;
    assert!(matches!(refused, Err(RequestError::Frozen)));
    assert_eq!(balance(&shop, asha).await, 40_000);
}

/// All orders of these places, each place once.
fn orders(length: usize) -> Vec<Vec<usize>> {
    if length == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in orders(length - 1) {
        for place in 0..length {
            let mut order = shorter.clone();
            order.insert(place, length - 1);
            all.push(order);
        }
    }
    all
}

#[tokio::test]
async fn a_payouts_news_end_the_same_in_whatever_order_they_come() {
    use PayoutState::{Failed, Processed, Processing, Reversed, Waiting};
    let lives: [(&[PayoutState], WithdrawalStatus, i64, i64); 5] = [
        (&[Waiting, Processing, Processed], WithdrawalStatus::Processed, 30_000, -20_000),
        (&[Waiting, Processing, Failed], WithdrawalStatus::Failed, 50_000, 0),
        (&[Waiting, Processing, Processed, Reversed], WithdrawalStatus::Reversed, 50_000, 0),
        // Every word, and some twice.
        (&[Processing, Processed, Processed, Reversed, Failed], WithdrawalStatus::Reversed, 50_000, 0),
        (&[Waiting, Waiting, Processing, Processed], WithdrawalStatus::Processed, 30_000, -20_000),
    ];
    let shop = Shop::open().await;
    let client = shop.client().await;
    for (states, status, left, _) in lives {
        for order in orders(states.len()) {
            let user = shopper_with(&shop, "s", 50_000).await;
            let id = withdrawals::request(&client, &wish(user, 20_000, "w")).await.unwrap().id;
            for place in order.iter().chain(&order) {
                let at = shop.start + TimeDelta::seconds(i64::try_from(*place).unwrap());
                tell(&shop, &news(id, states[*place], 20_000, at)).await.unwrap();
            }
            let found = withdrawals::find(&client, id).await.unwrap().unwrap();
            let what = || order.iter().map(|place| format!("{:?}", states[*place])).collect::<Vec<_>>().join(", ");
            assert_eq!((found.status, balance(&shop, user).await), (status, left), "{}", what());
            let entries = client
                .query_one(
                    "SELECT count(*) FILTER (WHERE kind = 'withdrawal_return'), count(*) FILTER (WHERE kind = 'payout_settled'),
                            count(*) FILTER (WHERE kind = 'payout_recalled'),
                            sum(CASE WHEN debit_account = '00000000-0000-0000-0000-000000000002' THEN -amount_paise
                                     WHEN credit_account = '00000000-0000-0000-0000-000000000002' THEN amount_paise ELSE 0 END)::bigint
                     FROM wallet_transactions WHERE reason->>'withdrawal_id' = $1",
                    &[&id.to_string()],
                )
                .await
                .unwrap();
            let (returned, settled, recalled, clearing): (i64, i64, i64, i64) =
                (entries.get(0), entries.get(1), entries.get(2), entries.get(3));
            assert_eq!(returned, i64::from(left == 50_000), "{}", what());
            assert!(
                recalled <= settled && settled <= 1 && clearing == 0,
                "{}: {settled} {recalled} {clearing}",
                what()
            );
        }
    }
    assert!(wallet::drift(&client, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn news_of_another_amount_or_payout_move_nothing() {
    let shop = Shop::open().await;
    let asha = shopper_with(&shop, "asha", 50_000).await;
    let id = withdrawals::request(&shop.client().await, &wish(asha, 20_000, "w")).await.unwrap().id;
    let at = shop.start;
    let other = tell(&shop, &news(id, PayoutState::Failed, 20_001, at)).await;
    assert!(matches!(other, Err(PayoutError::OtherAmount { .. })));
    tell(&shop, &news(id, PayoutState::Processing, 20_000, at)).await.unwrap();
    let mut second = news(id, PayoutState::Failed, 20_000, at);
    second.payout_id = "pout_other".to_owned();
    assert!(matches!(tell(&shop, &second).await, Err(PayoutError::OtherPayout { .. })));
    let unknown = news(WithdrawalId::generate(), PayoutState::Failed, 20_000, at);
    assert!(matches!(tell(&shop, &unknown).await, Err(PayoutError::UnknownWithdrawal(_))));
    assert_eq!(balance(&shop, asha).await, 30_000);
}

#[tokio::test]
async fn a_withdrawal_waits_for_what_is_held_and_for_what_no_network_has_paid() {
    let shop = Shop::open().await;
    let asha = shop.shopper("asha").await;
    let client = shop.client().await;
    client
        .batch_execute("INSERT INTO cashback_rules (valid_from, holding_days, min_withdrawal_paise, advance_limit_paise, note, set_by)
                        VALUES (now() - interval '1 hour', 7, 10000, 15000, 'test', 'test')")
        .await
        .unwrap();
    let click = shop.click(domain::network::Network::Admitad, Some(asha), 10_000, None);
    shop.record(std::slice::from_ref(&click)).await;
    let settle = async |age: i64, funded: bool, now: DateTime<Utc>| {
        let mut report = shop.report(domain::network::Network::Admitad, "1", Some(click.click_id), age);
        report.status = domain::transaction::TransactionStatus::Confirmed;
        report.funded = funded;
        report.commission = Paise::new(40_000);
        let mut client = shop.client().await;
        let transaction = client.transaction().await.unwrap();
        store::cashback::settle(&transaction, report.network, &[report], "pull", now).await.unwrap();
        transaction.commit().await.unwrap();
    };
    // Confirmed a moment ago: held for a week.
    settle(1, false, Utc::now()).await;
    assert_eq!(balance(&shop, asha).await, 40_000);
    let view = wallet::overview(&client, asha).await.unwrap().unwrap();
    assert_eq!(view.withdrawable, Paise::ZERO);
    // A week later, but unfunded: only the advance.
    client.execute("UPDATE cashback_events SET held_until = now() - interval '1 second'", &[]).await.unwrap();
    let view = wallet::overview(&client, asha).await.unwrap().unwrap();
    assert_eq!(view.withdrawable, Paise::new(15_000));
    assert!(matches!(
        withdrawals::request(&client, &wish(asha, 15_001, "a")).await,
        Err(RequestError::Insufficient { .. })
    ));
    withdrawals::request(&client, &wish(asha, 15_000, "b")).await.unwrap();
    let view = wallet::overview(&client, asha).await.unwrap().unwrap();
    assert_eq!(view.withdrawable, Paise::ZERO, "the advance is used up");
    // The network pays.
    settle(2, true, Utc::now()).await;
    let view = wallet::overview(&client, asha).await.unwrap().unwrap();
    assert_eq!(view.withdrawable, Paise::new(25_000));
    let mut again = shop.client().await;
    store::cashback::release_held(&mut again, Utc::now(), 100).await.unwrap();
    assert_eq!(count(&shop, "cashback_events WHERE status = 'payable'").await, 1);
}

#[tokio::test]
async fn what_a_wish_belongs_to_is_in_its_entry_and_in_its_promise_whoever_calls_the_function() {
    let shop = Shop::open().await;
    let asha = shopper_with(&shop, "asha", 50_000).await;
    let mut client = shop.client().await;
    let transaction = client.transaction().await.unwrap();
    transaction.execute("SELECT set_config('shop.correlation_id', 'story-9', true)", &[]).await.unwrap();
    let wish = "SELECT request_withdrawal($1, $2, 20000, 'fa_test', 'wish-9')";
    transaction.execute(wish, &[&WithdrawalId::generate(), &asha]).await.unwrap();
    transaction.commit().await.unwrap();
    let sql = "SELECT w.reason->>'correlation_id', o.correlation_id FROM wallet_transactions w, outbox o
               WHERE w.kind = 'withdrawal' AND o.kind = 'payout.start'";
    let row = client.query_one(sql, &[]).await.unwrap();
    let (entry, promise): (Option<String>, Option<String>) = (row.get(0), row.get(1));
    assert_eq!((entry.as_deref(), promise.as_deref()), (Some("story-9"), Some("story-9")));
    // The next transaction on the same connection belongs to nothing.
    let reason: Option<String> = {
        wallet::post(
            &client,
            &Transfer {
                debit: Account::Adjustments,
                credit: Account::User(asha),
                amount: Paise::new(100),
                kind: TransferKind::Goodwill,
                key: "after".to_owned(),
                reason: serde_json::json!({}),
            },
        )
        .await
        .unwrap();
        let sql = "SELECT reason->>'correlation_id' FROM wallet_transactions WHERE idempotency_key = 'after'";
        client.query_one(sql, &[]).await.unwrap().get(0)
    };
    assert_eq!(reason, None);
}
