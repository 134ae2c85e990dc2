//! What routes take besides their path, and each piece of it made wrong.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::POSTBACK_TOKEN;
use serde_json::{Value, json};

use crate::doors::ID;
use crate::request::Request;

pub(crate) const JSON: &str = "application/json";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// A name, and a value in JSON that is right.
pub(crate) type Field = (String, String);

#[derive(Clone)]
pub(crate) enum Contents {
    Nothing,
    /// Pairs of a query.
    Query(Vec<Field>),
    /// Pairs of a form.
    Form(Vec<Field>),
    /// Members of an object.
    Json(Vec<Field>),
    /// Members of the entity in a payment event, signed as Razorpay signs.
    Signed(Vec<Field>),
}

/// Values that no field should hold, in JSON; as text they go into queries and forms.
const WRONG: [&str; 34] = [
    "null",
    "true",
    "-1",
    "0",
    "1",
    "1.5",
    "1e400",
    "-0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "99999999999999999999999999999999999999",
    r#""""#,
    r#"" ""#,
    r#""\u0000""#,
    r#""ab\u0000cd""#,
    r#""\ud800""#,
    r#""-1""#,
    r#""9223372036854775807""#,
    r#""92233720368547758.07""#,
    r#""1e9""#,
    r#""00000000-0000-0000-0000-000000000000""#,
    r#""ffffffff-ffff-ffff-ffff-ffffffffffff""#,
    r#""+262142-12-31T23:59:59Z""#,
    r#""-262143-01-01T00:00:00Z""#,
    r#""2026-02-30""#,
    r#""' OR 1=1; --""#,
    r#""%_\\*?[a-""#,
    r#""../../../etc/passwd\r\nSet-Cookie: a=b""#,
    r#""\u202e\ufeff\ud83d\ude00 <script>alert(1)</script>""#,
    "[]",
    r#"{"$ne":null}"#,
    "[[[[[[[[1]]]]]]]]",
];

/// A few of them.
const FEW: [&str; 3] = ["-9223372036854775808", r#""\u0000""#, "[]"];

/// The same with what is too long to be written down.
fn wrong() -> Vec<String> {
    let mut all: Vec<String> = WRONG.iter().map(ToString::to_string).collect();
    all.push(format!("\"{}\"", "a".repeat(70_000)));
    all.push("9".repeat(5_000));
    all.push(format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000)));
    all
}

impl Contents {
    pub(crate) fn query(pairs: &[(&str, &str)]) -> Self {
        Self::Query(fields(pairs))
    }

