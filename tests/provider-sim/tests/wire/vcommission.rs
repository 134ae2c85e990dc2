//! vCommission: conversions, the older report in three formats, error shapes, postbacks.

use crate::running::{Running, json, query, received, receiver};
use serde_json::{Value, json};

async fn ask(sim: &Running, path: &str) -> reqwest::Response {
    sim.get(&format!("/vcommission/{path}")).header("X-Api-Key", "key").send().await.expect("an answer")
}

async fn fill(sim: &Running) {
    for (id, at, status) in [
        ("66d000000000000000000001", "2026-08-01T18:29:59Z", "pending"),
        ("66d000000000000000000002", "2026-08-01T18:30:00Z", "approved"),
        ("66d000000000000000000003", "2026-08-20T10:00:00Z", "cancelled"),
    ] {
        let new = json!({
            "network": "vcommission", "id": id, "sub_id": format!("click-{}", &id[23..]), "order_id": "OD-1",
            "sale_amount": "1250.00", "commission": "62.50", "status": status, "at": at,
        });
        sim.control("transactions", new).await;
    }
}

fn ids(answer: &Value) -> Vec<&str> {
    let rows = answer["conversions"].as_array().unwrap_or_else(|| panic!("{answer}"));
    rows.iter().filter_map(|r| r["_id"].as_str()).map(|id| &id[23..]).collect()
}

