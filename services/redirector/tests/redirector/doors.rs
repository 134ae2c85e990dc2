//! Clicks are answered at the door or by the framework: from outside there is no difference.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use testkit::Service;

use crate::shop::{PHONE, Shop};

/// A connection on which bytes are sent as they are.
struct Wire(TcpStream);

impl Wire {
    fn open(service: &Service) -> Self {
        let stream = TcpStream::connect(service.http().trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(stream)
    }

    fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// The next answer: its head, with names of headers as they came, and its body.
    fn answer(&mut self) -> (String, String) {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            self.read_into(&mut text, 1);
        }
        let head = String::from_utf8(text).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = Vec::new();
        self.read_into(&mut body, length.map_or(0, |length| length.parse().unwrap()));
        (head, String::from_utf8(body).unwrap())
    }

    fn read_into(&mut self, bytes: &mut Vec<u8>, length: usize) {
        let begin = bytes.len();
        bytes.resize(begin + length, 0);
        self.0.read_exact(&mut bytes[begin..]).unwrap();
    }

    /// What comes until the other side hangs up.
    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).unwrap();
        rest
    }
}

fn request(method: &str, path: &str, more: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: go.in\r\nUser-Agent: {PHONE}\r\nX-Forwarded-For: 192.0.2.7\r\n{more}\r\n"
    )
}

/// The status, and the names of all headers.
fn outline(head: &str) -> (String, BTreeSet<String>) {
    let mut lines = head.lines();
    let status = lines.next().unwrap().to_owned();
    let names = lines.filter_map(|line| line.split_once(": ")).map(|(name, _)| name.to_owned());
    (status, names.filter(|name| name != "connection").collect())
}

#[tokio::test]
async fn an_answer_is_the_same_at_the_door_and_in_the_framework() {
    let shop = Shop::open().await;
    let service = shop.redirector(&[("REDIRECT_LIMIT", "6")]);
    let offer = format!("/out/{}", shop.offer.id);
    let elsewhere = format!("{offer}?to=https://evil.example/");
    for path in [&*offer, "/out/shoes", &elsewhere, &offer] {
        let mut wire = Wire::open(&service);
        wire.send(&request("GET", path, "X-Request-Id: mine-7\r\n"));
        let (at_door, door_body) = wire.answer();
        // `TE` says nothing that matters here, and is nothing for the door.
        wire.send(&request("GET", path, "TE: trailers\r\nX-Request-Id: mine-7\r\n"));
        let (in_framework, framework_body) = wire.answer();
        assert_eq!(outline(&at_door), outline(&in_framework), "{path}");
        let without_seconds = |page: &str| page.replace(|c: char| c.is_ascii_digit(), "");
        assert_eq!(without_seconds(&door_body), without_seconds(&framework_body), "{path}");
        assert!(at_door.contains("x-request-id: mine-7\r\n") && in_framework.contains("x-request-id: mine-7\r\n"));
    }
    // The limit was reached on the way, by clicks that came through either: it is one count.
    let mut wire = Wire::open(&service);
    wire.send(&request("GET", &offer, ""));
    let (head, page) = wire.answer();
    assert!(head.starts_with("HTTP/1.1 429 ") && head.contains("retry-after: "), "{head}");
    assert!(page.contains("too-many-clicks"), "{page}");
}

#[tokio::test]
async fn control_characters_are_a_bad_request_at_the_door_and_in_the_framework() {
    let shop = Shop::open().await;
    let service = shop.redirector(&[]);
    let offer = format!("/out/{}", shop.offer.id);
    let page = |escaped: &str| format!("{offer}?to=https://www.shop.in/{escaped}");
    // `TE` says nothing that matters here, and is nothing for the door.
    for way in ["", "TE: trailers\r\n"] {
        for more in ["Cookie: a\u{1}b\r\n", "X-Request-Id: a\u{7f}b\r\n", "X-Other: a\u{0}b\r\n"] {
            let mut wire = Wire::open(&service);
            wire.send(&request("GET", &offer, &format!("{way}{more}")));
            let head = wire.answer().0;
            assert!(head.starts_with("HTTP/1.1 400 ") && !head.contains("location: "), "{more:?} {head}");
        }
        for escaped in ["%0d%0aset-cookie:%20a=b", "%01", "%7f", "%250a", "%c2%85"] {
            let mut wire = Wire::open(&service);
            wire.send(&request("GET", &page(escaped), way));
            let (head, body) = wire.answer();
            assert!(head.starts_with("HTTP/1.1 400 ") && !head.contains("location: "), "{escaped} {head}");
            assert!(body.contains("page-refused"), "{escaped} {body}");
        }
    }
    assert!(shop.clicks().await.is_empty(), "what is refused is no click");
}

