//! What the client tells about requests that went wrong: above all, whether they can have had their effect.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use config::{Map, Reader};
use outbound::retry::{RetryPolicy, reading};
use outbound::{Client, Method, ProviderError, Settings};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn client(timeout_ms: &str) -> Client {
    let source = Map::from([("OUTBOUND_TIMEOUT_MS", timeout_ms)]);
    let mut reader = Reader::new(&source);
    let settings = Settings::read(&mut reader);
    Client::new("example", &settings).expect("a client")
}

fn quick() -> RetryPolicy {
    RetryPolicy { attempts: 3, first: Duration::from_millis(1), longest: Duration::from_millis(200) }
}

/// A server that answers every connection with these bytes and closes it.
fn raw_server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _asked = stream.read(&mut [0; 4096]);
            let _told = stream.write_all(answer);
        }
    });
    format!("http://{address}/")
}

#[tokio::test]
async fn a_request_that_found_no_server_had_no_effect() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", gone.local_addr().expect("an address"));
    drop(gone);
    let client = client("2000");
    let error = client.send(client.request(Method::POST, &url)).await.expect_err("nobody listens");
    assert!(matches!(error, ProviderError::TryLater { after: None, .. }), "{error:?}");
    assert!(error.to_string().contains("Connection refused"), "it says why: {error}");
    assert!(!error.to_string().contains(&url), "the address stays out of messages: {error}");
}

#[tokio::test]
async fn a_request_without_an_answer_may_have_had_its_effect() {
    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(20));
    Mock::given(method("POST")).respond_with(slow).mount(&server).await;
    let client = client("150");
    let error = client.send(client.request(Method::POST, &server.uri())).await.expect_err("no answer in time");
    assert!(matches!(error, ProviderError::Unknown { .. }), "{error:?}");
    assert!(error.is_transient());
    assert!(!error.to_string().contains("127.0.0.1"), "the address stays out of messages: {error}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_may_have_had_its_effect() {
    let url = raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"half\":");
    let client = client("2000");
    let error = client.send(client.request(Method::GET, &url)).await.expect_err("half an answer");
    assert!(matches!(error, ProviderError::Unknown { .. }), "{error:?}");
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_its_end() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let _asked = stream.read(&mut [0; 4096]);
        let _head = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let chunk = vec![b'x'; 1 << 20];
        while stream.write_all(&chunk).is_ok() {}
    });
    let client = client("20000");
    let error = client.send(client.request(Method::GET, &url)).await.expect_err("too much");
    assert!(matches!(error, ProviderError::Unreadable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let server = MockServer::start().await;
    let away = ResponseTemplate::new(301).insert_header("location", "/elsewhere");
    Mock::given(path("/here")).respond_with(away).mount(&server).await;
    Mock::given(path("/elsewhere")).respond_with(ResponseTemplate::new(200)).expect(0).mount(&server).await;
    let client = client("2000");
    let answer = client.send(client.request(Method::GET, &format!("{}/here", server.uri()))).await.expect("an answer");
    assert_eq!(answer.status, 301);
}

#[tokio::test]
async fn the_wish_of_the_provider_is_read_from_either_header() {
    let server = MockServer::start().await;
    let seconds = ResponseTemplate::new(429).insert_header("retry-after", "7");
    Mock::given(path("/seconds")).respond_with(seconds).mount(&server).await;
    let past = ResponseTemplate::new(429).insert_header("x-ratelimit-reset", "1");
    Mock::given(path("/past")).respond_with(past).mount(&server).await;
    let absurd = ResponseTemplate::new(429).insert_header("retry-after", u64::MAX.to_string().as_str());
    Mock::given(path("/absurd")).respond_with(absurd).mount(&server).await;
    let client = client("2000");
    for (name, wish) in
        [("seconds", Duration::from_secs(7)), ("past", Duration::ZERO), ("absurd", Duration::from_hours(24))]
    {
        let request = client.request(Method::GET, &format!("{}/{name}", server.uri()));
        assert_eq!(client.send(request).await.expect("an answer").retry_after(), Some(wish), "{name}");
    }
}

fn later(after: Option<Duration>) -> ProviderError {
    ProviderError::TryLater { provider: "example", detail: "busy".to_owned(), after }
}

#[tokio::test]
async fn reading_is_tried_three_times_in_all() {
    let mut calls = 0;
    let result: Result<(), _> = reading(&quick(), || {
        calls += 1;
        async { Err(later(None)) }
    })
    .await;
    assert!(result.is_err());
    assert_eq!(calls, 3);
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let mut calls = 0;
    let result: Result<(), _> = reading(&quick(), || {
        calls += 1;
        async { Err(ProviderError::Refused { provider: "example", detail: "no".to_owned() }) }
    })
    .await;
    assert!(result.is_err());
    assert_eq!(calls, 1);
}

#[tokio::test]
async fn the_wish_is_waited_for_unless_it_is_too_long() {
    let wish = Duration::from_millis(60);
    let begin = std::time::Instant::now();
    let mut calls = 0;
    let result = reading(&quick(), || {
        calls += 1;
        let first = calls == 1;
        async move { if first { Err(later(Some(wish))) } else { Ok(()) } }
    })
    .await;
    assert!(result.is_ok());
    assert!(begin.elapsed() >= wish, "waited {:?}", begin.elapsed());

    let mut calls = 0;
    let result: Result<(), _> = reading(&quick(), || {
        calls += 1;
        async { Err(later(Some(Duration::from_secs(3600)))) }
    })
    .await;
    assert_eq!(result.expect_err("it waits elsewhere").retry_after(), Some(Duration::from_secs(3600)));
    assert_eq!(calls, 1, "the caller is told at once");
}
