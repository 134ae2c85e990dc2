//! Payments, refunds and disputes.

use testkit::eventually_true;

use crate::events::{event, payment, refund};
use crate::shop::{SOON, Shop};

#[tokio::test]
async fn a_captured_payment_fulfils_its_order_once() {
    let shop = Shop::open().await;
    let (user, product) = (shop.shopper().await, shop.product(5).await);
    let order = shop.order(user, "order_1", product, 2).await;
    let captured = event("payment.captured", &[("payment", payment("pay_1", "order_1", 99_800, "captured"))]);
    assert_eq!(shop.razorpay_as("evt-a", &captured).await, 200);
    assert_eq!(shop.razorpay_as("evt-a", &captured).await, 200, "a retry");
    assert_eq!(shop.razorpay_as("evt-other-header", &captured).await, 200, "the same body under another, unsigned id");
    let paid = event(
        "order.paid",
        &[("payment", payment("pay_1", "order_1", 99_800, "captured")), ("order", serde_json::json!({}))],
    );
    assert_eq!(shop.razorpay(&paid).await, 200);
    shop.worked_off(2).await;
    assert_eq!(shop.text("SELECT status FROM orders").await, "fulfilled");
    assert_eq!(shop.count("SELECT count(*) FROM voucher_codes WHERE order_item_id IS NOT NULL").await, 2);
    assert_eq!(shop.count("SELECT count(*) FROM payments WHERE status = 'captured'").await, 1);
    assert_eq!(
        shop.text("SELECT string_agg(verdict, ',' ORDER BY id) FROM webhook_logs").await.matches("accepted").count(),
        2
    );
    let jobs = shop
        .text("SELECT string_agg(kind || ' ' || (payload #>> '{message,order_id}'), ', ' ORDER BY kind) FROM outbox")
        .await;
    assert_eq!(jobs, format!("email.send {order}, sms.send {order}"), "each message once");
}

#[tokio::test]
async fn an_order_out_of_stock_is_held_and_filled_when_codes_come() {
    let shop = Shop::open().await;
    let (user, product) = (shop.shopper().await, shop.product(1).await);
    shop.order(user, "order_1", product, 2).await;
    let captured = event("payment.captured", &[("payment", payment("pay_1", "order_1", 99_800, "captured"))]);
    assert_eq!(shop.razorpay(&captured).await, 200);
    shop.worked_off(1).await;
    assert_eq!(shop.text("SELECT status FROM orders").await, "held");
    assert_eq!(
        shop.count("SELECT count(*) FROM voucher_codes WHERE order_item_id IS NOT NULL").await,
        0,
        "all or none"
    );
    assert_eq!(
        shop.count("SELECT count(*) FROM outbox WHERE payload #>> '{message,template}' = 'admin_alert'").await,
        1
    );
    shop.add_codes(product, 1).await;
    eventually_true("the order is filled", SOON, async || shop.text("SELECT status FROM orders").await == "fulfilled")
        .await;
    assert_eq!(shop.count("SELECT count(*) FROM outbox WHERE payload #>> '{message,template}' = 'order_confirmation' AND kind = 'email.send'").await, 1);
}

#[tokio::test]
async fn orders_that_cannot_be_filled_keep_no_other_from_its_codes() {
    let shop = Shop::open().await;
    let (user, gone, other) = (shop.shopper().await, shop.product(0).await, shop.product(0).await);
    // More than are looked at in one turn, and all of them before the other.
    for number in 0..=60 {
        let order = format!("order_{number}");
        shop.order(user, &order, if number < 60 { gone } else { other }, 1).await;
        let entity = payment(&format!("pay_{number}"), &order, 49_900, "captured");
        if number == 60 {
            shop.worked_off(60).await;
        }
        assert_eq!(shop.razorpay(&event("payment.captured", &[("payment", entity)])).await, 200);
    }
    shop.worked_off(61).await;
    assert_eq!(shop.count("SELECT count(*) FROM orders WHERE status = 'held'").await, 61);
    shop.add_codes(other, 1).await;
    eventually_true("the other is filled", SOON, async || {
        shop.text("SELECT status FROM orders WHERE provider_order_id = 'order_60'").await == "fulfilled"
    })
    .await;
    assert_eq!(shop.count("SELECT count(*) FROM orders WHERE status = 'held'").await, 60);
}

#[tokio::test]
async fn a_held_order_with_which_something_is_wrong_keeps_no_other_from_being_filled() {
    let shop = Shop::open().await;
    let (user, product) = (shop.shopper().await, shop.product(0).await);
    for number in 0..2 {
        let order = format!("order_{number}");
        shop.order(user, &order, product, 1).await;
        let entity = payment(&format!("pay_{number}"), &order, 49_900, "captured");
        shop.razorpay(&event("payment.captured", &[("payment", entity)])).await;
        shop.worked_off(number + 1).await;
    }
    assert_eq!(shop.count("SELECT count(*) FROM orders WHERE status = 'held'").await, 2);
    let wrong = "ALTER TABLE orders ADD CHECK (provider_order_id <> 'order_0' OR status <> 'fulfilled')";
    shop.client().await.batch_execute(wrong).await.unwrap();
    shop.add_codes(product, 2).await;
    eventually_true("the other is filled", SOON, async || {
        shop.text("SELECT status FROM orders WHERE provider_order_id = 'order_1'").await == "fulfilled"
    })
    .await;
    assert_eq!(shop.count("SELECT count(*) FROM orders WHERE status = 'held'").await, 1);
}

