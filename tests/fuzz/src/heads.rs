//! What comes in at the door before the framework.

use actix_web::http::header::HeaderName;

use crate::door::{self, Taken};

static READS: [HeaderName; 2] = [HeaderName::from_static("cookie"), HeaderName::from_static("x-forwarded-for")];

/// What the door takes is one request and no more, says nothing of a body, and was understood as a reader who goes line by line
/// understands it: nobody can hide a second request in it, or a header.
pub fn head(data: &[u8]) {
    let Some(taken) = door::taken(data, "/out/", &READS) else { return };
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    // Empty lines may come before a request.
    let begin = lines.iter().position(|line| !line.is_empty()).expect("a request has a line");
    let (end, rest) = lines[begin..].split_at(lines[begin..].iter().position(|line| line.is_empty()).expect("a head ends"));
    assert!(rest.len() == 2 && rest[1].is_empty(), "something follows the head");
    let (first, fields) = end.split_first().expect("a request has a line");
    has_the_line(&taken, first);
    has_the_fields(&taken, fields);
}

fn has_the_line(taken: &Taken, line: &[u8]) {
    let target = if taken.query.is_empty() { taken.path.clone() } else { format!("{}?{}", taken.path, taken.query) };
    let said = String::from_utf8(line.to_vec()).expect("a plain request's line is ASCII");
    let words: Vec<_> = said.split(' ').collect();
    assert!(matches!(*words, ["GET" | "HEAD", _, "HTTP/1.1"]), "{said:?}");
    assert_eq!((words[0], words[1].trim_end_matches('?')), (taken.method.as_str(), target.trim_end_matches('?')));
    let id = taken.path.strip_prefix("/out/").expect("the route's prefix");
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)), "{id:?}");
}

fn has_the_fields(taken: &Taken, fields: &[&[u8]]) {
    let mut read = Vec::new();
    let mut hosts = 0;
    for field in fields {
        let colon = field.iter().position(|byte| *byte == b':').expect("a field has a colon");
        let name = String::from_utf8(field[..colon].to_vec()).expect("a name is ASCII").to_ascii_lowercase();
        assert!(!name.contains([' ', '\t']) && !name.is_empty(), "{name:?}");
        assert!(!["content-length", "transfer-encoding", "upgrade", "expect", "te", "trailer"].contains(&&*name), "{name}");
        hosts += usize::from(name == "host");
        let value = field[colon + 1..].trim_ascii();
        assert!(name != "connection" || value.eq_ignore_ascii_case(b"keep-alive"));
        if READS.iter().any(|known| *known == *name) {
            read.push((name, value.to_vec()));
        }
    }
    assert_eq!(hosts, 1);
    let mut taken = taken.headers.clone();
    // Values of one name stay in their order; names have none.
    taken.sort_by(|a, b| a.0.cmp(&b.0));
    read.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(taken, read);
}
