//! Whose transactions are read: a key of another publisher's account is refused before a row is, and of an account with
//! several ad spaces only those of ours are asked for.

use networks::NetworkError;
use outbound::ProviderError;
use serde_json::{Value, json};
use testkit::Sim;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::setup::{Api, read, wide};

const OURS: [(&str, &str); 1] = [("CUELINKS_PUBLISHER_ID", "100001")];

/// An account that answers `/ping` with this and has no transactions.
async fn account(ping: Value) -> MockServer {
    let server = MockServer::start().await;
    let page = json!({"data": [], "meta": {"page": 1, "per_page": 100, "total": 0}});
    Mock::given(method("GET"))
        .and(path("/ping"))
        .respond_with(ResponseTemplate::new(200).set_body_json(ping))
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(200).set_body_json(page)).mount(&server).await;
    server
}

async fn asked(server: &MockServer) -> Vec<String> {
    server.received_requests().await.unwrap().iter().map(|request| request.url.path().to_owned()).collect()
}

#[tokio::test]
async fn our_own_account_is_asked_for_once_and_read() {
    let shapes = [
        json!({"publisher": {"id": 100_001, "publisher_id": 7}}),
        json!({"publisher": {"id": 7, "publisher_id": "100001"}}),
        json!({"status": "ok", "data": {"publisher": {"id": "100001"}}}),
    ];
    for ping in shapes {
        let server = account(ping.clone()).await;
        let network = Api::CuelinksV3.at(&server.uri(), &OURS);
        read(&*network, wide()).await.unwrap_or_else(|error| panic!("{ping}: {error}"));
        read(&*network, wide()).await.unwrap();
        let asked = asked(&server).await;
        assert_eq!(asked.iter().filter(|path| *path == "/ping").count(), 1, "{asked:?}");
        assert_eq!(asked[0], "/ping", "before the first page");
    }
    let sim = Sim::start();
    read(&*Api::CuelinksV3.at(&sim.at(Api::CuelinksV3.path()), &OURS), wide()).await.unwrap();
}

#[tokio::test]
async fn another_publishers_key_needs_a_person_and_no_row_is_read() {
    let sim = Sim::start();
    let network = Api::CuelinksV3.at(&sim.at(Api::CuelinksV3.path()), &[("CUELINKS_PUBLISHER_ID", "424242")]);
    for error in [read(&*network, wide()).await.unwrap_err(), network.by_sub_id("any").await.unwrap_err()] {
        let NetworkError::Provider(ProviderError::Locked { detail, .. }) = &error else { panic!("{error:?}") };
        assert!(detail.contains("publisher 100001") && detail.contains("says 424242"), "{detail}");
        assert!(!error.is_transient(), "asking again would not help");
    }
    let journal = sim.get("/_sim/requests?provider=cuelinks").await;
    let list = journal.as_array().or(journal["requests"].as_array()).unwrap();
    assert!(
        !list.is_empty() && list.iter().all(|request| request["path"].as_str().unwrap().ends_with("/ping")),
        "{list:?}"
    );
}

#[tokio::test]
async fn an_answer_that_names_nobody_is_no_proof() {
    let server = account(json!({"status": "ok"})).await;
    let error = read(&*Api::CuelinksV3.at(&server.uri(), &OURS), wide()).await.unwrap_err();
    assert!(error.to_string().contains("cuelinks"), "{error}");
    assert!(asked(&server).await.iter().all(|path| path == "/ping"), "no row was read");
}

#[tokio::test]
async fn who_says_no_publisher_and_who_has_version_2_is_not_asked() {
    for (api, more) in [(Api::CuelinksV3, [].as_slice()), (Api::CuelinksV2, OURS.as_slice())] {
        let server = account(json!({"publisher": {"id": 7}})).await;
        read(&*api.at(&server.uri(), more), wide()).await.unwrap_or_else(|error| panic!("{api:?}: {error}"));
        assert!(asked(&server).await.iter().all(|path| path != "/ping"), "{api:?}");
    }
}

#[tokio::test]
async fn every_question_to_admitad_is_about_our_ad_space_only() {
    let server = MockServer::start().await;
    let token = json!({"access_token": "t", "token_type": "bearer", "expires_in": 604_800, "refresh_token": "r"});
    let page = json!({"results": [], "_meta": {"count": 0, "limit": 100, "offset": 0}});
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200).set_body_json(token)).mount(&server).await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(200).set_body_json(page)).mount(&server).await;
    let network = Api::Admitad.at(&server.uri(), &[("ADMITAD_WEBSITE_ID", "1001")]);
    read(&*network, wide()).await.unwrap();
    network.by_id("7").await.unwrap();
    network.by_sub_id("any").await.unwrap();
    let requests = server.received_requests().await.unwrap();
    let asked: Vec<_> = requests.iter().filter(|request| request.method.as_str() == "GET").collect();
    assert!(asked.len() >= 4, "{asked:?}");
    for request in asked {
        let is_ours = request.url.query_pairs().any(|(name, value)| (&*name, &*value) == ("website", "1001"));
        assert!(is_ours, "{}", request.url);
    }
}
