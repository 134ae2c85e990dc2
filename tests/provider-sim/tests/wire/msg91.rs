//! MSG91: Flow, one-time passwords, reports in four shapes.

use crate::running::{Running, header, json, received, receiver};
use serde_json::{Value, json};

fn flow(number: &str) -> Value {
    json!({"template_id": "650000000000000000000001", "short_url": "0", "recipients": [
        {"mobiles": number, "VAR1": "Rs.250", "VAR2": "Demo Store", "CRQID": "ntf_1"},
    ]})
}

async fn send(sim: &Running, path: &str, body: &Value) -> Value {
    let answer = sim.post(path).header("authkey", "key").json(body).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    json(answer).await
}

#[tokio::test]
async fn flow_takes_both_paths_and_both_shapes() {
    let sim = Running::start(&[]);
    sim.control("config", json!({"msg91_templates": {"650000000000000000000001": "##VAR1## from ##VAR2##"}})).await;
    for path in ["/msg91/api/v5/flow", "/msg91/api/v5/flow/"] {
        let answer = send(&sim, path, &flow("919800000001")).await;
        assert_eq!(answer["type"], "success");
        let id = answer["message"].as_str().expect("an id");
        assert!(id.len() == 24 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    }
    let old = json!({"flow_id": "650000000000000000000001", "mobiles": "919800000002", "VAR1": "Rs.1", "VAR2": "X"});
    assert_eq!(send(&sim, "/msg91/api/v5/flow/", &old).await["type"], "success");
    let inbox = sim.look("inbox.json?channel=sms&to=919800000001&template=650000000000000000000001").await;
    assert_eq!(inbox["count"], 2);
    assert_eq!(inbox["messages"][0]["text"], "Rs.250 from Demo Store");
    assert_eq!(sim.look("inbox.json?to=919800000002").await["messages"][0]["text"], "Rs.1 from X");
}

#[tokio::test]
async fn errors_come_under_http_200() {
    let sim = Running::start(&[]);
    let path = "/msg91/api/v5/flow/";
    assert_eq!(send(&sim, path, &json!({"recipients": []})).await["message"], "template id missing");
    assert_eq!(send(&sim, path, &flow("+919800000001")).await["code"], "202");
    assert_eq!(send(&sim, path, &json!({"template_id": "t", "recipients": []})).await["type"], "error");
    let answer = sim.post(path).json(&flow("919800000001")).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(json(answer).await["code"], "106");
    sim.control("config", json!({"msg91_out_of_credit": true})).await;
    assert_eq!(send(&sim, path, &flow("919800000001")).await["code"], "301");
    sim.control("config", json!({"msg91_address_blocked": true})).await;
    assert_eq!(send(&sim, path, &flow("919800000001")).await["code"], "418");
    sim.control("config", json!({"msg91_error_status": 401})).await;
    let answer = sim.post(path).header("authkey", "k").json(&flow("1")).send().await.expect("an answer");
    assert_eq!(answer.status(), 401);
    assert_eq!(sim.look("inbox.json").await["count"], 0);
}

#[tokio::test]
async fn reports_come_in_the_chosen_shape() {
    let (sim, ours) = (Running::start(&[]), receiver(200).await);
    sim.control("config", json!({"msg91_report_url": ours.uri()})).await;
    for (number, format) in ["v2", "v3", "v4", "webhook_new"].into_iter().enumerate() {
        let headers = json!({"X-Webhook-Secret": "hush"});
        sim.control("config", json!({"msg91_report_format": format, "msg91_report_headers": headers})).await;
        let id = send(&sim, "/msg91/api/v5/flow/", &flow("919800000001")).await["message"].clone();
        let requests = received(&ours, number + 1).await;
        let request = &requests[number];
        let told: Value = if format == "v2" {
            assert_eq!(header(request, "content-type"), "application/x-www-form-urlencoded");
            let form: Vec<(String, String)> = url::form_urlencoded::parse(&request.body).into_owned().collect();
            assert_eq!(form[0].0, "data");
            serde_json::from_str(&form[0].1).expect("JSON in the form")
        } else {
            request.body_json().expect("JSON")
        };
        let (told_id, crqid, status) = match format {
            "v2" => (&told[0]["requestId"], &told[0]["report"][0]["CRQID"], &told[0]["report"][0]["status"]),
            "v3" => (&told["requestId"], &told["CRQID"], &told["status"]),
            "v4" => {
                assert_eq!(told[0]["event"], "delivered");
                let meta = &told[0]["data"][0]["meta"];
                (&meta["requestId"], &meta["CRQID"], &meta["status"])
            }
            _ => {
                assert_eq!(header(request, "x-webhook-secret"), "hush");
                (&told["request_id"], &told["crqid"], &told["status"])
            }
        };
        assert_eq!((told_id, crqid, status), (&id, &json!("ntf_1"), &json!("1")), "{format}");
    }
}

#[tokio::test]
async fn numbers_and_texts_have_their_fate() {
    let (sim, ours) = (Running::start(&[]), receiver(200).await);
    sim.control("config", json!({"msg91_report_url": ours.uri()})).await;
    send(&sim, "/msg91/api/v5/flow/", &flow("919999000009")).await;
    let told: Value = received(&ours, 1).await[0].body_json().expect("JSON");
    assert_eq!(told["status"], "9");
    let mut long = flow("919800000001");
    long["recipients"][0]["VAR2"] = json!("A merchant with a name of more than thirty characters");
    send(&sim, "/msg91/api/v5/flow/", &long).await;
    let told: Value = received(&ours, 2).await[1].body_json().expect("JSON");
    assert_eq!(told["status"], "16");
    let id = sim.look("inbox.json").await["messages"][0]["id"].clone();
    sim.control(&format!("inbox/{id}/report"), json!({"status": "17"})).await;
    let told: Value = received(&ours, 3).await[2].body_json().expect("JSON");
    assert_eq!(told["status"], "17");
}

#[tokio::test]
async fn a_one_time_password_is_verified_once() {
    let sim = Running::start(&[]);
    let ask = |path: &str| sim.get(&format!("/msg91/api/v5/otp{path}")).header("authkey", "k");
    let sent = sim.post("/msg91/api/v5/otp?template_id=t1&mobile=919800000001&otp_length=6").header("authkey", "k");
    let sent = json(sent.send().await.expect("an answer")).await;
    assert_eq!(sent["type"], "success");
    assert!(sent["request_id"].is_string());
    let otp =
        sim.look("inbox.json?category=otp").await["messages"][0]["args"]["OTP"].as_str().expect("a code").to_owned();
    assert_eq!(otp.len(), 6);
    let verify = |code: String| {
        let request = ask(&format!("/verify?mobile=919800000001&otp={code}"));
        async { json(request.send().await.expect("an answer")).await }
    };
    assert_eq!(verify("0".to_owned()).await["message"], "OTP not match");
    let retried = json(ask("/retry?mobile=919800000001&retrytype=text").send().await.expect("an answer")).await;
    assert_eq!(retried["type"], "success");
    assert_eq!(verify(otp.clone()).await, json!({"type": "success", "message": "OTP verified success"}));
    let again = verify(otp).await;
    assert_eq!(
        (again["type"].as_str(), again["message"].as_str()),
        (Some("error"), Some("Mobile no. already verified"))
    );
    let journal = sim.look("requests?provider=msg91&path=verify").await;
    assert!(
        journal["requests"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|r| r["query"].as_str().is_some_and(|q| q.contains("otp=***")))
    );
    sim.control("config", json!({"clock_offset_s": 90_000})).await;
    let late = json(ask("/verify?mobile=919800000009&otp=1").send().await.expect("an answer")).await;
    assert_eq!(late["message"], "Mobile no. not found");
}
