//! The figures: right before the flush, equal to Postgres after it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::jobs::click::RecordClick;
use kv::redis::AsyncCommands;
use reqwest::Method;
use serde_json::{Value, json};

use crate::shop::Shop;

const TOKEN: &str = "a-stats-token";

async fn figures(shop: &Shop, service: &testkit::Service) -> Value {
    shop.visit(service, Method::GET, "/stats", "192.0.2.7")
        .bearer_auth(TOKEN)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

#[tokio::test]
async fn figures_are_the_same_before_and_after_the_flush() {
    let shop = Shop::open().await;
    let other = shop.add_offer(|offer| offer.title = "Hats & caps".to_owned()).await;
    let service = shop.redirector(&[("REDIRECT_REPEAT_SECONDS", "0")]);
    for (offer, clicks) in [(shop.offer.id, 3), (other, 5)] {
        for _ in 0..clicks {
            shop.click(&service, offer, "192.0.2.7").send().await.unwrap();
        }
    }
    shop.visit(&service, Method::GET, &format!("/out/{other}"), "192.0.2.7")
        .header("user-agent", "curl/8")
        .send()
        .await
        .unwrap();
    let before = figures(&shop, &service).await;
    assert_eq!(before["total"], 9);
    assert_eq!(
        (&before["classes"]["human"], &before["classes"]["bot"], &before["classes"]["limited"]),
        (&json!(8), &json!(1), &json!(0))
    );
    assert_eq!(
        (&before["waiting"]["list"], &before["waiting"]["estimated"], &before["complete"]),
        (&json!(9), &json!(false), &json!(true))
    );
    assert_eq!(before["process"]["acknowledged"], 9);

    // The flush, as cashback-sync does it; some clicks come twice.
    let clicks: Vec<RecordClick> = shop.clicks().await;
    let mut client = shop.database.pool().get().await.unwrap();
    testkit::seed::clicks(&mut client, &clicks).await;
    testkit::seed::clicks(&mut client, &clicks[..4]).await;
    let _: () = shop.connection().await.del("queue:clicks").await.unwrap();
    let later = shop.redirector(&[]);
    let after = figures(&shop, &later).await;
    assert_eq!(after["waiting"]["list"], 0);
    for part in ["total", "classes", "per_minute"] {
        assert_eq!(before[part], after[part], "{part}");
    }
    let clicks_of = |figures: &Value, top: &str| -> Vec<(String, u64)> {
        let entries = figures[top].as_array().unwrap().iter();
        entries
            .map(|entry| (entry["offer_id"].as_str().unwrap_or_default().to_owned(), entry["clicks"].as_u64().unwrap()))
            .collect()
    };
    assert_eq!(clicks_of(&before, "top_offers"), [(other.to_string(), 5), (shop.offer.id.to_string(), 3)]);
    assert_eq!(clicks_of(&before, "top_offers"), clicks_of(&after, "top_offers"));
    assert_eq!(
        (&after["top_offers"][0]["title"], &after["top_merchants"][0]["clicks"]),
        (&json!("Hats & caps"), &json!(8))
    );
    let rows: i64 = client.query_one("SELECT count(*) FROM affiliate_clicks", &[]).await.unwrap().get(0);
    assert_eq!(after["total"], rows);
}

#[tokio::test]
async fn the_page_needs_the_token_and_no_script() {
    let shop = Shop::open().await;
    shop.add_offer(|_| {}).await;
    let service = shop.redirector(&[]);
    shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap();
    let visit = || shop.visit(&service, Method::GET, "/stats", "192.0.2.7").header("accept", "text/html,*/*");
    for request in [visit(), visit().bearer_auth("wrong"), visit().basic_auth("me", Some("wrong"))] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic"));
    }
    let password = STANDARD.encode(format!("me:{TOKEN}"));
    for right in [format!("bearer {TOKEN}"), format!("BASIC {password}")] {
        assert_eq!(visit().header("authorization", &right).send().await.unwrap().status(), 200, "{right}");
    }
    let answer = visit().basic_auth("me", Some(TOKEN)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let page = answer.text().await.unwrap();
    assert!(page.contains("<svg") && page.contains("class=\"human\"") && !page.contains("<script"), "{page}");
    let metrics = shop.http.get(format!("{}/metrics", service.ops())).send().await.unwrap().text().await.unwrap();
    assert!(
        metrics
            .lines()
            .any(|line| line.starts_with("clicks_recorded_total") && line.contains("human") && line.ends_with(" 1")),
        "{metrics}"
    );
}

#[tokio::test]
async fn figures_go_on_without_redis_or_postgres_and_say_so() {
    let mut shop = Shop::open().await;
    let service = shop.redirector(&[]);
    shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap();
    shop.redis.stop();
    shop.click(&service, shop.offer.id, "192.0.2.8").send().await.unwrap();
    let figures = figures(&shop, &service).await;
    assert_eq!(
        (&figures["complete"], &figures["waiting"]["spool"], &figures["total"]),
        (&json!(false), &json!(1), &json!(1))
    );
    assert_eq!((&figures["process"]["acknowledged"], &figures["process"]["spooled"]), (&json!(1), &json!(1)));
}
