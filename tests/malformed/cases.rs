//! The table: what is done to a request, and what must come of it.

use crate::contents::{Contents, FORM, JSON};
use crate::doors::{Door, Tongue};
use crate::request::{Framing, Request};

/// What must come of a request. Never is it a status of 500 or above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// An answer; refused or not is for the route to say.
    Answer,
    /// An answer of 4xx in the route's tongue.
    Refusal,
    /// An answer of 4xx; it never came as far as the route.
    BadHttp,
    /// An answer of 4xx, or the end of the connection.
    BadHttpOrEnd,
    /// An answer, be it of a route that reads no body, or the end of the connection.
    AnswerOrEnd,
}

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) request: Request,
    pub(crate) expected: Expected,
}

/// Everything that is tried at a door. `served`: the methods of its path.
pub(crate) fn of(door: &Door, served: &[String]) -> Vec<Case> {
    let mut cases =
        vec![Case { name: "as it should be".to_owned(), request: door.request(), expected: Expected::Answer }];
    cases.extend(methods(door, served));
    if door.tongue != Tongue::Plain {
        cases.extend(headers(door));
    }
    cases.extend(targets(door));
    cases.extend(framings(door));
    if door.method != "GET" && door.method != "HEAD" {
        cases.extend(bodies(door));
    }
    for (name, contents) in door.contents.spoiled() {
        cases.push(Case { name, request: contents.fill(door.empty()), expected: Expected::Answer });
    }
    cases
}

fn methods(door: &Door, served: &[String]) -> Vec<Case> {
    let all = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "X-Y.Z"];
    let is_served = |method: &str| served.iter().any(|own| own == method || own == "GET" && method == "HEAD");
    let case = |method: &str| {
        let mut request = door.request();
        method.clone_into(&mut request.method);
        let expected = if is_served(method) { Expected::Answer } else { Expected::Refusal };
        Case { name: format!("method {method}"), request, expected }
    };
    let mut cases: Vec<_> = all.iter().map(|method| case(method)).collect();
    for method in ["", "G ET", "G\0T", "G\u{e4}T"] {
        cases.push(Case { expected: Expected::BadHttp, ..case(method) });
    }
    cases
}

