//! Working off many stored webhooks again, by the API of the console, while processes die.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Service, eventually, eventually_true};

use crate::events::{event, payment};
use crate::shop::{SOON, Shop, TOKEN};

const RUNS: &str = "/api/v1/webhook-replay-runs";

/// A replica of the console.
async fn console(shop: &Shop) -> Service {
    let (url, redis_url) = (shop.database.url(), shop.redis.url());
    let environment = [
        ("DATABASE_URL", url.as_str()),
        ("REDIS_URL", redis_url.as_str()),
        ("CONSOLE_SECURE_COOKIES", "false"),
        ("HTTP_WORKERS", "2"),
    ];
    let service = Service::start("admin", &environment);
    service.ready().await;
    service
}

async fn call(shop: &Shop, console: &Service, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let request = shop.http.request(method, format!("{}{path}", console.http())).bearer_auth(TOKEN);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Waits until all of a run's webhooks were asked for and have their outcome.
async fn ended(shop: &Shop, console: &Service, run: &str) -> Value {
    eventually("the replay has ended", SOON, async || {
        let (_, stands) = call(shop, console, Method::GET, run, None).await;
        Some(stands).filter(|stands| stands["state"] == "asked" && stands["open"] == 0)
    })
    .await
}

/// Previews what came since 2020 and gives the run with the reports of its preview.
async fn previewed(shop: &Shop, console: &Service, per_second: u32) -> (String, Value, Vec<Value>) {
    let wanted = json!({ "since": "2020-01-01T00:00:00Z", "per_second": per_second, "reason": "it was lost" });
    let (status, run) = call(shop, console, Method::POST, RUNS, Some(wanted)).await;
    assert_eq!(status, 202, "{run}");
    let path = format!("{RUNS}/{}", run["id"].as_str().unwrap());
    let reports = eventually("the preview's answers", SOON, async || {
        let (_, page) = call(shop, console, Method::GET, &format!("{path}/replays"), None).await;
        let items = page["items"].as_array().unwrap().clone();
        items.iter().all(|one| one["outcome"] == "previewed").then_some(items)
    })
    .await;
    (path, run, reports)
}

#[tokio::test]
async fn many_webhooks_are_replayed_twice_across_a_kill_and_the_effect_of_each_stays_one() {
    let shop = Shop::open().await;
    let scopes = ["webhooks:read", "webhooks:write"].map(str::to_owned);
    store::api_tokens::upsert(&shop.client().await, "replays", TOKEN, &scopes, "test").await.unwrap();
    let (user, product) = (shop.shopper().await, shop.product(21).await);
    let buy = async |number: i32| {
        let order = format!("order_{number}");
        shop.order(user, &order, product, 1).await;
        let paid = payment(&format!("pay_{number}"), &order, 49_900, "captured");
        assert_eq!(shop.razorpay(&event("payment.captured", &[("payment", paid)])).await, 200);
    };
    for number in 0..20 {
        buy(number).await;
    }
    for number in 0..5 {
        let url = shop.url(&format!("/webhooks/admitad/{TOKEN}?action_id=70000000{number}&payment_status=approved"));
        assert_eq!(shop.http.get(&url).send().await.unwrap().status(), 200);
    }
    assert_eq!(shop.http.get(shop.url("/webhooks/admitad/wrong")).send().await.unwrap().status(), 401);
    shop.worked_off(20).await;
    let rejected = "SELECT count(*) FROM webhook_logs WHERE verdict = 'rejected'";
    eventually_true("the refusal is logged", SOON, async || shop.count(rejected).await == 1).await;
    let mails = "SELECT count(*) FROM outbox WHERE kind = 'email.send'";
    let told = shop.count(mails).await;

    let (mut first, second) = (console(&shop).await, console(&shop).await);
    let (path, run, reports) = previewed(&shop, &first, 10).await;
    assert_eq!((&run["count"], &run["state"]), (&json!(25), &json!("previewed")), "{run}");
    let groups = run["groups"].as_array().unwrap();
    let groups: Vec<_> =
        groups.iter().map(|group| json!([group["verdict"], group["count"], group["is_replayed"]])).collect();
    assert_eq!(groups, [json!(["accepted", 20, true]), json!(["accepted", 5, true]), json!(["rejected", 1, false])]);
    assert_eq!(reports.len(), 4, "the oldest and the newest of each kind");
    assert!(reports[0]["report"].as_str().unwrap().contains("stays fulfilled"), "{reports:?}");
    assert_eq!(shop.count("SELECT count(*) FROM webhook_effects").await, 20, "a preview changes nothing");

    // What comes now is not in the preview, so it is not replayed.
    buy(20).await;
    shop.worked_off(21).await;
    let why = || Some(json!({ "reason": "it was lost" }));
    assert_eq!(call(&shop, &first, Method::POST, &format!("{path}/start"), why()).await.0, 202);
    eventually_true("it moves", SOON, async || shop.count("SELECT asked FROM webhook_replay_runs").await > 0).await;
    first.process().kill();
    let end = ended(&shop, &second, &path).await;
    assert_eq!((&end["asked"], &end["applied"], &end["handed_on"]), (&json!(25), &json!(20), &json!(5)), "{end}");
    assert_eq!(call(&shop, &second, Method::POST, &format!("{path}/start"), why()).await.0, 409, "once");
    let (_, page) = call(&shop, &second, Method::GET, &format!("{path}/replays"), None).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 25);

    let (path, run, _) = previewed(&shop, &second, 1_000).await;
    assert_eq!(run["count"], 26);
    assert_eq!(call(&shop, &second, Method::POST, &format!("{path}/start"), why()).await.0, 202);
    let end = ended(&shop, &second, &path).await;
    assert_eq!((&end["applied"], &end["handed_on"]), (&json!(21), &json!(5)), "{end}");

    assert_eq!(shop.count("SELECT count(*) FROM webhook_effects WHERE replay_id IS NOT NULL").await, 51);
    assert_eq!(shop.count("SELECT count(*) FROM voucher_codes WHERE order_item_id IS NOT NULL").await, 21);
    assert_eq!(shop.count(mails).await, told + 1, "only the late order is told of");
    let audited = "SELECT count(*) FROM audit_logs WHERE action = 'webhook.replay_many' AND reason = 'it was lost'";
    assert_eq!(shop.count(audited).await, 2);
}
