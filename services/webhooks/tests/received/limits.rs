//! What is refused, and what happens when something is down.

use std::time::{Duration, Instant};

use testkit::{eventually, eventually_true};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::events::{event, payment};
use crate::shop::{SOON, Shop, TOKEN, signed};

const UNKNOWN: &str = r#"{"event":"settlement.processed","payload":{}}"#;

#[tokio::test]
async fn what_cannot_be_a_webhook_is_refused_with_the_right_status() {
    let shop = Shop::open().await;
    let http = &shop.http;
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(status(http.post(shop.url("/webhooks/nobody"))).await, 404);
    assert_eq!(status(http.post(shop.url("/webhooks/sendgrid"))).await, 404, "switched off here");
    assert_eq!(status(http.post(shop.url("/webhooks/razorpay/token"))).await, 404);
    assert_eq!(status(http.get(shop.url("/"))).await, 404);
    let wrong_method = http.get(shop.url("/webhooks/razorpay")).send().await.unwrap();
    assert_eq!((wrong_method.status().as_u16(), wrong_method.headers()["allow"].to_str().unwrap()), (405, "POST"));
    assert_eq!(wrong_method.headers()["content-type"], "application/problem+json");
    assert_eq!(status(http.delete(shop.url(&format!("/webhooks/admitad/{TOKEN}")))).await, 405);
    let xml = http.post(shop.url("/webhooks/razorpay")).header("content-type", "text/xml").body("<a/>");
    assert_eq!(status(xml).await, 415);
    let zipped = signed(http.post(shop.url("/webhooks/razorpay")), "e", UNKNOWN).header("content-encoding", "gzip");
    assert_eq!(status(zipped).await, 415);
    let limit = 1 << 20;
    let big = |size: usize| format!("{{\"event\":\"x\",\"pad\":\"{}\"}}", "a".repeat(size - 22));
    assert_eq!(big(limit).len(), limit);
    assert_eq!(shop.razorpay(&big(limit + 1)).await, 413);
    assert_eq!(shop.razorpay(&big(limit)).await, 200, "exactly the limit");
    assert_eq!(shop.count("SELECT count(*) FROM webhook_logs WHERE verdict = 'accepted'").await, 1);
}

