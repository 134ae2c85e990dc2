//! Changes are heard at once; stores may go away.

use std::time::Duration;

use domain::ids::OfferId;
use futures_util::future::join_all;
use kv::redis::AsyncCommands;
use store::catalogue;
use testkit::{Service, eventually_true};

use crate::shop::{Shop, location};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_change_of_offer_or_merchant_is_followed_at_once() {
    let shop = Shop::open().await;
    // With these times, only what is heard can be in time.
    let service = shop.redirector(&[("REDIRECT_MEMORY_SECONDS", "3000"), ("REDIRECT_LIMIT", "100000")]);
    eventually_true("listening", SOON, async || service.logs().contains("listening for changes")).await;
    let click = async || shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap();
    assert_eq!(click().await.status(), 302);
    let client = shop.database.pool().get().await.unwrap();

    let mut offer = shop.offer.clone();
    offer.target_url = "https://shop.in/new".to_owned();
    assert!(catalogue::update_offer(&client, &offer).await.unwrap());
    eventually_true("the new target", SOON, async || location(&click().await).as_str().contains("shop.in%2Fnew")).await;

    let mut merchant = shop.merchant.clone();
    merchant.tracking_template = merchant.tracking_template.replace("HASH", "OTHER");
    assert!(catalogue::update_merchant(&client, &merchant).await.unwrap());
    eventually_true("the new template", SOON, async || location(&click().await).path() == "/g/OTHER/").await;
    assert_eq!(shop.clicks().await.last().unwrap().offer_version, 2);

    let later = shop.offer.id;
    client.execute("UPDATE offers SET active = false WHERE id = $1", &[&later]).await.unwrap();
    eventually_true("the end of the offer", SOON, async || click().await.status() == 410).await;

    let mut coming = offer.clone();
    coming.id = OfferId::generate();
    assert_eq!(shop.click(&service, coming.id, "192.0.2.7").send().await.unwrap().status(), 404);
    catalogue::insert_offer(&client, &coming).await.unwrap();
    eventually_true("the new offer", SOON, async || {
        shop.click(&service, coming.id, "192.0.2.7").send().await.unwrap().status() == 302
    })
    .await;
}

#[tokio::test]
async fn redis_keeps_what_was_looked_up_and_forgets_it_after_its_time() {
    let shop = Shop::open().await;
    let unknown = OfferId::generate();
    let service = shop.redirector(&[]);
    // Entries of offers that changed in the last minutes are forgotten at start, before which a click may come.
    eventually_true("listening", SOON, async || service.logs().contains("listening for changes")).await;
    shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap();
    shop.click(&service, unknown, "192.0.2.7").send().await.unwrap();
    let mut redis = shop.connection().await;
    let merchant = format!("redirect:merchant:{}", shop.merchant.id);
    for (key, within) in [
        (format!("redirect:url:{}", shop.offer.id), 200..=300),
        (merchant, 200..=300),
        (format!("redirect:url:{unknown}"), 1..=30),
    ] {
        // What was looked up is written behind the answer.
        let mut looking = redis.clone();
        eventually_true("it is kept", SOON, async || looking.exists(&key).await.unwrap()).await;
        let lives: i64 = redis.ttl(&key).await.unwrap();
        assert!(within.contains(&lives), "{key} {lives}");
    }
    // A second redirector finds it there: with what Redis says, not with what Postgres says.
    let text: String = redis.get(format!("redirect:url:{}", shop.offer.id)).await.unwrap();
    let _: () = redis.set(format!("redirect:url:{}", shop.offer.id), text.replace("shoes", "boots")).await.unwrap();
    let other = shop.redirector(&[]);
    eventually_true("listening", SOON, async || other.logs().contains("listening for changes")).await;
    let _: () = redis.set(format!("redirect:url:{}", shop.offer.id), text.replace("shoes", "boots")).await.unwrap();
    let answer = shop.click(&other, shop.offer.id, "192.0.2.7").send().await.unwrap();
    assert!(location(&answer).as_str().contains("boots"));
}

#[tokio::test]
async fn offers_that_nobody_has_asked_for_are_looked_up_together_and_each_gets_its_own_answer() {
    let shop = Shop::open().await;
    let client = shop.database.pool().get().await.unwrap();
    let rows = "INSERT INTO offers (id, merchant_id, title, target_url, active)
                SELECT gen_random_uuid(), $1, 'Offer', 'https://www.shop.in/p/' || n, n % 10 <> 0 FROM generate_series(1, 400) AS n
                RETURNING id, target_url, active";
    let offers: Vec<(OfferId, String, bool)> = client
        .query(rows, &[&shop.merchant.id])
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    let settings = [("REDIRECT_LIMIT", "100000"), ("DATABASE_MAX_CONNECTIONS", "32")];
    let service = shop.redirector(&settings);
    eventually_true("listening", SOON, async || service.logs().contains("listening for changes")).await;
    // Unknown ones between the others, and each of them twice at once.
    let unknown: Vec<_> = (0..40).map(|_| (OfferId::generate(), String::new(), false)).collect();
    let asked: Vec<_> = offers.iter().chain(&unknown).chain(&offers).collect();
    let answers = join_all(asked.iter().map(|(id, ..)| shop.click(&service, id, "192.0.2.7").send())).await;
    for ((id, target, active), answer) in asked.into_iter().zip(answers) {
        let answer = answer.unwrap();
        match (target.is_empty(), active) {
            (true, _) => assert_eq!(answer.status(), 404, "{id}"),
            (false, false) => assert_eq!(answer.status(), 410, "{id}"),
            (false, true) => {
                let page = location(&answer).query_pairs().find(|(name, _)| name == "ulp").unwrap().1.into_owned();
                assert_eq!(&page, target);
            }
        }
    }
    let connected =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let connected: i64 = client.query_one(connected, &[]).await.unwrap().get(0);
    assert!(connected <= 8, "840 clicks took {connected} connections; each did not have to have one");
}

