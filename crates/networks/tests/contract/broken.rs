//! Answers that are broken, and rows that are: every one of these was seen somewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::money::Paise;
use networks::{AffiliateNetwork, NetworkError, TieOut, Window};
use outbound::ProviderError;
use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::setup::{Api, day, read, tied_out};

/// A server that gives these answers in turn, the last one for ever, and tokens to whoever asks.
struct Script {
    server: MockServer,
    asked: Arc<AtomicUsize>,
}

struct Turns {
    answers: Vec<ResponseTemplate>,
    asked: Arc<AtomicUsize>,
}

impl Respond for Turns {
    fn respond(&self, _request: &Request) -> ResponseTemplate {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        self.answers.get(turn).or(self.answers.last()).unwrap().clone()
    }
}

impl Script {
    async fn of(answers: Vec<ResponseTemplate>) -> Self {
        let (server, asked) = (MockServer::start().await, Arc::new(AtomicUsize::new(0)));
        let turns = Turns { answers, asked: Arc::clone(&asked) };
        Mock::given(method("GET")).respond_with(turns).mount(&server).await;
        let token = json!({"access_token": "t", "token_type": "bearer", "expires_in": "604800", "refresh_token": "r"});
        Mock::given(method("POST")).respond_with(ok(&token.to_string())).mount(&server).await;
        Self { server, asked }
    }

    fn network(&self, api: Api) -> Arc<dyn AffiliateNetwork> {
        api.at(&self.server.uri(), &[])
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn ok(body: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body.to_owned(), "application/json")
}

/// A row with this id; status, commission and currency are JSON, so that they can be wrong.
fn row(api: Api, id: u64, status: &str, commission: &str, currency: &str) -> String {
    let click = "018f6b3a7c1d7e2f8a9b0c1d2e3f4a5b";
    match api {
        Api::Admitad => format!(
            r#"{{"id":{id},"action_id":{id},"order_id":"O-{id}","advcampaign_id":100,"status":{status},"paid":0,"payment":{commission},
                "cart":"1000.00","currency":{currency},"subid":null,"subid4":"{click}","action_date":"2026-09-01 10:25:00",
                "click_date":"2026-09-01 10:11:12","status_updated":"2026-09-01 10:40:00","click_user_ip":"192.0.2.1"}}"#
        ),
        Api::Vcommission | Api::OldVcommission(_) => format!(
            r#"{{"_id":"{id:024x}","p1":"{click}","campaign_id":100,"txn_id":"O-{id}","status":{status},"payout":{commission},
                "currency":{currency},"created":"2026-09-01T07:25:00.000Z","city":"Pune"}}"#
        ),
        Api::CuelinksV3 | Api::CuelinksV2 => format!(
            r#"{{"id":{id},"campaign_id":100,"order_id":"O-{id}","sale_amount":"1000.00","user_commission":{commission},
                "currency":{currency},"status":{status},"sub_id":"{click}","transaction_date":"2026-09-01T12:55:00+05:30",
                "referrer_url":"https://example.in/?me"}}"#
        ),
    }
}

fn fine(api: Api, id: u64) -> String {
    row(api, id, "\"pending\"", "\"62.50\"", "\"INR\"")
}

fn external(api: Api, id: u64) -> String {
    match api {
        Api::Vcommission => format!("{id:024x}"),
        _ => id.to_string(),
    }
}

