//! Money out, against the simulated RazorpayX.

use domain::ids::WithdrawalId;
use domain::money::Paise;
use domain::wallet::WithdrawalStatus;
use serde_json::json;
use store::withdrawals::{self, NewWithdrawal, Withdrawal};
use testkit::{Sim, eventually, eventually_true};

use crate::shop::{SECRET, SOON, Shop};

async fn shop(sim: &Sim) -> Shop {
    let base = sim.at("/razorpay");
    let shop = Shop::open_with(&[
        ("RAZORPAY_BASE_URL", &base),
        ("RAZORPAY_KEY_ID", "rzp_test_synthetic"),
        ("RAZORPAY_KEY_SECRET", "synthetic"),
        ("RAZORPAYX_ACCOUNT_NUMBER", "7878780080316316"),
    ])
    .await;
    let webhook = shop.url("/webhooks/razorpay");
    let settings =
        json!({"razorpay_webhook_url": webhook, "razorpay_webhook_secret": SECRET, "razorpay_payout_step_ms": 20});
    sim.post("/_sim/config", &settings).await;
    shop
}

async fn withdraw(shop: &Shop, fund_account: &str) -> WithdrawalId {
    let user = shop.shopper().await;
    shop.credit(user, 500).await;
    let new = NewWithdrawal {
        id: WithdrawalId::generate(),
        user_id: user,
        amount: Paise::new(50_000),
        fund_account_id: fund_account.to_owned(),
        idempotency_key: "w".to_owned(),
    };
    withdrawals::request(&shop.client().await, &new).await.unwrap().id
}

async fn ends(shop: &Shop, id: WithdrawalId, status: WithdrawalStatus) -> Withdrawal {
    eventually(&format!("the withdrawal is {status:?}"), SOON, async || {
        let found = withdrawals::find(&shop.client().await, id).await.unwrap().unwrap();
        (found.status == status).then_some(found)
    })
    .await
}

async fn balance(shop: &Shop, withdrawal: &Withdrawal) -> i64 {
    store::wallet::balance(&shop.client().await, withdrawal.user_id).await.unwrap().unwrap().get()
}

#[tokio::test]
async fn a_withdrawal_is_paid_out_once_and_reported() {
    let sim = Sim::start();
    let shop = shop(&sim).await;
    let id = withdraw(&shop, "fa_SYNTH000000001").await;
    let done = ends(&shop, id, WithdrawalStatus::Processed).await;
    assert!(done.payout_id.is_some());
    assert_eq!(balance(&shop, &done).await, 0);
    // The same job again, as after a crash: no second payout.
    let job = domain::jobs::payment::StartPayout { withdrawal_id: id };
    queue::Producer::new(shop.kv()).enqueue(queue::Enqueue::new(&job)).await.unwrap();
    eventually_true("it is done", SOON, async || {
        let stats = queue::admin::stats(&shop.kv(), domain::job::Queue::Payments).await.unwrap();
        stats.waiting == 0 && stats.in_flight == 0
    })
    .await;
    assert_eq!(sim.get("/_sim/payouts").await["payouts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_payout_that_comes_back_gives_the_money_back_once() {
    let sim = Sim::start();
    let shop = shop(&sim).await;
    let id = withdraw(&shop, "fa_reverse0000001").await;
    let done = ends(&shop, id, WithdrawalStatus::Reversed).await;
    assert_eq!(balance(&shop, &done).await, 50_000);
}

#[tokio::test]
async fn a_payout_that_razorpay_refuses_gives_the_money_back_and_tells_a_person() {
    let sim = Sim::start();
    let shop = shop(&sim).await;
    let id = withdraw(&shop, "not-a-fund-account").await;
    let done = ends(&shop, id, WithdrawalStatus::Failed).await;
    assert_eq!(balance(&shop, &done).await, 50_000);
    assert_eq!(
        shop.count("SELECT count(*) FROM outbox WHERE payload #>> '{message,title}' = 'RazorpayX refused a payout'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_payout_of_a_shopper_whose_withdrawals_were_blocked_meanwhile_waits() {
    let sim = Sim::start();
    let shop = shop(&sim).await;
    let user = shop.shopper().await;
    shop.credit(user, 500).await;
    let new = NewWithdrawal {
        id: WithdrawalId::generate(),
        user_id: user,
        amount: Paise::new(50_000),
        fund_account_id: "fa_SYNTH000000001".to_owned(),
        idempotency_key: "w".to_owned(),
    };
    // In one commit, so that the payout cannot begin in between.
    let mut client = shop.client().await;
    let transaction = client.transaction().await.unwrap();
    withdrawals::request(&transaction, &new).await.unwrap();
    store::users::set_frozen(&transaction, user, true).await.unwrap();
    transaction.commit().await.unwrap();
    eventually_true("the payout is put off", SOON, async || {
        queue::admin::stats(&shop.kv(), domain::job::Queue::Payments).await.unwrap().delayed == 1
    })
    .await;
    assert_eq!(sim.get("/_sim/payouts").await["payouts"].as_array().unwrap().len(), 0);
    store::users::set_frozen(&shop.client().await, user, false).await.unwrap();
    let job = domain::jobs::payment::StartPayout { withdrawal_id: new.id };
    queue::Producer::new(shop.kv()).enqueue(queue::Enqueue::new(&job)).await.unwrap();
    ends(&shop, new.id, WithdrawalStatus::Processed).await;
    assert_eq!(sim.get("/_sim/payouts").await["payouts"].as_array().unwrap().len(), 1);
}