#[tokio::test]
async fn forty_orders_at_once_never_share_a_code() {
    let shop = Shop::open().await;
    let (user, product) = (shop.shopper().await, shop.product(70).await);
    for number in 0..40 {
        shop.order(user, &format!("order_{number}"), product, 2).await;
    }
    let sent = (0..40).map(|number| {
        let order = format!("order_{number}");
        let body =
            event("payment.captured", &[("payment", payment(&format!("pay_{number}"), &order, 99_800, "captured"))]);
        let shop = &shop;
        async move { shop.razorpay(&body).await }
    });
    assert!(futures_util::future::join_all(sent).await.iter().all(|status| *status == 200));
    shop.worked_off(40).await;
    assert_eq!(shop.count("SELECT count(*) FROM orders WHERE status = 'fulfilled'").await, 35);
    assert_eq!(shop.count("SELECT count(*) FROM orders WHERE status = 'held'").await, 5);
    assert_eq!(shop.count("SELECT count(*) FROM voucher_codes WHERE order_item_id IS NOT NULL").await, 70);
    assert_eq!(
        shop.count(
            "SELECT count(*) FROM (SELECT order_item_id FROM voucher_codes GROUP BY 1 HAVING count(*) <> 2) AS odd"
        )
        .await,
        0
    );
}

#[tokio::test]
async fn a_refund_takes_unspent_codes_back() {
    let shop = Shop::open().await;
    let (user, product) = (shop.shopper().await, shop.product(4).await);
    shop.order(user, "order_1", product, 2).await;
    let entity = payment("pay_1", "order_1", 99_800, "captured");
    shop.razorpay(&event("payment.captured", &[("payment", entity.clone())])).await;
    shop.worked_off(1).await;
    let part = refund("rfnd_1", "pay_1", 49_900, "processed");
    shop.razorpay(&event("refund.processed", &[("refund", part), ("payment", entity.clone())])).await;
    shop.worked_off(2).await;
    assert_eq!(shop.text("SELECT status FROM orders").await, "fulfilled", "half of it");
    shop.client().await.execute("UPDATE voucher_codes SET redeemed_at = now() WHERE id = (SELECT id FROM voucher_codes WHERE order_item_id IS NOT NULL LIMIT 1)", &[]).await.unwrap();
    let rest = refund("rfnd_2", "pay_1", 49_900, "processed");
    shop.razorpay(&event("refund.processed", &[("refund", rest), ("payment", entity)])).await;
    shop.worked_off(3).await;
    assert_eq!(shop.text("SELECT status FROM orders").await, "refunded");
    assert_eq!(
        shop.count("SELECT count(*) FROM voucher_codes WHERE revoked_at IS NOT NULL").await,
        1,
        "the spent one stays"
    );
    assert_eq!(shop.count("SELECT count(*) FROM outbox WHERE payload #>> '{message,title}' LIKE '%spent%'").await, 1);
}

#[tokio::test]
async fn an_order_that_is_paid_again_after_its_refund_brings_its_new_codes_to_the_shopper() {
    let shop = Shop::open().await;
    let (user, product) = (shop.shopper().await, shop.product(4).await);
    shop.order(user, "order_1", product, 2).await;
    let entity = payment("pay_1", "order_1", 99_800, "captured");
    shop.razorpay(&event("payment.captured", &[("payment", entity.clone())])).await;
    shop.worked_off(1).await;
    let back = refund("rfnd_1", "pay_1", 99_800, "processed");
    shop.razorpay(&event("refund.processed", &[("refund", back), ("payment", entity)])).await;
    shop.worked_off(2).await;
    assert_eq!(shop.text("SELECT status FROM orders").await, "refunded");
    let again = payment("pay_2", "order_1", 99_800, "captured");
    shop.razorpay(&event("payment.captured", &[("payment", again)])).await;
    shop.worked_off(3).await;
    assert_eq!(shop.text("SELECT status FROM orders").await, "fulfilled");
    let held = "SELECT count(*) FROM voucher_codes WHERE order_item_id IS NOT NULL AND revoked_at IS NULL";
    assert_eq!(shop.count(held).await, 2);
    for kind in ["email.send", "sms.send"] {
        let told = format!(
            "SELECT count(DISTINCT payload ->> 'event_key') FROM outbox
             WHERE kind = '{kind}' AND payload #>> '{{message,template}}' = 'order_confirmation'"
        );
        assert_eq!(shop.count(&told).await, 2, "{kind}: once for each time");
    }
}

