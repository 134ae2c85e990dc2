//! Admitad: tokens, the actions report, postbacks, links.

use crate::running::{Running, json, query, received, receiver};
use serde_json::{Value, json};

async fn grant(sim: &Running, form: &str) -> Value {
    let request = sim.post("/admitad/token/").basic_auth("client", Some("secret"));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
    json(request.send().await.expect("an answer")).await
}

async fn token(sim: &Running) -> String {
    let granted =
        grant(sim, "grant_type=client_credentials&client_id=client&scope=statistics%20deeplink_generator").await;
    granted["access_token"].as_str().expect("a token").to_owned()
}

async fn actions(sim: &Running, token: &str, query: &str) -> reqwest::Response {
    let path = format!("/admitad/statistics/actions/?{query}");
    sim.get(&path).bearer_auth(token).send().await.expect("an answer")
}

async fn ids(sim: &Running, token: &str, query: &str) -> Vec<u64> {
    let answer = json(actions(sim, token, query).await).await;
    answer["results"].as_array().unwrap_or_else(|| panic!("{answer}")).iter().filter_map(|r| r["id"].as_u64()).collect()
}

#[tokio::test]
async fn tokens_are_granted_expire_and_are_refreshed_once() {
    let sim = Running::start(&[]);
    let first = grant(&sim, "grant_type=client_credentials&client_id=client&scope=statistics").await;
    assert_eq!((first["token_type"].as_str(), first["expires_in"].as_u64()), (Some("bearer"), Some(604_800)));
    let access = first["access_token"].as_str().expect("a token");
    assert_eq!(actions(&sim, access, "").await.status(), 200);
    let unknown = actions(&sim, "unknown", "").await;
    assert_eq!(unknown.status(), 401);
    assert_eq!(json(unknown).await["error_code"], 1);
    sim.control("config", json!({"clock_offset_s": 604_801})).await;
    let expired = actions(&sim, access, "").await;
    assert_eq!(expired.status(), 401);
    assert_eq!(json(expired).await["error_code"], 0);
    let refresh = format!(
        "grant_type=refresh_token&client_id=client&client_secret=secret&refresh_token={}",
        first["refresh_token"].as_str().expect("a token")
    );
    let second = grant(&sim, &refresh).await;
    assert_eq!(actions(&sim, second["access_token"].as_str().expect("a token"), "").await.status(), 200);
    assert_eq!(grant(&sim, &refresh).await["error_code"], 5);
    let narrow = grant(&sim, "grant_type=client_credentials&client_id=client&scope=deeplink_generator").await;
    let refused = actions(&sim, narrow["access_token"].as_str().expect("a token"), "").await;
    assert_eq!(refused.status(), 403);
    assert_eq!(json(refused).await["error"], "insufficient_scope");
    sim.control("config", json!({"admitad_max_tokens": 2})).await;
    assert_eq!(grant(&sim, "grant_type=client_credentials").await["error_code"], 6);
    sim.control("config", json!({"keys": {"admitad": ["client:other"]}})).await;
    assert_eq!(grant(&sim, "grant_type=client_credentials").await["error"], "invalid_client");
}

#[tokio::test]
async fn the_report_filters_pages_and_sorts() {
    let sim = Running::start(&[]);
    let token = token(&sim).await;
    for day in 1..=25 {
        sim.control("transactions", json!({
            "network": "admitad", "id": (1_000 + day).to_string(), "sub_id": format!("c{day}"), "campaign_id": 7 + day % 2,
            "sale_amount": "1000.00", "commission": format!("{}.50", 100 - day), "at": format!("2026-01-{day:02}T12:00:00Z"),
        })).await;
    }
    assert_eq!(ids(&sim, &token, "").await.len(), 20);
    let page = json(actions(&sim, &token, "limit=10&offset=20&order_by=datetime").await).await;
    assert_eq!(page["_meta"], json!({"count": 25, "limit": 10, "offset": 20}));
    assert_eq!(page["results"].as_array().map(Vec::len), Some(5));
    assert_eq!(ids(&sim, &token, "order_by=-datetime&limit=1").await, [1_025]);
    assert_eq!(ids(&sim, &token, "order_by=payment&limit=1").await, [1_025]);
    assert_eq!(ids(&sim, &token, "date_start=03.01.2026&date_end=04.01.2026").await, [1_003, 1_004]);
    assert_eq!(ids(&sim, &token, "subid4=c9").await, [1_009]);
    assert_eq!(ids(&sim, &token, "subid=c9").await, [1_009]);
    assert_eq!(ids(&sim, &token, "action_id=1011").await, [1_011]);
    assert_eq!(ids(&sim, &token, "campaign=7&limit=500").await.len(), 12);
    sim.control("transactions/admitad/1005", json!({"status": "approved", "at": "2026-02-01T06:00:00Z"})).await;
    // Times in filters and rows are those of UTC+3.
    let updated = "status_updated_start=01.02.2026+09:00:00&status_updated_end=01.02.2026+09:00:00";
    assert_eq!(ids(&sim, &token, updated).await, [1_005]);
    assert_eq!(ids(&sim, &token, "status=2").await, [1_005]);
    let row = json(actions(&sim, &token, "action_id=1005").await).await["results"][0].clone();
    assert_eq!((row["status"].as_str(), row["action_date"].as_str()), (Some("approved"), Some("2026-01-05 15:00:00")));
    let sums = json(actions(&sim, &token, "total=1").await).await;
    assert_eq!((&sums["results"][0]["actions"], &sums["results"][0]["cart"]), (&json!(25), &json!("25000.00")));
    for bad in
        ["limit=501", "limit=0", "date_start=2026-01-01", "order_by=colour", "date_end=01.01.2999", "status=pending"]
    {
        let answer = actions(&sim, &token, bad).await;
        assert_eq!(answer.status(), 400, "{bad}");
        assert_eq!(json(answer).await["error_code"], 3);
    }
}

