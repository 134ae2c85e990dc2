//! Every ordering of up to six events of each entity, each event sent twice, ends in the same state.

use std::collections::HashMap;

use domain::ids::WithdrawalId;
use domain::money::Paise;
use serde_json::{Value, json};

use crate::events::{event, payment, payout, refund};
use crate::shop::Shop;

/// All orderings of `0..n`.
pub(crate) fn orderings(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in orderings(n - 1) {
        for place in 0..n {
            let mut longer = shorter.clone();
            longer.insert(place, n - 1);
            all.push(longer);
        }
    }
    all
}

/// Sends, for each ordering, its events one after the other, each twice; different orderings side by side.
async fn play(shop: &Shop, orderings: &[Vec<usize>], body: impl Fn(usize, usize) -> String) {
    let length = orderings.first().map_or(0, Vec::len);
    let mut done = 0;
    for step in 0..length {
        for chunk in orderings.iter().enumerate().collect::<Vec<_>>().chunks(32) {
            let sent = chunk.iter().map(|(number, ordering)| {
                let (body, id) = (body(*number, ordering[step]), format!("evt{number}-{}", ordering[step]));
                async move { (shop.razorpay_as(&id, &body).await, shop.razorpay_as(&id, &body).await) }
            });
            for (first, second) in futures_util::future::join_all(sent).await {
                assert_eq!((first.as_u16(), second.as_u16()), (200, 200));
            }
        }
        done += i64::try_from(orderings.len()).unwrap();
        shop.worked_off(done).await;
    }
    assert!(shop.dead(domain::job::Queue::Payments).await.is_empty(), "no event failed");
}

#[tokio::test]
async fn all_720_orderings_of_a_payment_and_its_refund_end_in_the_same_order() {
    let shop = Shop::open().await;
    let (user, product) = (shop.shopper().await, shop.product(720).await);
    let orderings = orderings(6);
    assert_eq!(orderings.len(), 720);
    for number in 0..orderings.len() {
        shop.order(user, &format!("order_{number}"), product, 1).await;
    }
    play(&shop, &orderings, |number, which| {
        let (order, pay, rfnd) = (format!("order_{number}"), format!("pay_{number}"), format!("rfnd_{number}"));
        let paid = |status| payment(&pay, &order, 49_900, status);
        let back = |status| refund(&rfnd, &pay, 49_900, status);
        match which {
            0 => event("payment.failed", &[("payment", paid("failed"))]),
            1 => event("payment.authorized", &[("payment", paid("authorized"))]),
            2 => event("payment.captured", &[("payment", paid("captured"))]),
            3 => event("order.paid", &[("payment", paid("captured")), ("order", json!({"id": order}))]),
            4 => event("refund.created", &[("refund", back("pending")), ("payment", paid("captured"))]),
            _ => event("refund.processed", &[("refund", back("processed")), ("payment", paid("refunded"))]),
        }
    })
    .await;
    assert_eq!(shop.count("SELECT count(*) FROM orders WHERE status = 'refunded'").await, 720);
    assert_eq!(
        shop.count("SELECT count(*) FROM payments WHERE status = 'captured' AND amount_paise = 49900").await,
        720
    );
    assert_eq!(shop.count("SELECT count(*) FROM refunds WHERE status = 'processed'").await, 720);
    assert_eq!(
        shop.count("SELECT count(*) FROM voucher_codes WHERE order_item_id IS NOT NULL AND revoked_at IS NULL").await,
        0
    );
    assert_eq!(shop.count("SELECT count(*) FROM payments").await, 720);
}

/// Plays every ordering of these events of a payout, each on a withdrawal of its own; gives status, reference and balance.
async fn payouts(events: &[(&str, &str, Option<&str>)]) -> (HashMap<(String, Option<String>), usize>, i64) {
    let shop = Shop::open().await;
    let user = shop.shopper().await;
    let orderings = orderings(events.len());
    let count = i64::try_from(orderings.len()).unwrap();
    shop.credit(user, 100 * count).await;
    let mut withdrawals = Vec::new();
    for number in 0..orderings.len() {
        let new = store::withdrawals::NewWithdrawal {
            id: WithdrawalId::generate(),
            user_id: user,
            amount: Paise::new(10_000),
            fund_account_id: "fa_SYNTH000000001".to_owned(),
            idempotency_key: format!("w{number}"),
        };
        withdrawals.push(store::withdrawals::request(&shop.client().await, &new).await.unwrap().id.to_string());
    }
    let withdrawals = &withdrawals;
    play(&shop, &orderings, |number, which| {
        let (name, status, utr) = events[which];
        event(name, &[("payout", payout(&format!("pout_{number}"), &withdrawals[number], 10_000, status, utr))])
    })
    .await;
    let mut ends = HashMap::new();
    for row in shop.client().await.query("SELECT status, utr FROM withdrawals", &[]).await.unwrap() {
        *ends.entry((row.get(0), row.get(1))).or_default() += 1;
    }
    let balance = store::wallet::balance(&shop.client().await, user).await.unwrap().unwrap();
    assert_eq!(shop.count("SELECT count(*) FROM wallet_transactions GROUP BY idempotency_key HAVING count(*) > 1 UNION ALL SELECT 0 LIMIT 1").await, 0);
    (ends, balance.get())
}

#[tokio::test]
async fn all_720_orderings_of_a_payout_that_comes_back_give_the_money_back_once() {
    let (ends, balance) = payouts(&[
        ("payout.queued", "queued", None),
        ("payout.initiated", "processing", None),
        ("payout.processed", "processed", None),
        ("payout.updated", "processed", Some("000000000001")),
        ("payout.failed", "failed", Some("000000000001")),
        ("payout.reversed", "reversed", Some("000000000001")),
    ])
    .await;
    assert_eq!(ends, HashMap::from([(("reversed".to_owned(), Some("000000000001".to_owned())), 720)]));
    assert_eq!(balance, 720 * 10_000, "what was there before");
}

#[tokio::test]
async fn all_24_orderings_of_a_payout_that_succeeds_end_with_the_banks_reference() {
    let (ends, balance) = payouts(&[
        ("payout.queued", "queued", None),
        ("payout.initiated", "processing", None),
        ("payout.processed", "processed", None),
        ("payout.updated", "processed", Some("000000000001")),
    ])
    .await;
    assert_eq!(ends, HashMap::from([(("processed".to_owned(), Some("000000000001".to_owned())), 24)]));
    assert_eq!(balance, 0);
}

#[tokio::test]
async fn all_720_orderings_of_a_dispute_end_lost() {
    let shop = Shop::open().await;
    let names = ["created", "action_required", "under_review", "closed", "won", "lost"];
    play(&shop, &orderings(6), |number, which| {
        let dispute: Value = json!({"id": format!("disp_{number}"), "payment_id": format!("pay_{number}"), "amount": 49_900,
            "currency": "INR", "status": "open", "respond_by": 1_790_500_000, "created_at": 1_790_000_000});
        event(&format!("payment.dispute.{}", names[which]), &[("dispute", dispute)])
    })
    .await;
    assert_eq!(shop.count("SELECT count(*) FROM disputes WHERE status = 'lost' AND respond_by IS NOT NULL").await, 720);
}