#[tokio::test]
async fn an_order_that_was_paid_twice_while_it_was_held_is_told_of_once() {
    let shop = Shop::open().await;
    let (user, product) = (shop.shopper().await, shop.product(0).await);
    shop.order(user, "order_1", product, 1).await;
    for number in 1..=2 {
        let entity = payment(&format!("pay_{number}"), "order_1", 49_900, "captured");
        shop.razorpay(&event("payment.captured", &[("payment", entity)])).await;
        shop.worked_off(number).await;
    }
    let back = refund("rfnd_1", "pay_1", 49_900, "processed");
    let entity = payment("pay_1", "order_1", 49_900, "refunded");
    shop.razorpay(&event("refund.processed", &[("refund", back), ("payment", entity)])).await;
    shop.worked_off(3).await;
    assert_eq!(shop.text("SELECT status FROM orders").await, "held");
    shop.add_codes(product, 1).await;
    eventually_true("the order is filled", SOON, async || shop.text("SELECT status FROM orders").await == "fulfilled")
        .await;
    let told = "SELECT string_agg(kind, ' ' ORDER BY kind) FROM outbox
                WHERE payload #>> '{message,template}' = 'order_confirmation'";
    assert_eq!(shop.text(told).await, "email.send sms.send");
}

#[tokio::test]
async fn money_that_is_not_enough_or_not_for_us_pays_nothing() {
    let shop = Shop::open().await;
    let (user, product) = (shop.shopper().await, shop.product(4).await);
    shop.order(user, "order_1", product, 1).await;
    let mut dollars = payment("pay_2", "order_1", 49_900, "captured");
    dollars["currency"] = "USD".into();
    let mut foreign = payment("pay_3", "order_1", 49_900, "captured");
    foreign["order_id"] = serde_json::Value::Null;
    for entity in [payment("pay_1", "order_1", 49_899, "captured"), foreign] {
        assert_eq!(shop.razorpay(&event("payment.captured", &[("payment", entity)])).await, 200);
    }
    assert_eq!(shop.razorpay(&event("payment.captured", &[("payment", dollars)])).await, 200);
    // A sample of an authorisation shows a payment that says it is captured.
    assert_eq!(
        shop.razorpay(&event("payment.authorized", &[("payment", payment("pay_4", "order_1", 49_900, "captured"))]))
            .await,
        200
    );
    shop.worked_off(3).await;
    assert_eq!(shop.text("SELECT status FROM orders").await, "created");
    eventually_true("foreign money is a dead letter", SOON, async || {
        shop.dead(domain::job::Queue::Payments).await.iter().any(|letter| letter.error.contains("USD"))
    })
    .await;
}

#[tokio::test]
async fn an_event_of_an_unknown_order_is_retried_and_then_a_dead_letter_that_can_be_replayed() {
    let shop = Shop::open().await;
    let (user, product) = (shop.shopper().await, shop.product(4).await);
    shop.razorpay(&event("payment.captured", &[("payment", payment("pay_1", "order_late", 49_900, "captured"))])).await;
    eventually_true("it is a dead letter with its reason", SOON, async || {
        shop.dead(domain::job::Queue::Payments).await.iter().any(|letter| letter.error.contains("order_late"))
    })
    .await;
    shop.order(user, "order_late", product, 1).await;
    let letter = shop.dead(domain::job::Queue::Payments).await.remove(0);
    assert!(queue::admin::replay(&shop.kv(), domain::job::Queue::Payments, &letter.id, "test").await.unwrap());
    shop.worked_off(1).await;
    assert_eq!(shop.text("SELECT status FROM orders").await, "fulfilled");
}

#[tokio::test]
async fn a_refund_told_before_its_payment_is_retried_and_not_taken_for_one_of_no_order() {
    let shop = Shop::open().await;
    let (user, product) = (shop.shopper().await, shop.product(4).await);
    shop.order(user, "order_1", product, 1).await;
    shop.razorpay(&event("refund.processed", &[("refund", refund("rfnd_1", "pay_late", 49_900, "processed"))])).await;
    eventually_true("it is a dead letter with its reason", SOON, async || {
        shop.dead(domain::job::Queue::Payments).await.iter().any(|letter| letter.error.contains("pay_late"))
    })
    .await;
    let entity = payment("pay_late", "order_1", 49_900, "captured");
    shop.razorpay(&event("payment.captured", &[("payment", entity)])).await;
    shop.worked_off(1).await;
    let letter = shop.dead(domain::job::Queue::Payments).await.remove(0);
    assert!(queue::admin::replay(&shop.kv(), domain::job::Queue::Payments, &letter.id, "test").await.unwrap());
    shop.worked_off(2).await;
    assert_eq!(shop.text("SELECT status FROM orders").await, "refunded");
}
