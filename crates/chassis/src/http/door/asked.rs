//! What is asked at the door, and whether it is plain enough to be answered there.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// More headers than that are shown in.
const MOST_HEADERS: usize = 64;

/// What a handler may look at of a request, wherever it came from.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, as it was sent.
    pub path: &'a str,
    /// What follows the question mark; empty without one.
    pub query: &'a str,
    /// The headers; at the door only those that the doorman reads.
    pub headers: &'a HeaderMap,
    /// The other end of the connection.
    pub peer: IpAddr,
}

impl<'a> From<&'a HttpRequest> for Asked<'a> {
    fn from(request: &'a HttpRequest) -> Self {
        Self {
            method: request.method(),
            path: request.path(),
            query: request.query_string(),
            headers: request.headers(),
            peer: request.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip()),
        }
    }
}

/// The request that a connection is at. Its room is used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Held {
    method: Method,
    target: String,
    /// Where in the target the path ends.
    path: usize,
    headers: HeaderMap,
}

impl Held {
    /// Takes what was read if it is exactly one plain request below `prefix`, and keeps those of its headers that are in `reads`.
    /// Otherwise nothing is to be made of what is held now.
    pub(super) fn take(&mut self, bytes: &[u8], prefix: &str, reads: &[&'static [HeaderName]]) -> bool {
        let mut room = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut head = httparse::Request::new(&mut room);
        // What does not parse, or is not all there, is for those who answer that.
        if head.parse(bytes) != Ok(httparse::Status::Complete(bytes.len())) || head.version != Some(1) {
            return false;
        }
        self.method = match head.method {
            Some("GET") => Method::GET,
            Some("HEAD") => Method::HEAD,
            _ => return false,
        };
        let target = head.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let is_plain = path.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(is_of_path));
        if !is_plain || !query.bytes().all(is_of_query) {
            return false;
        }
        self.headers.clear();
        let mut hosts = 0;
        for header in &*head.headers {
            if header.name.eq_ignore_ascii_case("host") {
                hosts += 1;
            } else if concerns_framework(header) {
                return false;
            } else if let Some(name) = named(header.name, reads) {
                let Ok(value) = HeaderValue::from_bytes(header.value) else { return false };
                self.headers.append(name.clone(), value);
            }
        }
        self.path = path.len();
        self.target.clear();
        self.target.push_str(target);
        hosts == 1
    }

    pub(super) fn asked(&self, peer: IpAddr) -> Asked<'_> {
        let (path, query) = self.target.split_at_checked(self.path).unwrap_or_default();
        Asked { method: &self.method, path, query: query.get(1..).unwrap_or_default(), headers: &self.headers, peer }
    }
}

/// What needs no decoding, and no second slash: the unreserved characters of RFC 3986.
fn is_of_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// The characters of a query in RFC 3986.
fn is_of_query(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte)
}

/// Whether a header says anything of the connection, of a body or of another protocol.
fn concerns_framework(header: &httparse::Header<'_>) -> bool {
    const NAMES: [&str; 6] = ["content-length", "transfer-encoding", "upgrade", "expect", "te", "trailer"];
    if header.name.eq_ignore_ascii_case("connection") {
        return !header.value.eq_ignore_ascii_case(b"keep-alive");
    }
    NAMES.iter().any(|name| header.name.eq_ignore_ascii_case(name))
}