#[tokio::test]
async fn malformed_content_is_told_only_to_who_can_sign_and_is_logged() {
    let shop = Shop::open().await;
    for text in ["{", "[]", "null", "{\"event\":7}", "\u{0}", "{\"event\":\"a\"} x"] {
        assert_eq!(shop.razorpay(text).await, 400, "{text:?}");
    }
    let unsigned = shop.http.post(shop.url("/webhooks/razorpay")).header("content-type", "application/json").body("{");
    assert_eq!(unsigned.send().await.unwrap().status(), 401);
    assert_eq!(shop.count("SELECT count(*) FROM webhook_logs WHERE verdict = 'malformed' AND reason <> ''").await, 6);
    assert_eq!(shop.count("SELECT count(*) FROM webhook_pending").await, 0);
    // A later, good delivery under the same id is not a duplicate of the bad one.
    assert_eq!(shop.razorpay_as("evt00000000", UNKNOWN).await, 200);
    assert_eq!(shop.count("SELECT count(*) FROM webhook_logs WHERE verdict = 'accepted'").await, 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_quoted() {
    let mut shop = Shop::open().await;
    assert_eq!(shop.razorpay(r#""planted-text""#).await, 400);
    let mut entity = payment("pay_1", "order_1", 49_900, "captured");
    entity["amount"] = "planted-amount".into();
    assert_eq!(shop.razorpay(&event("payment.captured", &[("payment", entity)])).await, 200);
    let letter = eventually("a dead letter", SOON, async || shop.dead(domain::job::Queue::Payments).await.pop()).await;
    assert_eq!(letter.error.matches("expected i64").count(), 1, "{}", letter.error);
    let reason = shop.text("SELECT reason FROM webhook_logs WHERE verdict = 'malformed'").await;
    assert!(reason.contains("expected struct"), "{reason}");
    let told = reason + &letter.error + &shop.service().logs();
    assert!(!told.contains("planted"), "{told}");
}

#[tokio::test]
async fn unknown_events_are_stored_and_acknowledged() {
    let shop = Shop::open().await;
    for name in ["settlement.processed", "payment.downtime.started", "subscription.charged", "something.new"] {
        assert_eq!(shop.razorpay(&event(name, &[])).await, 200);
    }
    assert_eq!(shop.count("SELECT count(*) FROM webhook_logs WHERE verdict = 'accepted'").await, 4);
    // `payment.…` may be news of a payment one day: it is worked off, to nothing.
    shop.worked_off(1).await;
}

#[tokio::test]
async fn rejected_requests_are_logged_but_cannot_fill_the_disk() {
    let shop = Shop::open().await;
    for number in 0..60 {
        let request = shop.http.post(shop.url("/webhooks/razorpay")).header("content-type", "application/json");
        let request = request.header("x-razorpay-signature", "00".repeat(32)).header("cookie", "session=secret");
        assert_eq!(request.body(format!("{number}{}", "x".repeat(10_000))).send().await.unwrap().status(), 401);
    }
    assert_eq!(
        shop.http.get(shop.url("/webhooks/admitad/nearly-right?action_id=7")).send().await.unwrap().status(),
        401
    );
    let rows = "SELECT count(*) FROM webhook_logs WHERE verdict = 'rejected'";
    eventually_true("they are logged", SOON, async || shop.count(rows).await >= 10).await;
    assert!(shop.count(rows).await <= 20, "ten a minute for one client");
    assert!(shop.count("SELECT max(length(body))::bigint FROM webhook_logs").await <= 2_048);
    assert_eq!(
        shop.count(
            "SELECT count(*) FROM webhook_logs WHERE headers::text LIKE '%secret%' OR headers::text LIKE '%0000%'"
        )
        .await,
        0
    );
}

#[tokio::test]
async fn a_known_event_id_with_another_body_is_worked_off_and_raises_an_alarm() {
    let shop = Shop::open().await;
    let (user, product) = (shop.shopper().await, shop.product(2).await);
    shop.order(user, "order_1", product, 1).await;
    let captured = event("payment.captured", &[("payment", payment("pay_1", "order_1", 49_900, "captured"))]);
    assert_eq!(shop.razorpay_as("evt-a", UNKNOWN).await, 200);
    for _ in 0..3 {
        assert_eq!(shop.razorpay_as("evt-a", &captured).await, 200);
    }
    assert_eq!(shop.razorpay_as("evt-genuine", &captured).await, 200, "its genuine delivery, later");
    shop.worked_off(1).await;
    assert_eq!(shop.text("SELECT status FROM orders").await, "fulfilled");
    let verdicts = shop.text("SELECT string_agg(verdict, ' ' ORDER BY id) FROM webhook_logs").await;
    assert!(verdicts.starts_with("accepted conflict"), "{verdicts}");
    assert_eq!(verdicts.matches("conflict").count(), 1, "{verdicts}");
    assert_eq!(
        shop.count("SELECT count(*) FROM outbox WHERE payload #>> '{message,title}' LIKE 'A known event id%'").await,
        1
    );
}

#[tokio::test]
async fn while_postgres_is_away_the_sender_is_told_to_come_again() {
    let shop = Shop::open().await;
    assert_eq!(shop.razorpay(UNKNOWN).await, 200);
    let url = shop.database.url();
    let (server, name) = url.rsplit_once('/').unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test switches the database off past our own pool")]
    let (admin, connection) =
        tokio_postgres::connect(&format!("{server}/postgres"), tokio_postgres::NoTls).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test's task may end with the test")]
    tokio::spawn(connection);
    admin
        .batch_execute(&format!(
            "ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ))
        .await
        .unwrap();
    let body = event("payment.captured", &[]);
    let begin = Instant::now();
    let request = signed(shop.http.post(shop.url("/webhooks/razorpay")), "evt-away", &body);
    let answer = request.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "5"));
    assert!(begin.elapsed() < Duration::from_secs(5), "Razorpay waits five seconds: {:?}", begin.elapsed());
    admin.batch_execute(&format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")).await.unwrap();
    eventually_true("the retry is taken", SOON, async || shop.razorpay_as("evt-away", &body).await == 200).await;
    shop.worked_off(1).await;
}

#[tokio::test]
async fn bodies_that_cannot_be_stored_take_so_much_memory_and_no_more() {
    let shop = Shop::open().await;
    let mut holder = shop.client().await;
    let hold = holder.transaction().await.unwrap();
    hold.batch_execute("LOCK TABLE webhook_receipts IN EXCLUSIVE MODE").await.unwrap();
    let megabyte = format!("{{\"event\":\"x\",\"pad\":\"{}\"}}", "a".repeat((1 << 20) - 22));
    let request = signed(shop.http.post(shop.url("/webhooks/razorpay")), "evt-big", &megabyte);
    let send = async || request.try_clone().unwrap().send().await.unwrap().status().as_u16();
    for _ in 0..4 {
        let statuses = futures_util::future::join_all((0..16).map(|_| send())).await;
        assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    }
    // Their senders are gone, the bodies are not: there is no room for one more, and it is told so at once.
    let begin = Instant::now();
    assert_eq!(send().await, 503);
    assert!(begin.elapsed() < Duration::from_secs(3), "it waited for its commit: {:?}", begin.elapsed());
    hold.rollback().await.unwrap();
    eventually_true("there is room again", SOON, async || send().await == 200).await;
}

#[tokio::test]
async fn while_redis_is_away_webhooks_are_taken_and_worked_off_later() {
    let mut shop = Shop::open().await;
    let (user, product) = (shop.shopper().await, shop.product(20).await);
    shop.redis.stop();
    for number in 0..20 {
        let order = format!("order_{number}");
        shop.order(user, &order, product, 1).await;
        let captured =
            event("payment.captured", &[("payment", payment(&format!("pay_{number}"), &order, 49_900, "captured"))]);
        assert_eq!(shop.razorpay(&captured).await, 200);
    }
    assert_eq!(shop.count("SELECT count(*) FROM webhook_pending").await, 20);
    shop.redis.start_again();
    shop.worked_off(20).await;
    assert_eq!(shop.count("SELECT count(*) FROM orders WHERE status = 'fulfilled'").await, 20);
    eventually_true("nothing waits", SOON, async || shop.count("SELECT count(*) FROM webhook_pending").await == 0)
        .await;
}

#[tokio::test]
async fn a_queue_that_is_full_holds_up_no_other() {
    let mut shop = Shop::open_with(&[("QUEUE_MAX_BYTES", "20000")]).await;
    let full = kv::keys::ready(domain::job::Queue::Cashback);
    let mut fill = kv::redis::cmd("RPUSH");
    fill.arg(&full).arg(vec![b'x'; 50_000]).query_async::<()>(&mut shop.kv().commands()).await.unwrap();
    // Both have to wait, so that the sweep finds them together.
    shop.redis.stop();
    let hint = shop.url(&format!("/webhooks/admitad/{TOKEN}?action_id=700000001"));
    assert_eq!(shop.http.get(&hint).send().await.unwrap().status(), 200);
    assert_eq!(shop.razorpay(&event("payment.captured", &[])).await, 200);
    shop.redis.start_again();
    shop.worked_off(1).await;
    let pending = "SELECT count(*) FROM webhook_pending";
    eventually_true("only the hint waits", SOON, async || shop.count(pending).await == 1).await;
    kv::redis::cmd("DEL").arg(&full).query_async::<()>(&mut shop.kv().commands()).await.unwrap();
    eventually_true("nothing waits", SOON, async || shop.count(pending).await == 0).await;
    let payments = queue::admin::stats(&shop.kv(), domain::job::Queue::Payments).await.unwrap();
    // Once more when Redis came back in the middle of the first call; not with each sweep.
    assert!(payments.counts.get("pushed").is_some_and(|pushed| *pushed <= 2), "{:?}", payments.counts);
}

#[tokio::test]
async fn a_job_for_a_queue_of_a_newer_version_holds_up_no_other() {
    let mut shop = Shop::open().await;
    let newer = "ALTER TABLE webhook_pending DROP CONSTRAINT webhook_pending_queue_check;
                 INSERT INTO webhook_pending (webhook_id, queue, kind, payload, created_at)
                 VALUES (uuid_v7(), 'parcels', 'parcel.track', '{}', now() - interval '1 hour')";
    shop.client().await.batch_execute(newer).await.unwrap();
    // It has to wait, so that the sweep finds both together.
    shop.redis.stop();
    assert_eq!(shop.razorpay(&event("payment.captured", &[])).await, 200);
    shop.redis.start_again();
    shop.worked_off(1).await;
    let pending = "SELECT count(*) FROM webhook_pending";
    eventually_true("only the newer one waits", SOON, async || shop.count(pending).await == 1).await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let shop = Shop::open().await;
    let address = shop.url("").trim_start_matches("http://").to_owned();
    let mut slow = tokio::net::TcpStream::connect(&address).await.unwrap();
    slow.write_all(b"POST /webhooks/razorpay HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
        .await
        .unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(Duration::from_secs(20), slow.read_exact(&mut answer)).await.expect("within 20 s").unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 408");
}

#[tokio::test]
async fn a_postback_becomes_a_hint() {
    let shop = Shop::open().await;
    let url = shop.url(&format!(
        "/webhooks/admitad/{TOKEN}?action_id=700000001&payment_status=approved&subid=c1&action_ip=192.0.2.1"
    ));
    assert_eq!(shop.http.get(&url).send().await.unwrap().status(), 200);
    let posted = shop
        .http
        .post(shop.url(&format!("/webhooks/admitad/{TOKEN}")))
        .header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(posted.body("action_id=700000002&payment_status=pending").send().await.unwrap().status(), 200);
    let queue = domain::job::Queue::Cashback;
    eventually_true("two hints are queued", SOON, async || {
        queue::admin::stats(&shop.kv(), queue).await.unwrap().waiting == 2
    })
    .await;
    let bodies = queue::admin::peek(&shop.kv(), queue, 10).await.unwrap();
    let all = bodies.iter().map(|body| String::from_utf8_lossy(body)).collect::<Vec<_>>().join("\n");
    assert!(
        all.contains(r#""kind":"cashback.hint""#) && all.contains("700000001") && all.contains("700000002"),
        "{all}"
    );
    assert_eq!(
        shop.count("SELECT count(*) FROM webhook_logs WHERE convert_from(body, 'UTF8') LIKE '%192.0.2.1%'").await,
        0
    );
}

#[tokio::test]
async fn the_end_is_orderly() {
    let mut shop = Shop::open().await;
    assert_eq!(shop.razorpay(UNKNOWN).await, 200);
    let (code, took) = shop.service().process().terminate(Duration::from_secs(25));
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
}