#[tokio::test]
async fn conversions_are_filtered_by_india_s_days() {
    let sim = Running::start(&[]);
    fill(&sim).await;
    let window = "v2/publishers/conversions?start=2026-08-01&end=2026-08-31";
    let all = ask(&sim, window).await.text().await.expect("a body");
    assert!(all.contains(r#""payout":62.50,"#), "{all}");
    assert!(!all.contains("sale_amount"), "the row has no sale amount unless it is switched on");
    let all: Value = serde_json::from_str(&all).expect("JSON");
    assert_eq!(ids(&all), ["1", "2", "3"]);
    assert_eq!(all["pagination"], json!({"perPage": 100, "currentPage": 1, "total": 3}));
    assert_eq!((&all["conversions"][0]["p1"], &all["conversions"][0]["p2"]), (&json!("click-1"), &json!("")));
    assert_eq!(all["conversions"][0]["created"], "2026-08-01T18:29:59.000Z");
    // The second falls on the next day of India.
    let day = json(ask(&sim, "v2/publishers/conversions?start=2026-08-02&end=2026-08-02").await).await;
    assert_eq!(ids(&day), ["2"]);
    assert_eq!(ids(&json(ask(&sim, &format!("{window}&status=cancelled")).await).await), ["3"]);
    assert_eq!(ids(&json(ask(&sim, &format!("{window}&p1=click-2")).await).await), ["2"]);
    let click = all["conversions"][0]["click_id"].as_str().expect("a click");
    assert_eq!(ids(&json(ask(&sim, &format!("{window}&click_id={click}")).await).await), ["1"]);
    sim.control("config", json!({"vcommission_sale_amount": true})).await;
    let text = ask(&sim, window).await.text().await.expect("a body");
    assert!(text.contains(r#""sale_amount":1250.00,"#), "{text}");
}

#[tokio::test]
async fn pages_do_not_overlap() {
    let sim = Running::start(&[]);
    sim.control("transactions/bulk", json!({"network": "vcommission", "count": 250, "days": 5, "seed": 4})).await;
    let mut seen = std::collections::HashSet::new();
    for page in 1..=3 {
        let path = format!("v2/publishers/conversions?start=2020-01-01&end=2099-01-01&limit=100&page={page}");
        let answer = json(ask(&sim, &path).await).await;
        assert_eq!(answer["pagination"]["total"], 250);
        seen.extend(answer["conversions"].as_array().expect("a list").iter().map(|r| r["_id"].to_string()));
    }
    assert_eq!(seen.len(), 250);
}

#[tokio::test]
async fn errors_have_three_shapes() {
    let sim = Running::start(&[]);
    let keyless = sim.get("/vcommission/v2/publishers/conversions").send().await.expect("an answer");
    assert_eq!(keyless.status(), 400);
    assert_eq!(json(keyless).await, json!({"success": false, "error": {"code": 13, "message": "Invalid API Key"}}));
    let invalid = ask(&sim, "v2/publishers/conversions?limit=5&end=31.08.2026").await;
    assert_eq!(invalid.status(), 400);
    let invalid = json(invalid).await;
    assert_eq!(invalid["errors"].as_array().map(Vec::len), Some(3));
    assert_eq!(invalid["errors"][0]["code"], "107");
    let singular = ask(&sim, "v2/publisher/conversions?start=2026-08-01&end=2026-08-31").await;
    assert_eq!(singular.status(), 404);
    sim.control("config", json!({"vcommission_address_blocked": true})).await;
    let blocked = json(ask(&sim, "v2/publishers/conversions").await).await;
    assert_eq!((&blocked["error"]["code"], blocked["error"]["codeMsg"].is_string()), (&json!(41), true));
    let other = sim.control("config", json!({"keys": {"vcommission": ["right"]}})).await;
    assert_eq!(other["keys"]["vcommission"], json!(["right"]));
    assert_eq!(json(ask(&sim, "v2/publishers/conversions").await).await["error"]["code"], 13);
}

#[tokio::test]
async fn the_older_report_speaks_json_csv_and_xml() {
    let sim = Running::start(&[]);
    fill(&sim).await;
    let new = json!({"network": "vcommission", "campaign_name": "Tea, \"Chai\" & <Co>", "commission": "0.10", "at": "2026-08-21T00:00:00Z"});
    sim.control("transactions", new).await;
    let path = "api/transactions?start=2026-08-01&end=2026-08-31";
    let answer = json(ask(&sim, path).await).await;
    assert_eq!((&answer["total"], &answer["transactions"][0]["txn_id"]), (&json!(4), &json!("OD-1")));
    let csv = ask(&sim, &format!("{path}&format=csv")).await;
    assert_eq!(csv.headers()["content-type"], "text/csv; charset=utf-8");
    let text = csv.text().await.expect("a body");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("CSV");
    assert_eq!(rows.len(), 4);
    assert_eq!((&rows[0][6], &rows[0][7]), ("1250.00", "62.50"));
    assert_eq!((&rows[3][4], &rows[3][7]), ("Tea, \"Chai\" & <Co>", "0.10"));
    let xml = ask(&sim, &format!("{path}&format=xml")).await.text().await.expect("a body");
    assert!(xml.contains("<transactions page=\"1\" limit=\"100\" total=\"4\">"), "{xml}");
    assert!(xml.contains("<payout>62.50</payout>"), "{xml}");
    assert!(xml.contains("&amp; &lt;Co&gt;</campaign_name>"), "{xml}");
    assert_eq!(ask(&sim, &format!("{path}&format=pdf")).await.status(), 400);
}

#[tokio::test]
async fn a_reversal_never_comes_by_postback() {
    let (sim, ours) = (Running::start(&[]), receiver(200).await);
    sim.control("config", json!({"vcommission_postback_url": format!("{}/T", ours.uri())})).await;
    let new = json!({"network": "vcommission", "sub_id": "c1", "order_id": "OD 1&2", "commission": "62.5"});
    let id = sim.control("transactions", new).await["id"].as_str().expect("an id").to_owned();
    let path = format!("transactions/vcommission/{id}");
    received(&ours, 1).await;
    assert_eq!(sim.control(&path, json!({"status": "cancelled"})).await["deliveries"], json!([]));
    assert_eq!(sim.control(&path, json!({"status": "rejected"})).await["deliveries"], json!([]));
    sim.control(&path, json!({"status": "approved"})).await;
    let requests = received(&ours, 2).await;
    let first = query(&requests[0]);
    assert_eq!((first["p1"].as_str(), first["payout"].as_str(), first["txn_id"].as_str()), ("c1", "62.5", "OD 1&2"));
    assert_eq!(query(&requests[1])["status"], "approved");
    let url = format!("{}/m?click={{p1}}&tx={{txn_id}}&what={{unknown}}", ours.uri());
    sim.control("config", json!({"vcommission_postback_url": url})).await;
    sim.control(&path, json!({"status": "cancelled", "postback": true})).await;
    let filled = query(&received(&ours, 3).await[2]);
    assert_eq!(
        (filled["click"].as_str(), filled["tx"].as_str(), filled["what"].as_str()),
        ("c1", "OD 1&2", "{unknown}")
    );
}

#[tokio::test]
async fn the_click_link_needs_its_campaign() {
    let sim = Running::start(&[]);
    let link =
        "/vcommission/click?campaign_id=10001&pub_id=7&p1=c1&url=http%3A%2F%2F127.0.0.1%3A1%2Fshop%2Fteahouse%2Fp1";
    let answer = sim.get(link).send().await.expect("an answer");
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().expect("text");
    assert!(location.starts_with(&format!("{}/shop/teahouse?", sim.base)), "{location}");
    assert_eq!(sim.get("/vcommission/click?p1=c1").send().await.expect("an answer").status(), 400);
}