#[tokio::test]
async fn a_connection_goes_on_whatever_comes_on_it() {
    let shop = Shop::open().await;
    let service = shop.redirector(&[("HTTP_WORKERS", "1")]);
    let offer = format!("/out/{}", shop.offer.id);
    let mut wire = Wire::open(&service);
    let status = |answer: (String, String)| answer.0.lines().next().unwrap().to_owned();
    wire.send(&request("GET", &offer, ""));
    assert_eq!(status(wire.answer()), "HTTP/1.1 302 Found");
    wire.send(&request("GET", &offer, "Cookie: a=b\r\nConnection: keep-alive\r\n"));
    assert_eq!(status(wire.answer()), "HTTP/1.1 302 Found");
    // Two at once, then one in pieces, one of another route, and a click again.
    wire.send(&(request("GET", &offer, "") + &request("GET", &offer, "")));
    assert_eq!(status(wire.answer()), "HTTP/1.1 302 Found");
    assert_eq!(status(wire.answer()), "HTTP/1.1 302 Found");
    let text = request("GET", &offer, "");
    let (first, second) = text.split_at(40);
    wire.send(first);
    // One thread serves, so what it answers now it has read after the first piece.
    let mut other = Wire::open(&service);
    other.send(&request("GET", &offer, ""));
    assert_eq!(status(other.answer()), "HTTP/1.1 302 Found");
    wire.send(second);
    assert_eq!(status(wire.answer()), "HTTP/1.1 302 Found");
    wire.send(&request("GET", "/nothing", ""));
    assert_eq!(status(wire.answer()), "HTTP/1.1 404 Not Found");
    wire.send(&request("GET", &offer, ""));
    assert_eq!(status(wire.answer()), "HTTP/1.1 302 Found");
    assert_eq!(shop.clicks().await.len(), 7);

    let mut wire = Wire::open(&service);
    wire.send(&request("GET", "/out/shoes", ""));
    assert_eq!(status(wire.answer()), "HTTP/1.1 404 Not Found");
    wire.send(&(request("POST", &offer, "Content-Length: 3\r\n") + "abc"));
    assert_eq!(status(wire.answer()), "HTTP/1.1 405 Method Not Allowed");
    let mut wire = Wire::open(&service);
    wire.send(&request("GET", &offer, "Connection: close\r\n"));
    assert!(wire.rest().starts_with("HTTP/1.1 302 Found\r\n"));
    let mut wire = Wire::open(&service);
    wire.send("GET /out/7 HTTP/1.1\r\nbad name: 1\r\n\r\n");
    assert!(wire.rest().starts_with("HTTP/1.1 400 Bad Request\r\n"));
}

#[tokio::test]
async fn a_head_has_no_body_and_is_a_click_of_its_class() {
    let shop = Shop::open().await;
    let service = shop.redirector(&[]);
    let mut wire = Wire::open(&service);
    wire.send(&request("HEAD", &format!("/out/{}", shop.offer.id), ""));
    let head = wire.answer().0;
    assert!(head.starts_with("HTTP/1.1 302 Found\r\n") && !head.contains("set-cookie"), "{head}");
    wire.send(&request("HEAD", "/out/shoes", ""));
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        wire.read_into(&mut head, 1);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n") && !head.contains("content-length: 0\r\n"), "{head}");
    // Had there been a body, it would be read as the next answer.
    wire.send(&request("HEAD", &format!("/out/{}", shop.offer.id), ""));
    assert!(wire.answer().0.starts_with("HTTP/1.1 302 Found\r\n"));
    assert!(shop.clicks().await.iter().all(|click| click.class == domain::click::ClickClass::Head));
}

#[tokio::test]
async fn connections_on_which_nothing_comes_are_closed() {
    let shop = Shop::open().await;
    let mut service = shop.redirector(&[]);
    let offer = format!("/out/{}", shop.offer.id);
    let begin = Instant::now();
    let (mut silent, mut slow, mut idle) = (Wire::open(&service), Wire::open(&service), Wire::open(&service));
    slow.send("GET /out/");
    idle.send(&request("GET", &offer, ""));
    assert!(idle.answer().0.starts_with("HTTP/1.1 302 "));
    assert!(silent.rest().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert!(slow.rest().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert_eq!(idle.rest(), "");
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(15), "{took:?}");

    // The end does not wait for those who have nothing to ask.
    let mut idle = Wire::open(&service);
    idle.send(&request("GET", &offer, ""));
    assert!(idle.answer().0.starts_with("HTTP/1.1 302 "));
    let (code, took) = service.process().terminate(Duration::from_secs(20));
    assert_eq!(code, Some(0), "{}", service.logs());
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(idle.rest(), "");
}
