//! An answer as it is written at the door.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime};

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::HttpDate;
use actix_web::web::Bytes;

/// An answer in the making, of HTTP/1.1.
#[derive(Debug)]
pub struct Answer {
    text: Vec<u8>,
    status: StatusCode,
    body: Bytes,
    /// Whether a body is only spoken of.
    is_head: bool,
    /// Whether something was added that cannot be sent.
    is_broken: bool,
}

/// Whether a text can be the value of a header: one with an end of line in it would be an answer of somebody else's, and other
/// control characters no client takes.
#[must_use]
pub fn is_sendable(value: &[u8]) -> bool {
    // All of them are looked at, many at a time: no stop at the first, and no sum wider than a byte.
    let controls = value.iter().map(|byte| u8::from(byte.is_ascii_control() && *byte != b'\t'));
    controls.fold(0, |bad, one| bad | one) == 0
}

impl Answer {
    pub(super) fn new() -> Self {
        Self { text: Vec::new(), status: StatusCode::OK, body: Bytes::new(), is_head: false, is_broken: false }
    }

    /// Throws away what was written of the last answer.
    pub(super) fn begin(&mut self, is_head: bool) {
        self.text.clear();
        self.body = Bytes::new();
        self.is_head = is_head;
        self.is_broken = false;
    }

    /// An answer without a body. `ready` are headers as they are sent, each with its line's end.
    pub fn empty(&mut self, status: StatusCode, ready: &[u8]) {
        self.status_line(status);
        self.text.extend_from_slice(b"content-length: 0\r\n");
        self.text.extend_from_slice(ready);
    }

    /// A whole answer.
    pub fn whole(&mut self, response: HttpResponse) {
        self.status_line(response.status());
        for (name, value) in response.headers() {
            self.header(name.as_str(), value.as_bytes());
        }
        // What a handler makes at once has its whole body; of anything else nothing could be said here.
        self.body = response.into_body().try_into_bytes().unwrap_or_default();
        let length = self.body.len();
        self.number("content-length", u64::try_from(length).unwrap_or(0));
    }

    /// Adds a header; `name` is in lower case. With a value that is not [sendable](is_sendable) the answer is an error of ours, as
    /// it is in the framework: whoever lets others choose a value refuses theirs before.
    pub fn header(&mut self, name: &str, value: &[u8]) {
        if !is_sendable(value) {
            tracing::error!(name, "a header's value cannot be sent");
            self.is_broken = true;
            return;
        }
        self.line(name, value);
    }

    /// Adds a header that is a number.
    pub fn number(&mut self, name: &str, value: u64) {
        let (mut digits, mut rest, mut at) = ([b'0'; 20], value, 20);
        while let Some(digit) = digits.get_mut(at - 1) {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            (rest, at) = (rest / 10, at - 1);
            if rest == 0 || at == 0 {
                break;
            }
        }
        self.line(name, digits.get(at..).unwrap_or_default());
    }

    fn line(&mut self, name: &str, value: &[u8]) {
        self.text.reserve(name.len() + value.len() + 4);
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(b": ");
        self.text.extend_from_slice(value);
        self.text.extend_from_slice(b"\r\n");
    }

    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        if self.is_broken { StatusCode::INTERNAL_SERVER_ERROR } else { self.status }
    }

    /// What is to be sent. `now` is for the date.
    pub(super) fn finish(&mut self, now: Instant, closes: bool) -> &[u8] {
        if self.is_broken {
            self.body = Bytes::new();
            self.empty(StatusCode::INTERNAL_SERVER_ERROR, b"");
        }
        if closes {
            self.text.extend_from_slice(b"connection: close\r\n");
        }
        DATE.with_borrow_mut(|date| self.text.extend_from_slice(date.line(now)));
        self.text.extend_from_slice(b"\r\n");
        if !self.is_head {
            self.text.extend_from_slice(&self.body);
        }
        &self.text
    }

    fn status_line(&mut self, status: StatusCode) {
        self.status = status;
        self.text.clear();
        self.text.extend_from_slice(b"HTTP/1.1 ");
        self.text.extend_from_slice(status.as_str().as_bytes());
        self.text.push(b' ');
        self.text.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        self.text.extend_from_slice(b"\r\n");
    }
}

thread_local! {
    static DATE: RefCell<Date> = const { RefCell::new(Date { line: Vec::new(), until: None }) };
}

/// The header with the date, written twice a second.
struct Date {
    line: Vec<u8>,
    until: Option<Instant>,
}

impl Date {
    fn line(&mut self, now: Instant) -> &[u8] {
        if self.until.is_none_or(|until| until <= now) {
            self.line = format!("date: {}\r\n", HttpDate::from(SystemTime::now())).into_bytes();
            self.until = Some(now + Duration::from_millis(500));
        }
        &self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(answer: &mut Answer) -> String {
        String::from_utf8(answer.finish(Instant::now(), false).to_vec()).unwrap()
    }

    #[test]
    fn an_answer_is_what_a_client_reads() {
        let mut answer = Answer::new();
        answer.begin(false);
        answer.empty(StatusCode::FOUND, b"cache-control: no-store\r\n");
        answer.header("location", b"https://x.in/?a=1");
        answer.number("remaining", 0);
        answer.number("limit", 1_000);
        answer.number("most", u64::MAX);
        let text = sent(&mut answer);
        let (head, date) = text.split_once("date: ").unwrap();
        assert_eq!(
            head,
            "HTTP/1.1 302 Found\r\ncontent-length: 0\r\ncache-control: no-store\r\nlocation: https://x.in/?a=1\r\nremaining: 0\r\nlimit: 1000\r\nmost: 18446744073709551615\r\n"
        );
        assert!(date.ends_with(" GMT\r\n\r\n"), "{date}");
        assert!(String::from_utf8_lossy(answer.finish(Instant::now(), true)).contains("connection: close\r\n"));
    }

    #[test]
    fn a_page_has_its_length_and_a_head_has_no_body() {
        let page = || HttpResponse::NotFound().insert_header(("x-a", "b")).body("nothing");
        for (is_head, end) in [(false, "\r\n\r\nnothing"), (true, "GMT\r\n\r\n")] {
            let mut answer = Answer::new();
            answer.begin(is_head);
            answer.whole(page());
            let text = sent(&mut answer);
            assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n") && text.ends_with(end), "{text}");
            assert!(text.contains("content-length: 7\r\n") && text.contains("x-a: b\r\n"), "{text}");
        }
    }

    #[test]
    fn no_value_begins_a_line_of_its_own() {
        let mut answer = Answer::new();
        answer.begin(false);
        answer.empty(StatusCode::FOUND, b"");
        answer.header("location", b"https://x.in/\r\nset-cookie: a=b");
        answer.header("x-a", b"b");
        let text = sent(&mut answer);
        assert!(text.starts_with("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\ndate: "), "{text}");
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        answer.begin(false);
        answer.empty(StatusCode::FOUND, b"");
        assert!(sent(&mut answer).starts_with("HTTP/1.1 302 Found\r\n"));
    }
}
