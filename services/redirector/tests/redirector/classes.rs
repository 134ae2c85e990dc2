//! Every visitor is recorded, in its class.

use domain::click::ClickClass;
use domain::ids::UserId;
use reqwest::Method;
use serde_json::json;

use crate::shop::{LINK_SECRET, PHONE, SESSION_SECRET, Shop, token};

#[tokio::test]
async fn all_classes_are_redirected_and_recorded_with_a_reason() {
    let shop = Shop::open().await;
    let service = shop.redirector(&[("REDIRECT_LIMIT", "6")]);
    let path = format!("/out/{}", shop.offer.id);
    let visit =
        |method: Method, agent: &str| shop.visit(&service, method, &path, "192.0.2.7").header("user-agent", agent);
    let crawler = "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)";
    let human = visit(Method::GET, PHONE).send().await.unwrap();
    let cookie = human.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    for request in [
        visit(Method::GET, crawler),
        visit(Method::HEAD, PHONE),
        visit(Method::GET, PHONE).header("sec-purpose", "prefetch;prerender"),
        visit(Method::GET, PHONE).header("cookie", &cookie),
        shop.visit(&service, Method::GET, &path, "192.0.2.7"),
    ] {
        assert_eq!(request.send().await.unwrap().status(), 302);
    }
    let limited = visit(Method::GET, PHONE).send().await.unwrap();
    assert_eq!(limited.status(), 429);
    let clicks = shop.clicks().await;
    let classes: Vec<_> = clicks.iter().map(|click| click.class).collect();
    use ClickClass as C;
    assert_eq!(classes, [C::Human, C::Bot, C::Head, C::Prefetch, C::Duplicate, C::Bot, C::Limited]);
    assert!(clicks.iter().all(|click| (click.class == C::Human) == click.reason.is_empty()));
    let ids: std::collections::HashSet<_> = clicks.iter().map(|click| click.click_id).collect();
    assert_eq!(ids.len(), clicks.len(), "a duplicate has an id of its own");
}

#[tokio::test]
async fn a_shopper_is_known_by_session_or_link_and_anonymous_otherwise() {
    let shop = Shop::open().await;
    let service = shop.redirector(&[]);
    let (asha, ravi) = (UserId::generate(), UserId::generate());
    let expires = chrono::DateTime::timestamp(&domain::clock::Clock::now(&domain::clock::SystemClock)) + 60;
    let session = token(SESSION_SECRET, &json!({"sub": asha, "exp": expires}));
    let link = token(LINK_SECRET, &json!({"sub": ravi, "exp": expires, "aud": "redirect-link"}));
    let forged = token("another-secret", &json!({"sub": asha, "exp": expires}));
    let click = || shop.click(&service, shop.offer.id, "192.0.2.7");
    for request in [
        click().header("cookie", format!("x=1; token={session}")),
        click().bearer_auth(&session),
        click().query(&[("t", &link)]),
        click().header("cookie", format!("token={forged}")),
        click(),
    ] {
        assert_eq!(request.send().await.unwrap().status(), 302);
    }
    let clicks = shop.clicks().await;
    let users: Vec<_> = clicks.iter().map(|click| click.user_id).collect();
    assert_eq!(users, [Some(asha), Some(asha), Some(ravi), None, None]);
    let classes: Vec<_> = clicks.iter().map(|click| click.class).collect();
    use ClickClass as C;
    assert_eq!(classes, [C::Human, C::Duplicate, C::Human, C::Human, C::Human], "two strangers are not one shopper");
}