#[tokio::test]
async fn the_second_look_finds_what_was_not_heard() {
    let shop = Shop::open().await;
    let mut offers = vec![shop.offer.id];
    for _ in 0..20 {
        offers.push(shop.add_offer(|_| {}).await);
    }
    let settings = [("REDIRECT_MEMORY_SECONDS", "1"), ("REDIRECT_LIMIT", "100000"), ("HTTP_WORKERS", "1")];
    let service = shop.redirector(&settings);
    eventually_true("listening", SOON, async || service.logs().contains("listening for changes")).await;
    let page = async |offer| {
        let answer = shop.click(&service, offer, "192.0.2.7").send().await.unwrap();
        location(&answer)
    };
    for offer in &offers {
        assert!(page(*offer).await.as_str().contains("shoes"));
    }
    // Another replica has heard of a change and left what it found in Redis; this one has not.
    let mut redis = shop.connection().await;
    let key = format!("redirect:url:{}", offers[7]);
    let text: String = redis.get(&key).await.unwrap();
    let _: () = redis.set(&key, text.replace("shoes", "boots")).await.unwrap();
    eventually_true("the offer's new page", SOON, async || page(offers[7]).await.as_str().contains("boots")).await;
    for offer in offers.iter().filter(|offer| **offer != offers[7]) {
        assert!(page(*offer).await.as_str().contains("shoes"), "its neighbours are as they were");
    }
    let key = format!("redirect:merchant:{}", shop.merchant.id);
    let text: String = redis.get(&key).await.unwrap();
    let _: () = redis.set(&key, text.replace("HASH", "OTHER")).await.unwrap();
    for offer in &offers {
        eventually_true("the merchant's new link", SOON, async || page(*offer).await.path() == "/g/OTHER/").await;
    }
    // What Redis has forgotten, Postgres knows.
    let _: () = kv::redis::cmd("FLUSHALL").query_async(&mut redis).await.unwrap();
    eventually_true("the page as it is", SOON, async || page(offers[7]).await.as_str().contains("shoes")).await;
}

/// The page that the offer leads to now.
async fn page(shop: &Shop, service: &Service) -> String {
    location(&shop.click(service, shop.offer.id, "192.0.2.7").send().await.unwrap()).into()
}

#[tokio::test]
async fn what_changed_while_redis_was_away_is_forgotten_there_when_it_is_back() {
    let mut shop = Shop::open().await;
    let service = shop.redirector(&[("REDIRECT_MEMORY_SECONDS", "1"), ("REDIRECT_LIMIT", "100000")]);
    eventually_true("listening", SOON, async || service.logs().contains("listening for changes")).await;
    assert!(page(&shop, &service).await.contains("shoes"));
    let key = format!("redirect:url:{}", shop.offer.id);
    eventually_true("it is kept", SOON, async || shop.connection().await.exists(&key).await.unwrap()).await;

    shop.redis.stop();
    let mut offer = shop.offer.clone();
    offer.target_url = "https://shop.in/boots".to_owned();
    let client = shop.database.pool().get().await.unwrap();
    assert!(catalogue::update_offer(&client, &offer).await.unwrap());
    eventually_true("the new page", SOON, async || page(&shop, &service).await.contains("boots")).await;
    shop.redis.start_again();
    eventually_true("it is forgotten", SOON, async || service.logs().contains("Redis has forgotten")).await;
    let text: Option<String> = shop.connection().await.get(&key).await.unwrap();
    assert!(text.as_deref().is_none_or(|text| text.contains("boots")), "{text:?}");
    assert!(page(&shop, &service).await.contains("boots"));
}

#[tokio::test]
async fn without_postgres_known_offers_go_on_and_others_say_so() {
    let shop = Shop::open().await;
    let other = shop.add_offer(|_| {}).await;
    let service = shop.redirector(&[("REDIRECT_MEMORY_SECONDS", "1"), ("REDIRECT_LIMIT", "100000")]);
    assert_eq!(shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap().status(), 302);
    let url = shop.database.url();
    let (server, name) = url.rsplit_once('/').unwrap();
    let client = testkit::pool(&format!("{server}/postgres")).get().await.unwrap();
    client.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await.unwrap();
    client
        .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", &[&name])
        .await
        .unwrap();
    let _: () = kv::redis::cmd("FLUSHALL").query_async(&mut shop.connection().await).await.unwrap();
    let until = tokio::time::Instant::now() + Duration::from_secs(4);
    while tokio::time::Instant::now() < until {
        assert_eq!(shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap().status(), 302);
    }
    assert_eq!(shop.click(&service, other, "192.0.2.7").send().await.unwrap().status(), 503);
    client.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await.unwrap();
    eventually_true("Postgres again", SOON, async || {
        shop.click(&service, other, "192.0.2.7").send().await.unwrap().status() == 302
    })
    .await;
}
