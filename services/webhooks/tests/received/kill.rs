//! The proof: 10,000 signed webhooks while the service is killed every second and Redis is away for 20 seconds. Every one that
//! was answered with 2xx has its row, and its effect exactly once.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::ids::{OrderId, OrderItemId, VoucherCodeId};
use testkit::eventually_true;

use crate::events::{event, payment};
use crate::shop::{Shop, signed};

const WEBHOOKS: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serial_ten_thousand_webhooks_survive_kills_every_second_and_redis_being_away() {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut shop = Shop::open_with(&[("HTTP_ADDR", &address), ("WEBHOOK_SOURCES", "razorpay")]).await;
    let (user, product) = (shop.shopper().await, shop.product(0).await);
    orders(&shop, user, product).await;

    let begin = Instant::now();
    let (next, answered, done) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let senders: Vec<_> = (0..24)
        .map(|_| {
            let (next, answered, url, http) =
                (next.clone(), answered.clone(), format!("http://{address}/webhooks/razorpay"), shop.http.clone());
            #[expect(clippy::disallowed_methods, reason = "a test's tasks are joined below")]
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= WEBHOOKS {
                        return;
                    }
                    let entity = payment(&format!("pay_{number}"), &format!("order_{number}"), 49_900, "captured");
                    let body = event("payment.captured", &[("payment", entity)]);
                    // As a provider does: the same event again until it is acknowledged.
                    let mut pause = Duration::from_millis(5);
                    while !signed(http.post(&url), &format!("evt{number}"), &body)
                        .send()
                        .await
                        .is_ok_and(|answer| answer.status() == 200)
                    {
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(Duration::from_millis(200));
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let joined = {
        let done = done.clone();
        #[expect(clippy::disallowed_methods, reason = "a test's task is joined below")]
        tokio::spawn(async move {
            for sender in senders {
                sender.await.unwrap();
            }
            done.store(true, Ordering::Relaxed);
        })
    };

    let (mut kills, mut away_since, mut was_away) = (0, None, false);
    // Killed for at least half a minute, also when all is answered: what is worked off is killed as well.
    while !done.load(Ordering::Relaxed) || begin.elapsed() < Duration::from_secs(32) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        shop.service().process().kill();
        kills += 1;
        if !was_away && begin.elapsed() > Duration::from_secs(3) {
            shop.redis.kill();
            (away_since, was_away) = (Some(Instant::now()), true);
        }
        if away_since.is_some_and(|since| since.elapsed() > Duration::from_secs(20)) {
            shop.redis.start_again();
            away_since = None;
        }
        shop.start();
    }
    if away_since.is_some() {
        shop.redis.start_again();
    }
    joined.await.unwrap();
    println!("{} answered after {:?} and {kills} kills", answered.load(Ordering::Relaxed), begin.elapsed());
    assert!(kills >= 25, "{kills} kills");

    let count = i64::try_from(WEBHOOKS).unwrap();
    assert_eq!(
        shop.count("SELECT count(*) FROM webhook_logs WHERE verdict = 'accepted'").await,
        count,
        "each has its row"
    );
    eventually_true("each has its effect", Duration::from_secs(150), async || {
        let waiting = shop.count("SELECT count(*) FROM orders WHERE status <> 'fulfilled'").await;
        waiting == 0
    })
    .await;
    println!("worked off after {:?}", begin.elapsed());
    assert_eq!(shop.count("SELECT count(*) FROM webhook_effects").await, count, "one effect each");
    assert_eq!(
        shop.count("SELECT count(*) FROM voucher_codes WHERE order_item_id IS NOT NULL").await,
        count,
        "one code each"
    );
    assert_eq!(shop.count("SELECT count(*) FROM payments").await, count);
    assert_eq!(shop.count("SELECT count(*) FROM outbox WHERE kind = 'email.send'").await, count, "one mail each");
    assert_eq!(shop.count("SELECT count(*) FROM webhook_pending").await, 0);
    assert!(shop.dead(domain::job::Queue::Payments).await.is_empty());
}

async fn orders(shop: &Shop, user: domain::ids::UserId, product: domain::ids::ProductId) {
    let client = shop.client().await;
    let orders: Vec<_> = (0..WEBHOOKS).map(|_| OrderId::generate()).collect();
    let items: Vec<_> = (0..WEBHOOKS).map(|_| OrderItemId::generate()).collect();
    let codes: Vec<_> = (0..WEBHOOKS).map(|_| VoucherCodeId::generate()).collect();
    let names: Vec<_> = (0..WEBHOOKS).map(|number| format!("order_{number}")).collect();
    client
        .execute(
            "INSERT INTO orders (id, user_id, total_paise, provider_order_id) SELECT id, $1, 49900, name FROM unnest($2::uuid[], $3::text[]) AS new (id, name)",
            &[&user, &orders, &names],
        )
        .await
        .unwrap();
    client
        .execute(
            "INSERT INTO order_items (id, order_id, product_id, quantity, unit_price_paise) SELECT id, order_id, $1, 1, 49900 FROM unnest($2::uuid[], $3::uuid[]) AS new (id, order_id)",
            &[&product, &items, &orders],
        )
        .await
        .unwrap();
    client
        .execute(
            "INSERT INTO voucher_codes (id, product_id, sealed) SELECT id, $1, sha256(id::text::bytea) FROM unnest($2::uuid[]) AS new (id)",
            &[&product, &codes],
        )
        .await
        .unwrap();
}