fn headers(door: &Door) -> Vec<Case> {
    let with = |name: &str, value: &[u8]| door.request().header(name, value);
    let long = vec![b'a'; 8_000];
    let mut cases = Vec::new();
    let names = [
        "Accept",
        "Accept-Language",
        "Authorization",
        "Content-Type",
        "Cookie",
        "Forwarded",
        "Host",
        "If-None-Match",
        "Origin",
        "Referer",
        "Sec-Fetch-Site",
        "traceparent",
        "User-Agent",
        "X-Forwarded-For",
        "X-Razorpay-Event-Id",
        "X-Razorpay-Signature",
        "X-Twilio-Email-Event-Webhook-Signature",
        "X-Twilio-Email-Event-Webhook-Timestamp",
    ];
    let values: [(&str, &[u8]); 3] =
        [("bytes that are no text", b"\xff\xfe\x80abc"), ("separators", b",;=\"\\,;q=x"), ("a long word", &long)];
    for name in names {
        for (what, value) in values {
            cases.push(Case {
                name: format!("{name}: {what}"),
                request: with(name, value),
                expected: Expected::Answer,
            });
        }
    }
    for (name, value) in [
        ("Range", "bytes=9-1,-,x"),
        ("Expect", "miracles"),
        ("If-Modified-Since", "yesterday"),
        ("Content-Encoding", "gzip, gzip, br"),
        ("Accept-Encoding", "identity;q=0, *;q=0"),
        ("X-HTTP-Method-Override", "DELETE"),
    ] {
        cases.push(Case {
            name: format!("{name}: {value}"),
            request: with(name, value.as_bytes()),
            expected: Expected::Answer,
        });
    }
    // An upgrade has a body without an end: whoever reads it gives up after a time, so this is tried where nobody is asked for more.
    if door.method == "GET" || ["/admin/login", "/webhooks/razorpay", "/api/v1/orders"].contains(&door.pattern.as_str())
    {
        let request = with("Upgrade", b"websocket");
        cases.push(Case { name: "Upgrade: websocket".to_owned(), request, expected: Expected::Answer });
    }
    let mut many = door.request();
    many.headers.extend((0..120).map(|n| (format!("X-{n}"), b"x".to_vec())));
    cases.push(Case { name: "120 headers".to_owned(), request: many.clone(), expected: Expected::BadHttp });
    many.headers.extend((0..5_000).map(|n| (format!("X-More-{n}"), b"x".to_vec())));
    cases.push(Case { name: "5,000 headers".to_owned(), request: many, expected: Expected::BadHttpOrEnd });
    let huge = with("X-Huge", &vec![b'a'; 300_000]);
    cases.push(Case { name: "a header of 300 KB".to_owned(), request: huge, expected: Expected::BadHttpOrEnd });
    for name in ["", "X Y", "X\0", "X\u{e4}", "X:", " X"] {
        let mut request = door.request();
        request.headers.push((name.to_owned(), b"x".to_vec()));
        let expected = if name == "X:" { Expected::Answer } else { Expected::BadHttp };
        cases.push(Case { name: format!("a header named {name:?}"), request, expected });
    }
    cases.push(Case { name: "a header with NUL".to_owned(), request: with("X", b"a\0b"), expected: Expected::BadHttp });
    cases.push(Case {
        name: "a folded header".to_owned(),
        request: with("X", b"a\r\n b"),
        expected: Expected::BadHttp,
    });
    let mut homeless = door.request();
    homeless.headers.retain(|(name, _)| name != "Host");
    cases.push(Case { name: "no Host".to_owned(), request: homeless, expected: Expected::BadHttp });
    let mut two = door.request();
    two.headers.push(("Host".to_owned(), b"evil.example".to_vec()));
    cases.push(Case { name: "two Hosts".to_owned(), request: two, expected: Expected::BadHttp });
    cases
}

/// Values of a parameter in the path; the last ones are no URL any more.
const PIECES: [&str; 24] = [
    "-1",
    "0",
    "9223372036854775808",
    "99999999999999999999999",
    "null",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "{id}",
    "%7Bid%7D",
    "%00",
    "a%00b",
    "%ff%fe",
    "%c0%af",
    "%",
    "%zz",
    "%2",
    "%2e%2e",
    "%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cwindows",
    "'%20OR%201=1--",
    "%0d%0aSet-Cookie:%20a=b",
    "%F0%9F%98%80",
    "a;b=c",
    "+",
];

