//! What a click gets, and what it does not.

use std::time::Duration;

use domain::click::ClickClass;
use domain::clock::{Clock, SystemClock};
use domain::ids::MerchantId;
use domain::money::{BasisPoints, Paise};
use reqwest::Method;
use store::catalogue::{self, Merchant};
use testkit::eventually_true;

use crate::shop::{PHONE, Shop, click_in, location};

#[tokio::test]
async fn a_click_leads_to_the_shop_with_its_id_and_is_on_the_list_before_the_answer() {
    let shop = Shop::open().await;
    let own_terms = shop
        .add_offer(|offer| {
            (offer.cashback, offer.cashback_cap) = (BasisPoints::new(250).ok(), Some(Paise::new(50_000)))
        })
        .await;
    let service = shop.redirector(&[]);
    let answer = shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap();
    let clicks = shop.clicks().await;

    assert_eq!(answer.status(), 302);
    let link = location(&answer);
    let value = |name: &str| link.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    assert_eq!(link.host_str(), Some("ad.admitad.com"));
    assert_eq!(value("ulp").as_deref(), Some("https://www.shop.in/shoes?size=9&colour=red"));
    assert_eq!(value("subid"), value("subid4"));
    assert!(link.as_str().contains("ulp=https%3A%2F%2Fwww.shop.in%2Fshoes%3Fsize%3D9%26colour%3Dred"), "{link}");
    let header = |name: &str| answer.headers()[name].to_str().unwrap();
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("referrer-policy"), "strict-origin-when-cross-origin");
    assert!(header("x-robots-tag").contains("noindex"));
    assert_eq!((header("ratelimit-limit"), header("ratelimit-remaining")), ("100", "99"));
    let cookie = header("set-cookie");
    assert!(cookie.starts_with("cb_click=") && cookie.contains("HttpOnly; SameSite=Lax; Secure"), "{cookie}");

    let [click] = &clicks[..] else { panic!("{clicks:?}") };
    assert_eq!(click.click_id, click_in(&answer));
    assert_eq!(
        (click.offer_id, click.merchant_id, click.network),
        (shop.offer.id, shop.merchant.id, shop.merchant.network)
    );
    assert_eq!((click.rate, click.cap, click.offer_version, click.user_id), (shop.merchant.cashback, None, 1, None));
    assert_eq!((click.class, click.reason.as_str(), click.user_agent.as_str()), (ClickClass::Human, "", PHONE));
    assert!(click.client_hash.len() == 32 && !serde_json::to_string(click).unwrap().contains("192.0.2.7"));

    shop.click(&service, own_terms, "192.0.2.7").send().await.unwrap();
    let clicks = shop.clicks().await;
    assert_eq!((clicks[1].rate.get(), clicks[1].cap), (250, Some(Paise::new(50_000))));
    assert_ne!(clicks[0].click_id, clicks[1].click_id);
}