fn page(api: Api, rows: &[String], total: usize) -> String {
    let rows = rows.join(",");
    match api {
        Api::Admitad => format!(r#"{{"results":[{rows}],"_meta":{{"count":{total},"limit":100,"offset":0}}}}"#),
        Api::Vcommission | Api::OldVcommission(_) => {
            format!(r#"{{"conversions":[{rows}],"pagination":{{"perPage":100,"currentPage":1,"total":{total}}}}}"#)
        }
        Api::CuelinksV3 | Api::CuelinksV2 => {
            format!(r#"{{"data":[{rows}],"meta":{{"page":1,"per_page":100,"total":{total}}}}}"#)
        }
    }
}

fn window() -> Window {
    Window::ActionDates { from: day("2026-08-25"), to: day("2026-09-10") }
}

/// A page of three.
fn three_rows(api: Api) -> String {
    page(api, &[fine(api, 1), fine(api, 2), fine(api, 3)], 3)
}

#[tokio::test]
async fn what_is_not_understood_is_put_aside_with_its_reason_and_hides_no_other_row() {
    for api in Api::MAIN {
        let rows = [
            fine(api, 1),
            row(api, 2, "\"mystery\"", "\"62.50\"", "\"INR\""),
            row(api, 3, "\"pending\"", "-0.01", "\"INR\""),
            row(api, 4, "\"pending\"", "\"12,50\"", "\"INR\""),
            row(api, 5, "null", "\"62.50\"", "\"INR\""),
            row(api, 6, "\"pending\"", "\"62.50\"", "\"XAU\""),
            row(api, 7, "\"pending\"", "1.99", "\"USD\""),
            row(api, 8, "\"pending\"", "{\"amount\":1}", "\"INR\""),
        ];
        let script = Script::of(vec![ok(&page(api, &rows, 8))]).await;
        let read = read(&*script.network(api), window()).await.unwrap();
        let good: Vec<_> = read.transactions.iter().map(|row| (row.external_id.clone(), row.commission)).collect();
        let expected = [(external(api, 1), Paise::new(6_250)), (external(api, 7), Paise::new(16_735))];
        assert_eq!(good, expected, "{api:?}");
        let foreign = read.transactions[1].foreign.as_ref().unwrap();
        assert_eq!((foreign.commission.to_string(), foreign.rate.to_string()), ("1.99".to_owned(), "84.10".to_owned()));
        let aside: Vec<_> = read
            .put_aside
            .iter()
            .map(|row| (row.external_id.clone().unwrap(), row.reason.word(), row.reason.to_string()))
            .collect();
        let reasons =
            ["unknown_status", "negative_amount", "unreadable_field", "missing_field", "no_rate", "unreadable_field"];
        for (place, (id, reason)) in [2_u64, 3, 4, 5, 6, 8].into_iter().zip(reasons).enumerate() {
            assert_eq!((&aside[place].0, aside[place].1), (&external(api, id), reason), "{api:?}");
        }
        assert_eq!(aside[0].2, "the status \"mystery\" is unknown");
        assert!(aside[1].2.ends_with(" is negative") && aside[4].2 == "no rate is set for XAU", "{aside:?}");
        assert_eq!(read.tally.count(), 8, "what is put aside is counted all the same");
        let raw: String = read
            .transactions
            .iter()
            .map(|row| row.raw.clone())
            .chain(read.put_aside.iter().map(|row| row.raw.clone()))
            .collect();
        for personal in ["192.0.2.1", "Pune", "example.in"] {
            assert!(!raw.contains(personal), "{api:?} keeps {personal}");
        }
    }
}

/// An answer that is none, and what it is.
fn faults(api: Api) -> Vec<(&'static str, ResponseTemplate)> {
    let whole = three_rows(api);
    let cut = &whole[..whole.len() - 40];
    vec![
        ("429", ResponseTemplate::new(429).insert_header("retry-after", "0")),
        ("503", ResponseTemplate::new(503).insert_header("retry-after", "0")),
        ("500", ResponseTemplate::new(500).set_body_string("oops")),
        ("a cut body", ok(cut)),
        ("an empty body", ok("")),
        ("HTML", ResponseTemplate::new(200).set_body_raw("<!DOCTYPE html><html>busy</html>", "text/html")),
        ("another shape", ok(r#"{"results":{},"conversions":7,"data":"none"}"#)),
        ("a row that is none", ok(&page(api, &["7".to_owned()], 1))),
        ("fewer rows than it counts", ok(&page(api, &[], 3))),
    ]
}

#[tokio::test]
async fn an_answer_that_is_none_is_asked_for_three_times_and_never_taken_for_a_short_page() {
    for api in Api::MAIN {
        for (name, fault) in faults(api) {
            let script = Script::of(vec![fault.clone(), fault.clone(), ok(&three_rows(api))]).await;
            let read =
                read(&*script.network(api), window()).await.unwrap_or_else(|error| panic!("{api:?} {name}: {error}"));
            assert_eq!((read.ids().len(), script.asked()), (3, 3), "{api:?} {name}");

            let script = Script::of(vec![fault]).await;
            let error = script.network(api).page(window(), None).await.expect_err(name);
            assert!(error.is_transient(), "{api:?} {name}: {error}");
            assert_eq!(script.asked(), 3, "{api:?} {name}: three attempts in all");
        }
    }
}

#[tokio::test]
async fn a_wait_that_is_too_long_for_a_job_is_handed_up_at_once() {
    for api in Api::MAIN {
        let status = if api == Api::Admitad { 503 } else { 429 };
        let script = Script::of(vec![ResponseTemplate::new(status).insert_header("retry-after", "3600")]).await;
        let error = script.network(api).page(window(), None).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3_600)), "{api:?}");
        assert!(error.is_transient() && script.asked() == 1, "{api:?}");
    }
}

#[tokio::test]
async fn a_refusal_in_mid_run_leaves_the_cursor_good() {
    for api in Api::MAIN {
        let first: Vec<_> = (1..=100).map(|id| fine(api, id)).collect();
        let second: Vec<_> = (101..=150).map(|id| fine(api, id)).collect();
        let refusal = json!({"error": "x", "error_code": 3, "success": false, "message": "no"});
        let refusal = ResponseTemplate::new(403).set_body_json(refusal);
        let script = Script::of(vec![ok(&page(api, &first, 150)), refusal, ok(&page(api, &second, 150))]).await;
        let network = script.network(api);
        let one = network.page(window(), None).await.unwrap();
        let cursor = one.next.unwrap();
        let error = network.page(window(), Some(&cursor)).await.unwrap_err();
        assert!(!error.is_transient(), "{api:?}: {error}");
        assert!(matches!(error, NetworkError::Provider(ProviderError::Locked { .. })), "{api:?}: {error:?}");
        let two = network.page(window(), Some(&cursor)).await.unwrap();
        assert_eq!((one.rows.len(), two.rows.len(), two.next), (100, 50, None), "{api:?}");
    }
}

#[tokio::test]
async fn the_same_page_for_ever_is_found_out_by_the_networks_own_count() {
    for api in Api::MAIN {
        let rows: Vec<_> = (1..=100).map(|id| fine(api, id)).collect();
        let script = Script::of(vec![ok(&page(api, &rows, 250))]).await;
        let network = api.at(&script.server.uri(), &[("ADMITAD_SUMS", "false")]);
        let (read, verdict) = tied_out(&*network, window()).await;
        assert_eq!(read.ids().len(), 100);
        let TieOut::Differs(how) = verdict else { panic!("{api:?}: {verdict:?}") };
        assert_eq!(how, "100 rows were read, the network counts 250", "{api:?}");
    }
}

#[tokio::test]
async fn an_empty_204_is_nothing_to_tell() {
    for api in [Api::CuelinksV2, Api::CuelinksV3, Api::Vcommission] {
        let script = Script::of(vec![ResponseTemplate::new(204)]).await;
        let (read, verdict) = tied_out(&*script.network(api), window()).await;
        assert_eq!((read.ids().len(), read.pages, verdict), (0, 1, TieOut::Agrees), "{api:?}");
    }
}

#[tokio::test]
async fn a_wrong_key_needs_a_person_whatever_status_it_comes_under() {
    let wrong_key = json!({"success": false, "error": {"code": 13, "message": "Invalid API Key"}});
    let text_code = json!({"success": false, "errors": [{"statusCode": 400, "code": "102", "message": "key"}]});
    let admitad = json!({"error": "x", "error_description": "scope", "error_code": 2, "status_code": 403});
    let cases: [(Api, u16, &Value); 5] = [
        (Api::Vcommission, 400, &wrong_key),
        (Api::Vcommission, 200, &wrong_key),
        (Api::Vcommission, 400, &text_code),
        (Api::Admitad, 200, &admitad),
        (Api::CuelinksV3, 401, &Value::Null),
    ];
    for (api, status, body) in cases {
        let script = Script::of(vec![ResponseTemplate::new(status).set_body_json(body)]).await;
        let error = script.network(api).page(window(), None).await.unwrap_err();
        assert!(matches!(error, NetworkError::Provider(ProviderError::Locked { .. })), "{api:?} {status}: {error:?}");
        assert_eq!(script.asked(), 1, "{api:?}: it is not asked again");
    }
}

#[tokio::test]
async fn too_many_requests_under_another_name_is_waited_for() {
    let admitad = json!({"error": "x", "error_description": "limit", "error_code": 4});
    let vcommission = json!({"success": false, "error": {"code": 40, "message": "Too many requests"}});
    for (api, status, body) in [(Api::Admitad, 200, admitad), (Api::Vcommission, 400, vcommission)] {
        let busy = ResponseTemplate::new(status).set_body_json(body);
        let script = Script::of(vec![busy, ok(&three_rows(api))]).await;
        assert_eq!(read(&*script.network(api), window()).await.unwrap().ids().len(), 3, "{api:?}");
        assert_eq!(script.asked(), 2);
    }
}