fn targets(door: &Door) -> Vec<Case> {
    let mut cases = Vec::new();
    let right = door.request();
    let mut push = |name: String, target: Vec<u8>, expected| {
        let request = Request { target, ..right.clone() };
        cases.push(Case { name, request, expected });
    };
    for parameter in door.parameters() {
        for piece in PIECES {
            push(format!("{parameter}={piece}"), door.path_with(parameter, piece).into_bytes(), Expected::Answer);
        }
        push(
            format!("{parameter} of 60 KB"),
            door.path_with(parameter, &"a".repeat(60_000)).into_bytes(),
            Expected::Answer,
        );
        push(format!("{parameter} empty"), door.path_with(parameter, "").into_bytes(), Expected::Answer);
    }
    let path = door.path_with("", "");
    for query in [
        "?",
        "?%",
        "?%zz=%2",
        "?=&&==&",
        "?%00=%00",
        "?%ff=%fe",
        "?a=1&a=2&a=3",
        "?a[]=1&a[0][b]=2",
        "?a=b#c",
        "#c",
        "?a=b?c=d",
        "?limit=-1",
        "?cursor=%00",
        "?limit=99999999999999999999",
        "?+=+",
    ] {
        push(format!("query {query}"), format!("{path}{query}").into_bytes(), Expected::Answer);
    }
    let many: Vec<_> = (0..4_000).map(|n| format!("a{n}={n}")).collect();
    push("a query of 4,000 pairs".to_owned(), format!("{path}?{}", many.join("&")).into_bytes(), Expected::Answer);
    push("a path that is no text".to_owned(), [path.as_bytes(), b"\xff\xfe"].concat(), Expected::BadHttp);
    push("a query that is no text".to_owned(), [path.as_bytes(), b"?a=\xff\xfe"].concat(), Expected::BadHttp);
    for target in [
        format!("/{path}"),
        format!("{path}/"),
        format!("{path}//"),
        format!("{path}/../../../../etc/passwd"),
        format!("{path}/%2e%2e/%2e%2e/%2e%2e/etc/passwd"),
        format!("{path}/..;/admin"),
        format!("{path}\\..\\..\\x"),
        format!("/./{path}"),
        format!("{path}/x/y/z"),
        format!("{path};jsessionid=1"),
        "/".repeat(5_000),
        format!("http://shop.example.in{path}"),
        format!("https://evil.example:443{path}"),
        format!("HTTP://A:B@evil.example{path}"),
    ] {
        let shown: String = target.chars().take(80).collect();
        push(format!("target {shown}"), target.into_bytes(), Expected::Answer);
    }
    for target in ["*", "shop.example.in:80", "http://", "http://[::1", "x", "", "/a b", "/\0", "/\u{7f}"] {
        push(format!("target {target:?}"), target.as_bytes().to_vec(), Expected::BadHttp);
    }
    push("a target of 300 KB".to_owned(), format!("/{}", "a".repeat(300_000)).into_bytes(), Expected::BadHttpOrEnd);
    for (version, expected) in [
        ("HTTP/1.0", Expected::Answer),
        ("HTTP/0.9", Expected::BadHttp),
        ("HTTP/1.2", Expected::BadHttp),
        ("HTTP/2.0", Expected::BadHttp),
        ("HTTP/11.1", Expected::BadHttp),
        ("http/1.1", Expected::BadHttp),
        ("", Expected::BadHttp),
        ("HTTPS/1.1", Expected::BadHttp),
    ] {
        let mut request = door.request();
        request.version = version;
        cases.push(Case { name: format!("version {version}"), request, expected });
    }
    cases
}