#[tokio::test]
async fn what_is_gone_has_a_page_for_people_or_a_landing_page() {
    let shop = Shop::open().await;
    let expired = shop
        .add_offer(|offer| offer.expires_at = SystemClock.now().checked_sub_signed(chrono::TimeDelta::seconds(1)))
        .await;
    let inactive = shop.add_offer(|offer| offer.active = false).await;
    let unknown = domain::ids::OfferId::generate();
    let gone = [
        (unknown.to_string(), 404, "unknown-offer"),
        ("shoes".to_owned(), 404, "unknown-offer"),
        (expired.to_string(), 410, "offer-expired"),
        (inactive.to_string(), 410, "offer-inactive"),
    ];
    let service = shop.redirector(&[]);
    for (offer, status, reason) in &gone {
        let answer = shop.click(&service, offer, "192.0.2.7").send().await.unwrap();
        assert_eq!(answer.status(), *status, "{offer}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert!(answer.headers()["x-robots-tag"].to_str().unwrap().contains("noindex"));
        let page = answer.text().await.unwrap();
        assert!(page.contains("<h1>") && page.contains(reason), "{page}");
    }
    let landing =
        shop.redirector(&[("REDIRECT_LANDING_URL", "https://cashback.in/gone?why={reason}&offer={offer_id}")]);
    for (offer, _, reason) in &gone {
        let answer = shop.click(&landing, offer, "192.0.2.7").send().await.unwrap();
        assert_eq!(answer.status(), 302, "{offer}");
        let id = if offer == "shoes" { "" } else { offer };
        assert_eq!(location(&answer).as_str(), format!("https://cashback.in/gone?why={reason}&offer={id}"));
    }
    assert!(shop.clicks().await.is_empty(), "what leads nowhere is no click");
}

#[tokio::test]
async fn a_page_of_the_shop_can_be_asked_for_and_no_other() {
    let shop = Shop::open().await;
    let service = shop.redirector(&[("REDIRECT_LIMIT", "1000")]);
    let to = |page: &str| shop.click(&service, shop.offer.id, "192.0.2.7").query(&[("to", page)]).send();
    let answer = to("https://m.shop.in/p/1?a=1&b=%20x").await.unwrap();
    assert_eq!(answer.status(), 302);
    let page = location(&answer).query_pairs().find(|(name, _)| name == "ulp").unwrap().1.into_owned();
    assert_eq!(page, "https://m.shop.in/p/1?a=1&b=%20x");
    for attack in [
        "https://evil.example/",
        "//evil.example",
        "https://shop.in@evil.example/",
        "https://evil.example\\@shop.in/",
        "javascript:alert(1)",
        "https://shop.in/r?u=https%3A%2F%2Fevil.example",
        "https%3A%2F%2Fshop.in%2F",
        "https://ｓhop.in/",
        "http://shop.in/",
        "",
        "https://shop.in/\r\nLocation: https://evil.example",
    ] {
        let answer = to(attack).await.unwrap();
        assert_eq!(answer.status(), 400, "{attack}");
        assert!(answer.headers().get("location").is_none() && answer.text().await.unwrap().contains("page-refused"));
    }
    assert_eq!(shop.clicks().await.len(), 1);
}

#[tokio::test]
async fn a_catalogue_that_cannot_be_used_is_our_fault_and_said_so() {
    let shop = Shop::open().await;
    let foreign = shop.add_offer(|offer| offer.target_url = "https://evil.example/".to_owned()).await;
    let service = shop.redirector(&[]);
    let answer = shop.click(&service, foreign, "192.0.2.7").send().await.unwrap();
    assert_eq!(answer.status(), 503);
    eventually_true("the log says why", Duration::from_secs(10), async || {
        service.logs().contains("the offer's target is refused")
    })
    .await;
    let client = shop.database.pool().get().await.unwrap();
    assert!(shop.clicks().await.is_empty());
    shop.spoil_template(&client).await;
    // The offer may have been loaded before its merchant changed, until the change is heard.
    eventually_true("nobody is sent on", Duration::from_secs(10), async || {
        shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap().status() == 503
    })
    .await;
}

#[tokio::test]
async fn what_would_lose_clicks_cannot_be_saved() {
    let shop = Shop::open().await;
    let client = shop.database.pool().get().await.unwrap();
    let save = async |merchant: Merchant| {
        let new = Merchant { id: MerchantId::generate(), campaign_id: "2".to_owned(), ..merchant.clone() };
        let errors = [
            catalogue::insert_merchant(&client, &new).await.map(|()| true),
            catalogue::update_merchant(&client, &merchant).await,
        ];
        errors.map(|error| telemetry::chain(&error.expect_err("it was saved")))
    };
    let template = "https://ad.admitad.com/g/HASH/?subid3={click_id}&x={your-sub-aff-id}".to_owned();
    for error in save(Merchant { tracking_template: template, ..shop.merchant.clone() }).await {
        assert!(
            error.contains("not saved") && error.contains("subid3") && error.contains("your-sub-aff-id"),
            "{error}"
        );
    }
    for error in save(Merchant { allowed_hosts: vec!["*.com".to_owned()], ..shop.merchant.clone() }).await {
        assert!(error.contains("not saved") && error.contains("*.com"), "{error}");
    }
    let rows = client.query("SELECT tracking_template FROM merchants", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>(), [shop.merchant.tracking_template]);
}

#[tokio::test]
async fn templates_that_would_lose_clicks_are_told_at_the_start() {
    let shop = Shop::open().await;
    let client = shop.database.pool().get().await.unwrap();
    shop.spoil_template(&client).await;
    let service = shop.redirector(&[]);
    // Nobody has clicked.
    eventually_true("the merchant is told", Duration::from_secs(10), async || {
        let logs = service.logs();
        logs.contains("the merchant cannot be used") && logs.contains("subid3") && logs.contains("your-sub-aff-id")
    })
    .await;
}

#[tokio::test]
async fn a_merchant_that_cannot_be_read_is_told_and_hides_no_other() {
    let shop = Shop::open().await;
    let client = shop.database.pool().get().await.unwrap();
    let id = "00000000-0000-7000-8000-000000000001".parse().unwrap();
    let first = Merchant { id, campaign_id: "2".to_owned(), ..shop.merchant.clone() };
    catalogue::insert_merchant(&client, &first).await.unwrap();
    // A network that only a later version knows, say.
    client.execute("ALTER TABLE merchants DROP CONSTRAINT merchants_network_check", &[]).await.unwrap();
    client.execute("UPDATE merchants SET network = 'later' WHERE id = $1", &[&id]).await.unwrap();
    shop.spoil_template(&client).await;
    let service = shop.redirector(&[]);
    eventually_true("all are looked at", Duration::from_secs(10), async || {
        service.logs().contains("looked at the tracking templates of all merchants")
    })
    .await;
    let logs = service.logs();
    let told = logs.lines().filter(|line| line.contains("the merchant cannot be used")).collect::<Vec<_>>();
    assert!(told.len() == 2 && told[0].contains("is not a network") && told[1].contains("subid3"), "{told:?}");
}

#[tokio::test]
async fn other_methods_are_refused_and_head_is_answered_like_get() {
    let shop = Shop::open().await;
    let service = shop.redirector(&[]);
    let path = format!("/out/{}", shop.offer.id);
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let answer = shop.visit(&service, method.clone(), &path, "192.0.2.7").send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()),
            (405, "GET, HEAD"),
            "{method}"
        );
    }
    let answer =
        shop.visit(&service, Method::HEAD, &path, "192.0.2.7").header("user-agent", PHONE).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    assert!(answer.headers().get("set-cookie").is_none());
    assert_eq!(shop.clicks().await[0].click_id, click_in(&answer));
}