#[tokio::test]
async fn amounts_keep_their_digits_as_number_and_as_text() {
    let sim = Running::start(&[]);
    let token = token(&sim).await;
    for id in ["10", "11"] {
        let new = json!({"network": "admitad", "id": id, "sale_amount": "2499.00", "commission": "124.950"});
        sim.control("transactions", new).await;
    }
    let text = actions(&sim, &token, "").await.text().await.expect("a body");
    assert!(text.contains(r#""cart":2499.00,"payment":124.950,"#), "{text}");
    assert!(text.contains(r#""cart":"2499.00","payment":"124.950","#), "{text}");
}

#[tokio::test]
async fn too_many_requests_are_a_503() {
    let sim = Running::start(&[]);
    let token = token(&sim).await;
    sim.control("config", json!({"rate_per_minute": {"admitad": 2}})).await;
    let mut statuses = Vec::new();
    // Six calls touch two minutes at most, so three of them share one.
    for _ in 0..6 {
        let answer = actions(&sim, &token, "").await;
        statuses.push(answer.status().as_u16());
        if answer.status() == 503 {
            assert_eq!(json(answer).await["error_code"], 4);
        }
    }
    assert!(statuses.contains(&503), "{statuses:?}");
}

#[tokio::test]
async fn postbacks_tell_creation_and_change() {
    let (sim, ours) = (Running::start(&[]), receiver(200).await);
    sim.control("config", json!({"admitad_postback_url": format!("{}/webhooks/admitad/T", ours.uri())})).await;
    let new = json!({"network": "admitad", "sub_id": "click-1", "order_id": "OD-1", "sale_amount": "2499.00", "commission": "124.95"});
    let id = sim.control("transactions", new).await["id"].as_str().expect("an id").to_owned();
    let path = format!("transactions/admitad/{id}");
    // Each goes by itself: two at once may overtake one another.
    received(&ours, 1).await;
    sim.control(&path, json!({"status": "approved"})).await;
    sim.control(&path, json!({"status": "pending", "postback": false})).await;
    sim.control(&path, json!({"comment": "nothing that a postback tells"})).await;
    received(&ours, 2).await;
    sim.control("config", json!({"admitad_postback_method": "post"})).await;
    sim.control(&path, json!({"status": "approved", "paid": true})).await;
    let requests = received(&ours, 3).await;
    assert_eq!(requests.len(), 3);
    let first = query(&requests[0]);
    assert_eq!(requests[0].url.path(), "/webhooks/admitad/T");
    let expected = [
        ("payment_status", "new"),
        ("action_id", id.as_str()),
        ("payment_sum", "124.95"),
        ("order_sum", "2499.00"),
        ("order_id", "OD-1"),
        ("subid", "click-1"),
        ("subid4", "click-1"),
        ("reward_ready", "false"),
        ("currency", "INR"),
    ];
    for (name, value) in expected {
        assert_eq!(first[name], value, "{name}");
    }
    assert_ne!(first["admitad_id"], first["action_id"]);
    assert_eq!(query(&requests[1])["payment_status"], "approved");
    let form = String::from_utf8_lossy(&requests[2].body).into_owned();
    assert!(form.contains("reward_ready=true") && form.contains("payment_status=approved"), "{form}");
    // Macros of the advanced mode.
    let url = format!("{}/m?s=[[[payment_status]]]&c=[[[subid4]]]&x=[[[nothing]]]", ours.uri());
    sim.control("config", json!({"admitad_postback_url": url, "admitad_postback_method": "get"})).await;
    sim.control(&path, json!({"status": "pending"})).await;
    let filled = query(&received(&ours, 4).await[3]);
    assert_eq!((filled["s"].as_str(), filled["c"].as_str()), ("pending", "click-1"));
    assert_eq!(filled["x"], "[[[nothing]]]");
}

#[tokio::test]
async fn a_link_leads_to_the_shop_and_lends_its_click() {
    let sim = Running::start(&[]);
    let target = "https%3A%2F%2Fshop.example.in%2Fp%2F1%3Fcolour%3Dred";
    let link = format!("/admitad/g/abc123/?ulp={target}&subid=c-9&subid1=extra&subid4=c-9");
    let answer = sim.get(&link).send().await.expect("an answer");
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().expect("text").to_owned();
    assert!(location.starts_with(&format!("{}/shop/shop.example.in?", sim.base)), "{location}");
    let page = sim.http.get(&location).send().await.expect("an answer").text().await.expect("a page");
    for part in ["shop.example.in", "https://shop.example.in/p/1?colour=red", "c-9"] {
        assert!(page.contains(part), "{part} is not on the page");
    }
    let clicks = sim.look("clicks?sub_id=c-9").await;
    assert_eq!(clicks["count"], 1);
    assert!(clicks["clicks"][0]["landed_at"].is_string());
    let made = sim.control("transactions", json!({"network": "admitad", "sub_id": "c-9", "commission": "1"})).await;
    assert_eq!(made["transaction"]["click_id"], clicks["clicks"][0]["id"]);
    assert_eq!(made["transaction"]["sub_ids"]["subid1"], "extra");
    let without = sim.get("/admitad/statistics/actions?limit=1").send().await.expect("an answer");
    assert_eq!(
        (without.status().as_u16(), &without.headers()["location"]),
        (301, &"/admitad/statistics/actions/?limit=1".parse().expect("a header"))
    );
}