fn framings(door: &Door) -> Vec<Case> {
    let rows: [(&'static str, &[u8], Expected); 15] = [
        ("Content-Length: -1\r\n", b"", Expected::BadHttp),
        ("Content-Length: +1\r\n", b"a", Expected::BadHttp),
        ("Content-Length: a\r\n", b"", Expected::BadHttp),
        ("Content-Length: 99999999999999999999999\r\n", b"", Expected::BadHttp),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", b"a", Expected::BadHttp),
        ("Content-Length: 1\r\nContent-Length: 2\r\n", b"ab", Expected::BadHttp),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n", Expected::BadHttp),
        ("Transfer-Encoding: x\r\n", b"abc", Expected::BadHttp),
        ("Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n", Expected::BadHttp),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n", Expected::BadHttp),
        ("Transfer-Encoding: chunked\r\n", b"zz\r\nab\r\n0\r\n\r\n", Expected::AnswerOrEnd),
        ("Transfer-Encoding: chunked\r\n", b"-1\r\nab\r\n0\r\n\r\n", Expected::AnswerOrEnd),
        ("Transfer-Encoding: chunked\r\n", b"FFFFFFFFFFFFFFFFF\r\nab\r\n0\r\n\r\n", Expected::AnswerOrEnd),
        ("Transfer-Encoding: chunked\r\n", b"5\r\nab", Expected::AnswerOrEnd),
        ("Content-Length: 1000\r\n", b"{\"a\":", Expected::AnswerOrEnd),
    ];
    let case = |(lines, body, expected): (&'static str, &[u8], Expected)| {
        let mut request = door.request();
        (request.framing, request.body, request.is_cut) = (Framing::Lines(lines), body.to_vec(), true);
        Case { name: format!("framed {lines:?} {:?}", String::from_utf8_lossy(body)), request, expected }
    };
    rows.into_iter().map(case).collect()
}

fn bodies(door: &Door) -> Vec<Case> {
    let contents = &door.contents;
    let mut cases = Vec::new();
    let own = match contents {
        Contents::Form(_) => FORM,
        _ => JSON,
    };
    for kind in [
        "",
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "\u{e4}/\u{fc}",
        "application/json; charset=utf-16",
        ";;;",
        "application/x-www-form-urlencoded",
        "application/json",
    ] {
        let request = door.request().header("Content-Type", kind);
        cases.push(Case { name: format!("content type {kind:?}"), request, expected: Expected::Answer });
    }
    let deep =
        |open: &str, middle: &str, close: &str| [open.repeat(50_000), middle.to_owned(), close.repeat(50_000)].concat();
    let right = door.request().body;
    let half = right.get(..right.len() / 2).unwrap_or_default().to_vec();
    let texts: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("half of it", half),
        ("twice", [&right[..], &right[..]].concat()),
        ("a BOM before it", [&b"\xef\xbb\xbf"[..], &right[..]].concat()),
        ("no text", b"\xff\xfe\x00{\x00}\x00".to_vec()),
        ("no text in a string", b"{\"reason\":\"\xc3\x28\xa0\xa1\",\"a\":\"\xed\xa0\x80\"}".to_vec()),
        ("NULs", vec![0; 1_000]),
        ("null", b"null".to_vec()),
        ("a number", b"1e999".to_vec()),
        ("a text", b"\"text\"".to_vec()),
        ("an empty array", b"[]".to_vec()),
        ("an empty object", b"{}".to_vec()),
        ("members twice", br#"{"reason":"abc","reason":"abd","payload":{},"payload":[]}"#.to_vec()),
        ("deep arrays", deep("[", "", "]").into_bytes()),
        ("deep objects", deep("{\"a\":", "1", "}").into_bytes()),
        ("deep and open", "[".repeat(200_000).into_bytes()),
        ("a comma too many", b"{\"reason\":\"abc\",}".to_vec()),
        ("XML", b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>".to_vec()),
        (
            "a multipart form",
            b"--x\r\nContent-Disposition: form-data; name=\"reason\"\r\n\r\nabc\r\n--x--\r\n".to_vec(),
        ),
        ("bad percent signs", b"reason=%&reason=%zz&=&%00=%ff".to_vec()),
        ("4,000 pairs", (0..4_000).flat_map(|n| format!("a{n}={n}&").into_bytes()).collect()),
    ];
    for (what, text) in texts {
        let request = contents.with_body(door.empty(), own, text);
        cases.push(Case { name: format!("body: {what}"), request, expected: Expected::Answer });
    }
    // Who answers early reads no more, and the end of the connection may overtake the answer.
    let large = vec![b' '; 3 << 20];
    let request = contents.with_body(door.empty(), own, large.clone());
    cases.push(Case { name: "a body of 3 MiB".to_owned(), request, expected: Expected::AnswerOrEnd });
    let mut chunked = contents.with_body(door.empty(), own, large);
    chunked.body =
        [format!("{:x}\r\n", chunked.body.len()).as_bytes(), &chunked.body[..], &b"\r\n0\r\n\r\n"[..]].concat();
    chunked.framing = Framing::Lines("Transfer-Encoding: chunked\r\n");
    cases.push(Case {
        name: "a body of 3 MiB in a chunk".to_owned(),
        request: chunked,
        expected: Expected::AnswerOrEnd,
    });
    cases
}