    /// What the API's description says of an operation: its body, or else its query.
    pub(crate) fn described(description: &Value, path: &str, method: &str) -> Self {
        let operation = &description["paths"][path][method.to_lowercase()];
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        if !body.is_null() {
            let schema = resolved(description, body);
            let members = schema["properties"].as_object().into_iter().flatten();
            return Self::Json(members.map(|(name, schema)| field(description, name, schema)).collect());
        }
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let query: Vec<_> = parameters
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| field(description, parameter["name"].as_str().unwrap(), &parameter["schema"]))
            .collect();
        if query.is_empty() { Self::Nothing } else { Self::Query(query) }
    }

    /// All names that the console's forms and searches use: a route takes what it knows of them.
    pub(crate) fn of_console(method: &str, path: &str, csrf: &str) -> Self {
        if path == "/admin/login" && method == "POST" {
            // Every try costs a password check.
            return Self::Form(fields(&[("email", "nobody@example.in"), ("password", "wrong"), ("next", "/admin")]));
        }
        let names = [
            ("reason", "it was asked for"),
            ("kind", "email.send"),
            ("status", "failed"),
            ("q", "a"),
            ("text", ID),
            ("source", "razorpay"),
            ("verdict", "accepted"),
            ("died_of", "a"),
            ("actor", "a"),
            ("target", "a"),
            ("click", ID),
            ("rupees", "1.00"),
            ("count", "1"),
            ("per_second", "1"),
            ("email", "nobody@example.in"),
            ("password", "wrong"),
            ("next", "/admin"),
            ("cursor", ID),
            ("page", "1"),
            ("after", "1"),
            ("before", "1"),
            ("id", ID),
        ];
        let mut fields = fields(&names);
        if method == "GET" {
            return Self::Query(fields);
        }
        fields.push(("csrf".to_owned(), json!(csrf).to_string()));
        Self::Form(fields)
    }

    /// Puts the content into a request.
    pub(crate) fn fill(&self, request: Request) -> Request {
        match self {
            Self::Nothing => request,
            Self::Query(fields) => request.query(pairs(fields)),
            Self::Form(fields) => request.body(FORM, pairs(fields)),
            Self::Json(fields) => request.body(JSON, object(fields)),
            Self::Signed(fields) => signed(request, event(fields)),
        }
    }

    /// Signs, if that is asked for, whatever the body is.
    pub(crate) fn with_body(&self, request: Request, kind: &str, body: Vec<u8>) -> Request {
        match self {
            Self::Signed(_) => signed(request, body).header("Content-Type", kind),
            Self::Form(fields) => {
                // Without the token of the form nothing behind the door is reached.
                let csrf = fields.iter().find(|(name, _)| name == "csrf");
                let csrf = csrf.map(|csrf| pairs(std::slice::from_ref(csrf)) + "&").unwrap_or_default();
                request.body(kind, [csrf.as_bytes(), &body[..]].concat())
            }
            _ => request.body(kind, body),
        }
    }

    /// The content with one field wrong, or twice, or missing.
    pub(crate) fn spoiled(&self) -> Vec<(String, Self)> {
        let Some(fields) = self.fields() else { return Vec::new() };
        let mut all = Vec::new();
        for (place, (name, value)) in fields.iter().enumerate().filter(|(_, (name, _))| name != "csrf") {
            // Where a route takes a few of many names, each of them gets what was seen to hurt most.
            let some = if fields.len() > 12 { FEW.map(str::to_owned).to_vec() } else { wrong() };
            for wrong in some {
                let mut fields = fields.to_vec();
                let shown: String = wrong.chars().take(40).collect();
                fields[place].1 = wrong;
                all.push((format!("{name}={shown}"), self.of(fields)));
            }
            let twice: Vec<_> = fields.iter().cloned().chain([(name.clone(), value.clone())]).collect();
            all.push((format!("{name} twice"), self.of(twice)));
            let mut without = fields.to_vec();
            without.remove(place);
            all.push((format!("{name} missing"), self.of(without)));
        }
        for wrong in wrong() {
            let shown: String = wrong.chars().take(40).collect();
            let put =
                |(name, value): &Field| (name.clone(), if name == "csrf" { value.clone() } else { wrong.clone() });
            all.push((format!("all={shown}"), self.of(fields.iter().map(put).collect())));
        }
        all
    }

    fn fields(&self) -> Option<&[Field]> {
        match self {
            Self::Nothing => None,
            Self::Query(fields) | Self::Form(fields) | Self::Json(fields) | Self::Signed(fields) => Some(fields),
        }
    }

    fn of(&self, fields: Vec<Field>) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Query(_) => Self::Query(fields),
            Self::Form(_) => Self::Form(fields),
            Self::Json(_) => Self::Json(fields),
            Self::Signed(_) => Self::Signed(fields),
        }
    }
}

fn fields(pairs: &[(&str, &str)]) -> Vec<Field> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value).to_string())).collect()
}

