//! Cuelinks: both API versions, postbacks, links.

use crate::running::{Running, json, query, received, receiver};
use serde_json::{Value, json};

async fn v3(sim: &Running, query: &str) -> reqwest::Response {
    let path = format!("/cuelinks/pub_api/v3/transactions?{query}");
    sim.get(&path).header("Authorization", "Token key").send().await.expect("an answer")
}

async fn v2(sim: &Running, query: &str) -> reqwest::Response {
    let path = format!("/cuelinks/api/v2/transactions.json?{query}");
    sim.get(&path).header("Authorization", "Token token=\"key\"").send().await.expect("an answer")
}

async fn fill(sim: &Running) {
    for (id, at) in [("5500001", "2026-08-14T18:29:59Z"), ("5500002", "2026-08-14T18:30:00Z")] {
        sim.control(
            "transactions",
            json!({
                "network": "cuelinks", "id": id, "sub_id": "c_1", "order_id": "OD-1", "sale_amount": "1299.00",
                "commission": "51.96", "at": at,
            }),
        )
        .await;
    }
}

#[tokio::test]
async fn v3_writes_decimal_strings_and_pages() {
    let sim = Running::start(&[]);
    fill(&sim).await;
    sim.control("transactions", json!({"network": "cuelinks", "id": "5500003", "at": "2026-08-20T00:00:00Z"})).await;
    let answer = json(v3(&sim, "start_date=2026-08-01&end_date=2026-08-31&per_page=2").await).await;
    let row = &answer["data"][0];
    assert_eq!((&row["sale_amount"], &row["user_commission"]), (&json!("1299.00"), &json!("51.96")));
    assert_eq!((&row["sub_id"], &row["id"]), (&json!("c_1"), &json!(5_500_001)));
    assert_eq!(row["transaction_date"], "2026-08-14T23:59:59+05:30");
    assert_eq!(
        answer["meta"],
        json!({"page": 1, "per_page": 2, "total": 3, "total_pages": 2, "next_page": 2, "prev_page": null})
    );
    let last = json(v3(&sim, "per_page=2&page=2").await).await;
    assert_eq!((last["data"].as_array().map(Vec::len), &last["meta"]["next_page"]), (Some(1), &Value::Null));
    assert_eq!(last["data"][0]["sale_amount"], Value::Null);
    // Plain dates are days of India, the last one included; moments carry their offset.
    assert_eq!(json(v3(&sim, "end_date=2026-08-14").await).await["meta"]["total"], 1);
    assert_eq!(json(v3(&sim, "start_date=2026-08-15T00:00:00%2B05:30").await).await["meta"]["total"], 2);
    let bad = v3(&sim, "start_date=yesterday").await;
    assert_eq!(bad.status(), 422);
    assert!(json(bad).await["message"].is_string());
}

#[tokio::test]
async fn v2_writes_numbers_and_a_bare_204() {
    let sim = Running::start(&[]);
    let empty = v2(&sim, "page=1").await;
    assert_eq!(empty.status(), 204);
    assert_eq!(empty.text().await.expect("a body"), "");
    fill(&sim).await;
    let text = v2(&sim, "sub_id=c_1&per_page=1").await.text().await.expect("a body");
    assert!(text.contains(r#""sale_amount":1299.00,"user_commission":51.96,"#), "{text}");
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&answer["total_count"], &answer["transactions"][0]["aff_sub"]), (&json!(2), &json!("c_1")));
    assert_eq!(answer["transactions"][0]["transaction_date"], "2026-08-14 23:59:59 +0530");
    assert_eq!(v2(&sim, "sub_id=other").await.status(), 204);
}

#[tokio::test]
async fn each_version_wants_its_own_form_of_the_key() {
    let sim = Running::start(&[]);
    sim.control("config", json!({"keys": {"cuelinks": ["key"]}})).await;
    assert_eq!(v3(&sim, "").await.status(), 200);
    assert_eq!(v2(&sim, "").await.status(), 204);
    for (path, value) in [
        ("/cuelinks/pub_api/v3/transactions", "Token token=key"),
        ("/cuelinks/pub_api/v3/transactions", "Token wrong"),
        ("/cuelinks/api/v2/transactions.json", "Token key"),
    ] {
        let answer = sim.get(path).header("Authorization", value).send().await.expect("an answer");
        assert_eq!(answer.status(), 401, "{path} {value}");
    }
}

#[tokio::test]
async fn postbacks_carry_the_constant_token() {
    let (sim, ours) = (Running::start(&[]), receiver(200).await);
    sim.control("config", json!({"cuelinks_postback_url": ours.uri(), "cuelinks_postback_token": "synthetic-token"}))
        .await;
    fill(&sim).await;
    let requests = received(&ours, 2).await;
    let told = requests.iter().map(query).find(|q| q["transaction_id"] == "5500001").expect("the first row's postback");
    for (name, value) in [
        ("click_id", "c_1"),
        ("commission_amount", "51.96"),
        ("transaction_amount", "1299.00"),
        ("merchant_transaction_id", "OD-1"),
        ("token", "synthetic-token"),
    ] {
        assert_eq!(told[name], value, "{name}");
    }
    assert!(!told.contains_key("status"));
    sim.control("config", json!({"cuelinks_postback_method": "json", "cuelinks_postback_status": true})).await;
    sim.control("transactions/cuelinks/5500001", json!({"status": "validated"})).await;
    let told: Value = received(&ours, 3).await[2].body_json().expect("JSON");
    assert_eq!((&told["status"], &told["transaction_id"]), (&json!("validated"), &json!("5500001")));
}

#[tokio::test]
async fn convert_gives_a_link_that_works() {
    let sim = Running::start(&[]);
    let asked = json!({"url": "https://shop.example.in/p/1?a=b&c=d", "subid": "c_9"});
    let answer = sim.post("/cuelinks/pub_api/v3/links/convert").header("Authorization", "Token key").json(&asked);
    let link = json(answer.send().await.expect("an answer")).await["data"]["tracking_url"]
        .as_str()
        .expect("a link")
        .to_owned();
    assert_eq!(sim.http.get(&link).send().await.expect("an answer").status(), 302);
    let clicks = sim.look("clicks?network=cuelinks").await;
    assert_eq!(clicks["clicks"][0]["sub_ids"]["subid"], "c_9");
    assert_eq!(clicks["clicks"][0]["target"], "https://shop.example.in/p/1?a=b&c=d");
}
