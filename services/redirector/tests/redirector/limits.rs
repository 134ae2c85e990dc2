//! A hundred clicks a minute a client.

use domain::click::ClickClass;
use domain::ids::OfferId;
use kv::redis::AsyncCommands;

use crate::shop::Shop;

/// How many of `clicks` from `client` were let through.
async fn let_through(shop: &Shop, service: &testkit::Service, client: &str, clicks: usize) -> usize {
    let mut passed = 0;
    for _ in 0..clicks {
        passed += usize::from(shop.click(service, shop.offer.id, client).send().await.unwrap().status() == 302);
    }
    passed
}

#[tokio::test]
async fn the_hundred_and_first_click_gets_a_page_and_a_time() {
    let shop = Shop::open().await;
    let service = shop.redirector(&[]);
    // The minute of this client may just end; then the next one begins with a full allowance.
    let mut passed = let_through(&shop, &service, "192.0.2.7", 100).await;
    let mut answer = shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap();
    if answer.status() == 302 {
        passed += 1 + let_through(&shop, &service, "192.0.2.7", 100).await;
        answer = shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap();
    }
    assert!(passed >= 100);
    assert_eq!(answer.status(), 429);
    let number = |name: &str| answer.headers()[name].to_str().unwrap().parse::<u64>().unwrap();
    assert!((1..=60).contains(&number("retry-after")) && number("ratelimit-reset") == number("retry-after"));
    assert_eq!((number("ratelimit-limit"), number("ratelimit-remaining")), (100, 0));
    assert!(answer.text().await.unwrap().contains("too-many-clicks"));
    let mut redis = shop.connection().await;
    let counted: u64 = redis.get("ratelimit:redirect:192.0.2.7").await.unwrap();
    let lives: i64 = redis.pttl("ratelimit:redirect:192.0.2.7").await.unwrap();
    assert!(counted >= 101 && (1..=60_000).contains(&lives), "{counted} {lives}");
    assert!(shop.clicks().await.iter().any(|click| click.class == ClickClass::Limited));
    assert_eq!(let_through(&shop, &service, "192.0.2.8", 1).await, 1, "another client");
}

#[tokio::test]
async fn a_counter_that_redis_lost_ends_with_its_minute_all_the_same() {
    let shop = Shop::open().await;
    // So low a limit that Redis hears of every click.
    let service = shop.redirector(&[("REDIRECT_LIMIT", "30")]);
    let mut redis = shop.connection().await;
    let key = "ratelimit:redirect:192.0.2.7";
    for _ in 0..3 {
        assert_eq!(let_through(&shop, &service, "192.0.2.7", 2).await, 2);
        testkit::eventually_true("an end", std::time::Duration::from_secs(5), async || {
            let lives: i64 = shop.connection().await.pttl(key).await.unwrap();
            (1..=60_000).contains(&lives)
        })
        .await;
        let _: () = redis.del(key).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_of_a_few_clicks_costs_redis_no_counter() {
    let shop = Shop::open().await;
    let service = shop.redirector(&[]);
    assert_eq!(let_through(&shop, &service, "192.0.2.7", 4).await, 4);
    assert_eq!(let_through(&shop, &service, "192.0.2.8", 10).await, 10);
    let mut redis = shop.connection().await;
    let (few, many): (Option<u64>, Option<u64>) =
        redis.mget(&["ratelimit:redirect:192.0.2.7", "ratelimit:redirect:192.0.2.8"]).await.unwrap();
    assert_eq!(few, None);
    // Unless its minute ended meanwhile, all ten.
    assert!(many.is_some_and(|counted| (5..=10).contains(&counted)), "{many:?}");
}

#[tokio::test]
async fn replicas_count_together_and_a_64_is_one_client() {
    let shop = Shop::open().await;
    let limit = [("REDIRECT_LIMIT", "20"), ("REDIRECT_REPEAT_SECONDS", "0")];
    let (one, two) = (shop.redirector(&limit), shop.redirector(&limit));
    let mut passed = let_through(&shop, &one, "2001:db8:0:1::1", 15).await;
    passed += let_through(&shop, &two, "2001:db8:0:1:ffff::2", 15).await;
    let counted: u64 = shop.connection().await.get("ratelimit:redirect:2001:db8:0:1::").await.unwrap();
    if counted == 30 {
        assert_eq!(passed, 20);
    } else {
        assert!(passed >= 20, "the client's minute ended meanwhile: {passed} of 30, {counted} counted");
    }
    assert_eq!(let_through(&shop, &two, "2001:db8:0:2::1", 1).await, 1, "another /64");
}

#[tokio::test]
async fn carriers_on_the_list_are_not_limited_and_strangers_cannot_name_an_address() {
    let shop = Shop::open().await;
    let service = shop.redirector(&[("REDIRECT_LIMIT", "5"), ("REDIRECT_UNLIMITED", "198.51.100.0/24")]);
    assert_eq!(let_through(&shop, &service, "198.51.100.9", 20).await, 20);
    let untrusting = shop.redirector(&[("REDIRECT_LIMIT", "5"), ("TRUSTED_PROXIES", "10.0.0.0/8")]);
    let mut passed = 0;
    for number in 0..20 {
        passed += let_through(&shop, &untrusting, &format!("203.0.113.{number}"), 1).await;
    }
    assert!(passed <= 10, "all of them are 127.0.0.1: {passed} of 20");
}

#[tokio::test]
async fn a_flood_is_recorded_up_to_a_bound() {
    let shop = Shop::open().await;
    let service = shop.redirector(&[("REDIRECT_LIMIT", "1"), ("REDIRECT_LIMITED_RECORDED", "3")]);
    let passed = let_through(&shop, &service, "192.0.2.7", 30).await;
    let limited = shop.clicks().await.iter().filter(|click| click.class == ClickClass::Limited).count();
    assert!((passed == 1 && limited == 3) || (passed == 2 && limited <= 6), "{passed} {limited}");
}

#[tokio::test]
async fn a_flood_looks_nothing_up() {
    let shop = Shop::open().await;
    let service = shop.redirector(&[("REDIRECT_LIMIT", "1"), ("REDIRECT_LIMITED_RECORDED", "3")]);
    let mut statuses = Vec::new();
    for _ in 0..30 {
        let answer = shop.click(&service, OfferId::generate(), "192.0.2.7").send().await.unwrap();
        statuses.push(answer.status().as_u16());
    }
    let (unknown, refused): (Vec<&u16>, Vec<&u16>) = statuses.iter().partition(|status| **status == 404);
    // Four a minute are looked up, and the client's minute may end meanwhile.
    assert!((4..=8).contains(&unknown.len()) && refused.iter().all(|status| **status == 429), "{statuses:?}");
}