/// Routes of webhooks: method, pattern, what they take.
pub(crate) fn webhooks() -> Vec<(&'static str, &'static str, Contents)> {
    let postback = [
        ("action_id", "700000001"),
        ("transaction_id", "700000001"),
        ("subid", ID),
        ("p1", ID),
        ("click_id", ID),
        ("payment_status", "approved"),
        ("status", "approved"),
        ("token", POSTBACK_TOKEN),
        ("action_ip", "192.0.2.1"),
    ];
    let report =
        [("CRQID", ID), ("status", "1"), ("date", "2026-09-01 18:05:09"), ("number", "919800000001"), ("data", "[]")];
    let entity = [
        ("id", json!("pay_29QQoUBi66xm2f")),
        ("amount", json!(49_900)),
        ("currency", json!("INR")),
        ("status", json!("captured")),
        ("order_id", json!("order_DESlfW9H8K9uqM")),
        ("payment_id", json!("pay_29QQoUBi66xm2f")),
        ("reference_id", json!(ID)),
        ("respond_by", json!(1_790_000_000)),
        ("utr", json!("000000000001")),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_string()));
    let mut all = vec![
        ("POST", "/webhooks/razorpay", Contents::Signed(entity.to_vec())),
        ("POST", "/webhooks/sendgrid", Contents::Json(fields(&[("event", "delivered"), ("email", "a@example.in")]))),
        ("POST", "/webhooks/msg91/{token}", Contents::Json(fields(&report))),
        ("POST", "/webhooks/msg91/{token}", Contents::Form(fields(&report))),
        ("POST", "/webhooks/nobody", Contents::Json(fields(&report))),
    ];
    for pattern in ["/webhooks/admitad/{token}", "/webhooks/vcommission/{token}", "/webhooks/cuelinks/{token}"] {
        all.push(("GET", pattern, Contents::Query(fields(&postback))));
        all.push(("POST", pattern, Contents::Form(fields(&postback))));
        all.push(("POST", pattern, Contents::Json(fields(&postback))));
    }
    all
}

/// `a=b&c=d`; what is a text in JSON is its text here, all else is as it is written.
fn pairs(fields: &[Field]) -> String {
    let text = |value: &str| serde_json::from_str::<String>(value).unwrap_or_else(|_no_text| value.to_owned());
    let pair = |(name, value): &Field| format!("{name}={}", encoded(&text(value)));
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn object(fields: &[Field]) -> String {
    let members: Vec<_> = fields.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    format!("{{{}}}", members.join(","))
}

/// Every entity of an event at once; the kind decides which is read, and it differs from field to field.
fn event(fields: &[Field]) -> Vec<u8> {
    let entity = format!(r#"{{"entity":{}}}"#, object(fields));
    let kinds = ["payment.captured", "refund.processed", "payout.processed", "payment.dispute.created", "order.paid"];
    let kind = kinds[entity.len() % kinds.len()];
    let entities: Vec<_> = ["payment", "order", "refund", "payout", "dispute"]
        .iter()
        .map(|name| format!(r#""{name}":{entity}"#))
        .collect();
    format!(r#"{{"entity":"event","event":"{kind}","payload":{{{}}},"created_at":1790000000}}"#, entities.join(","))
        .into_bytes()
}

fn signed(request: Request, body: Vec<u8>) -> Request {
    let signature = e2e::razorpay_signature(&body);
    let event_id = STANDARD.encode(&signature[..40]);
    request.header("X-Razorpay-Signature", signature).header("X-Razorpay-Event-Id", event_id).body(JSON, body)
}

fn resolved<'d>(description: &'d Value, schema: &'d Value) -> &'d Value {
    let reference = schema["$ref"].as_str().and_then(|path| description.pointer(path.trim_start_matches('#')));
    reference.unwrap_or(schema)
}

/// A field with a value that its schema allows, as far as one can tell.
fn field(description: &Value, name: &str, schema: &Value) -> Field {
    (name.to_owned(), example(description, schema).to_string())
}

fn example(description: &Value, schema: &Value) -> Value {
    let schema = resolved(description, schema);
    let choice = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()).and_then(|all| all.first());
    if let Some(choice) = choice {
        return example(description, choice);
    }
    if let Some(word) = schema["enum"].as_array().and_then(|words| words.first()) {
        return word.clone();
    }
    if !schema["const"].is_null() {
        return schema["const"].clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"].as_array()?.first()?.as_str());
    match (kind, schema["format"].as_str()) {
        (Some("integer" | "number"), _) => json!(schema["minimum"].as_i64().unwrap_or(1).max(1)),
        (Some("boolean"), _) => json!(true),
        (Some("array"), _) => json!([]),
        (Some("object"), _) => {
            let members = schema["properties"].as_object().into_iter().flatten();
            members
                .map(|(name, schema)| (name.clone(), example(description, schema)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        (_, Some("uuid")) => json!(ID),
        (_, Some("date-time")) => json!("2026-09-01T18:05:09Z"),
        _ => json!("abc"),
    }
}
