//! What was asked of the providers: the last requests, with secrets taken out, and counts.

use crate::provider::Provider;
use actix_web::web::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

/// Bodies are kept up to this many bytes.
const BODY_KEPT: usize = 4_096;

/// Names of parameters and members whose values are never shown.
const SECRET_NAMES: &[&str] =
    &["authkey", "apikey", "api_key", "client_secret", "refresh_token", "access_token", "password", "otp", "token"];

/// One request that came in.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) provider: Provider,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// The scheme of the credentials (`Bearer`, `Basic`, `Token`, `authkey`, `x-api-key`), without them.
    pub(crate) auth: String,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) body: Bytes,
    pub(crate) body_bytes: usize,
    pub(crate) status: u16,
    pub(crate) micros: u64,
    /// The fault that was played, if one was.
    pub(crate) fault: Option<&'static str>,
}

/// The same, ready to be shown.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    pub(crate) seq: u64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) provider: Provider,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) auth: String,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) body: Value,
    pub(crate) body_bytes: usize,
    pub(crate) status: u16,
    pub(crate) duration_us: u64,
    pub(crate) fault: Option<&'static str>,
}

/// The journal.
#[derive(Debug)]
pub(crate) struct Journal {
    limit: usize,
    next: u64,
    entries: VecDeque<Entry>,
    counts: BTreeMap<Provider, BTreeMap<u16, u64>>,
}

impl Journal {
    /// A journal of the last `limit` requests.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, next: 1, entries: VecDeque::new(), counts: BTreeMap::new() }
    }

    /// Adds a request; the oldest leaves when there are too many.
    pub(crate) fn record(&mut self, mut entry: Entry) {
        entry.seq = self.next;
        self.next += 1;
        *self.counts.entry(entry.provider).or_default().entry(entry.status).or_default() += 1;
        self.entries.push_back(entry);
        while self.entries.len() > self.limit {
            self.entries.pop_front();
        }
    }

    /// Requests of a provider (or of all) whose path contains `path`, oldest first.
    pub(crate) fn of(&self, provider: Option<Provider>, path: Option<&str>, after: u64) -> Vec<Entry> {
        self.entries
            .iter()
            .filter(|e| e.seq > after && provider.is_none_or(|p| p == e.provider))
            .filter(|e| path.is_none_or(|p| e.path.contains(p)))
            .cloned()
            .collect()
    }

    /// How many requests were answered with which status, since the start or the last reset.
    pub(crate) fn counts(&self) -> BTreeMap<Provider, BTreeMap<u16, u64>> {
        self.counts.clone()
    }
}

/// The part of a body that is kept. A copy, so that the whole buffer is not held.
pub(crate) fn kept(body: &Bytes) -> Bytes {
    Bytes::copy_from_slice(body.get(..BODY_KEPT).unwrap_or(body))
}

impl Entry {
    /// Takes the secrets out.
    pub(crate) fn shown(self) -> Shown {
        let whole = self.body_bytes == self.body.len();
        Shown {
            seq: self.seq,
            at: self.at,
            provider: self.provider,
            method: self.method,
            path: self.path,
            query: redact_form(&self.query),
            auth: self.auth,
            idempotency_key: self.idempotency_key,
            body: show_body(&self.body, whole),
            body_bytes: self.body_bytes,
            status: self.status,
            duration_us: self.micros,
            fault: self.fault,
        }
    }
}

fn show_body(body: &[u8], whole: bool) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    if !whole {
        // Half a body cannot be parsed, so its secrets cannot be found: only say that it was there.
        return Value::String("(too long to be kept)".to_owned());
    }
    if let Ok(mut json) = serde_json::from_slice::<Value>(body) {
        redact_json(&mut json);
        return json;
    }
    Value::String(redact_form(&String::from_utf8_lossy(body)))
}

fn is_secret(name: &str) -> bool {
    SECRET_NAMES.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// Takes secret values out of a JSON text, at any depth.
fn redact_json(json: &mut Value) {
    match json {
        Value::Object(members) => {
            for (name, value) in members {
                if is_secret(name) {
                    *value = Value::String("***".to_owned());
                } else {
                    redact_json(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact_json),
        _ => {}
    }
}

/// Takes secret values out of a query or form.
pub(crate) fn redact_form(text: &str) -> String {
    text.split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_secret(name) => Cow::Owned(format!("{name}=***")),
            _ => Cow::Borrowed(pair),
        })
        .collect::<Vec<_>>()
        .join("&")
}

/// A webhook URL without what makes it a secret: the last path segment and the values of the query.
pub(crate) fn redact_url(url: &str) -> String {
    let Ok(mut parsed) = url::Url::parse(url) else {
        return "(not a URL)".to_owned();
    };
    let asked = parsed.query().is_some();
    parsed.set_query(None);
    let segments: Vec<String> = parsed.path_segments().map(|s| s.map(str::to_owned).collect()).unwrap_or_default();
    let path = match segments.split_last() {
        Some((last, rest)) if last.len() >= 12 => format!("{}/***", rest.join("/")),
        _ => segments.join("/"),
    };
    parsed.set_path(&path);
    if asked { format!("{parsed}?…") } else { parsed.to_string() }
}