fn named(name: &str, reads: &[&'static [HeaderName]]) -> Option<&'static HeaderName> {
    reads.iter().copied().flatten().find(|read| name.eq_ignore_ascii_case(read.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    static READS: [HeaderName; 2] = [HeaderName::from_static("x-forwarded-for"), HeaderName::from_static("cookie")];

    fn taken(text: &str) -> Option<Held> {
        let mut held = Held::default();
        held.take(text.as_bytes(), "/out/", &[&READS]).then_some(held)
    }

    #[test]
    fn a_plain_request_is_taken_with_the_headers_that_are_read() {
        let text = "GET /out/7?to=https%3A//x.in&t=1 HTTP/1.1\r\nHost: a.in\r\nX-Forwarded-For: 1.2.3.4\r\nAccept: */*\r\nCOOKIE: a=1\r\nx-forwarded-for: 5.6.7.8\r\nConnection: Keep-Alive\r\n\r\n";
        let held = taken(text).unwrap();
        let asked = held.asked(IpAddr::from([127, 0, 0, 1]));
        assert_eq!((asked.method, asked.path, asked.query), (&Method::GET, "/out/7", "to=https%3A//x.in&t=1"));
        assert_eq!(asked.headers.len(), 3);
        let hops: Vec<_> = asked.headers.get_all("x-forwarded-for").map(|hop| hop.to_str().unwrap()).collect();
        assert_eq!(hops, ["1.2.3.4", "5.6.7.8"]);
        let plain = taken("HEAD /out/7 HTTP/1.1\r\nhost: a.in\r\n\r\n").unwrap();
        let asked = plain.asked(IpAddr::from([127, 0, 0, 1]));
        assert_eq!((asked.method, asked.path, asked.query, asked.headers.len()), (&Method::HEAD, "/out/7", "", 0));
    }

    #[test]
    fn the_next_request_of_a_connection_has_nothing_of_the_one_before() {
        let mut held = taken("GET /out/seven?t=1 HTTP/1.1\r\nHost: a.in\r\nCookie: a=1\r\n\r\n").unwrap();
        assert!(held.take(b"GET /out/8 HTTP/1.1\r\nHost: a.in\r\n\r\n", "/out/", &[&READS]));
        let asked = held.asked(IpAddr::from([127, 0, 0, 1]));
        assert_eq!((asked.path, asked.query, asked.headers.len()), ("/out/8", "", 0));
    }

    #[test]
    fn whatever_is_not_plain_is_shown_in() {
        for text in [
            "",
            "GET /out/7 HTTP/1.1\r\nHost: a.in\r\n",
            "GET /out/7 HTTP/1.0\r\nHost: a.in\r\n\r\n",
            "POST /out/7 HTTP/1.1\r\nHost: a.in\r\n\r\n",
            "GET /stats HTTP/1.1\r\nHost: a.in\r\n\r\n",
            "GET http://a.in/out/7 HTTP/1.1\r\nHost: a.in\r\n\r\n",
            "GET /out/7/8 HTTP/1.1\r\nHost: a.in\r\n\r\n",
            "GET /out/%37 HTTP/1.1\r\nHost: a.in\r\n\r\n",
            "GET /out/7#x HTTP/1.1\r\nHost: a.in\r\n\r\n",
            "GET /out/7?a=\"b\" HTTP/1.1\r\nHost: a.in\r\n\r\n",
            "GET /out/7 HTTP/1.1\r\n\r\n",
            "GET /out/7 HTTP/1.1\r\nHost: a.in\r\nHost: b.in\r\n\r\n",
            "GET /out/7 HTTP/1.1\r\nHost: a.in\r\nConnection: close\r\n\r\n",
            "GET /out/7 HTTP/1.1\r\nHost: a.in\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
            "GET /out/7 HTTP/1.1\r\nHost: a.in\r\nContent-Length: 1\r\n\r\nx",
            "GET /out/7 HTTP/1.1\r\nHost: a.in\r\nContent-Length: 0\r\n\r\n",
            "GET /out/7 HTTP/1.1\r\nHost: a.in\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET /out/7 HTTP/1.1\r\nHost: a.in\r\nExpect: 100-continue\r\n\r\n",
            "GET /out/7 HTTP/1.1\r\nHost: a.in\r\n folded\r\n\r\n",
            "GET /out/7 HTTP/1.1\r\nHost: a.in\r\nbad name: 1\r\n\r\n",
            "GET /out/7 HTTP/1.1\r\nHost: a.in\r\n\r\nGET /out/8 HTTP/1.1\r\nHost: a.in\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            assert!(taken(text).is_none(), "{text:?}");
        }
        let many = format!("GET /out/7 HTTP/1.1\r\nHost: a.in\r\n{}\r\n", "a: b\r\n".repeat(MOST_HEADERS));
        assert!(taken(&many).is_none());
    }
}
