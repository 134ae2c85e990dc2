//! MSG91: templated SMS by Flow, one-time passwords, and delivery reports in four shapes.

mod otp;
pub(crate) mod reports;

use crate::inbox::{Channel, Message};
use crate::provider::Provider;
use crate::sim::{Shared, World, arc};
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What MSG91 remembers.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Open one-time passwords by mobile.
    otps: HashMap<String, otp::Open>,
}

/// The routes under `/msg91`.
pub(crate) fn routes(config: &mut ServiceConfig) {
    for path in ["/api/v5/flow", "/api/v5/flow/"] {
        config.route(path, web::post().to(flow));
    }
    for path in ["/api/v5/otp", "/api/v5/otp/"] {
        config.route(path, web::post().to(otp::send));
        config.route(path, web::get().to(otp::send));
    }
    for path in ["/api/v5/otp/verify", "/api/v5/otp/verify/"] {
        config.route(path, web::get().to(otp::verify));
        config.route(path, web::post().to(otp::verify));
    }
    for path in ["/api/v5/otp/retry", "/api/v5/otp/retry/"] {
        config.route(path, web::get().to(otp::retry));
        config.route(path, web::post().to(otp::retry));
    }
    config.default_service(web::to(|| async {
        HttpResponse::NotFound().json(json!({"type": "error", "message": "not found"}))
    }));
}

/// An error, under the HTTP status that is set for errors (200 by default, as MSG91 often does).
fn refuse(world: &World, message: &str, code: Option<&str>) -> HttpResponse {
    let status = StatusCode::from_u16(world.settings.msg91_error_status).unwrap_or(StatusCode::OK);
    let mut body = json!({"type": "error", "message": message});
    if let (Some(code), Some(members)) = (code, body.as_object_mut()) {
        members.insert("code".to_owned(), json!(code));
    }
    HttpResponse::build(status).json(body)
}

/// Refuses a call from a wrong address, with a wrong key, or without credit.
fn refusal(world: &World, headers: &HeaderMap, query_key: Option<&str>) -> Option<HttpResponse> {
    let key = headers.get("authkey").and_then(|v| v.to_str().ok()).or(query_key).filter(|k| !k.is_empty());
    let accepted = &world.settings.keys.msg91;
    let Some(key) = key else {
        return Some(refuse(world, "authkey missing", Some("106")));
    };
    if world.settings.msg91_address_blocked {
        return Some(refuse(world, "IP is not whitelisted", Some("418")));
    }
    if !accepted.is_empty() && !accepted.iter().any(|k| k == key) {
        return Some(refuse(world, "Invalid authkey", Some("207")));
    }
    if world.settings.msg91_out_of_credit {
        return Some(refuse(world, "Insufficient balance", Some("301")));
    }
    None
}

/// A country code and number, digits only.
fn is_mobile(text: &str) -> bool {
    (10..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

async fn flow(sim: Shared, request: HttpRequest, body: Bytes) -> HttpResponse {
    let parsed: Result<Map<String, Value>, _> = serde_json::from_slice(&body);
    let mut world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers(), None) {
        return refusal;
    }
    let Ok(body) = parsed else {
        return refuse(&world, "Invalid JSON", None);
    };
    let asked = match Asked::read(body, &world.settings.msg91_templates) {
        Ok(asked) => asked,
        Err(Wrong(message, code)) => return refuse(&world, message, code),
    };
    let request_id = world.ids.hex(24);
    let messages = deliver(&mut world, asked, &request_id);
    drop(world);
    reports::send(&arc(&sim), &messages, None);
    HttpResponse::Ok().json(json!({"type": "success", "message": request_id}))
}

/// What is wrong with a request: a message, and MSG91's code where it has one.
struct Wrong(&'static str, Option<&'static str>);

/// Texts by one template.
struct Asked {
    template: String,
    sender: String,
    /// Each number with its variables.
    texts: Vec<Text>,
}

impl Asked {
    /// Reads a request; `known` are the templates there are, all when there are none.
    fn read(mut body: Map<String, Value>, known: &BTreeMap<String, String>) -> Result<Self, Wrong> {
        let template = text(&body, "template_id").or_else(|| text(&body, "flow_id"));
        let template = template.ok_or(Wrong("template id missing", None))?;
        if !known.is_empty() && !known.contains_key(&template) {
            return Err(Wrong("Invalid template id", None));
        }
        let recipients = match body.remove("recipients") {
            Some(Value::Array(recipients)) => recipients,
            // The older form has the number and the variables at the top.
            None if body.contains_key("mobiles") => vec![Value::Object(body.clone())],
            _ => return Err(Wrong("recipients missing", None)),
        };
        let mut texts = Vec::new();
        for recipient in &recipients {
            texts.extend(texts_to(recipient)?);
        }
        if texts.is_empty() {
            return Err(Wrong("recipients missing", None));
        }
        let sender = text(&body, "sender").unwrap_or_else(|| "SIMCBK".to_owned());
        Ok(Self { template, sender, texts })
    }
}

/// A number, and the variables of its text.
type Text = (String, Map<String, Value>);

/// The numbers of a recipient, each with its variables.
fn texts_to(recipient: &Value) -> Result<Vec<Text>, Wrong> {
    let recipient = recipient.as_object().ok_or(Wrong("Invalid recipients", None))?;
    let numbers = text(recipient, "mobiles").ok_or(Wrong("Mobile no. missing", Some("101")))?;
    let mut texts = Vec::new();
    for number in numbers.split(',').map(str::trim) {
        if !is_mobile(number) {
            return Err(Wrong("Invalid mobile number", Some("202")));
        }
        texts.push((number.to_owned(), variables(recipient)));
    }
    Ok(texts)
}

/// Puts the texts into the inbox.
fn deliver(world: &mut World, asked: Asked, request_id: &str) -> Vec<Arc<Message>> {
    let Asked { template, sender, texts } = asked;
    let mut messages = Vec::new();
    for (number, args) in texts {
        let message = Message {
            id: 0,
            at: world.now(),
            channel: Channel::Sms,
            provider: Provider::Msg91,
            provider_id: request_id.to_owned(),
            to: number,
            to_name: None,
            from: sender.clone(),
            subject: None,
            text: Some(render(world.settings.msg91_templates.get(&template), &args)),
            html: None,
            template: Some(template.clone()),
            categories: Vec::new(),
            args,
            headers: Map::new(),
            sandbox: false,
        };
        messages.push(world.inbox.deliver(message));
    }
    messages
}

/// A member as text; numbers count as text.
fn text(members: &Map<String, Value>, name: &str) -> Option<String> {
    match members.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What a recipient carries beside its number.
fn variables(recipient: &Map<String, Value>) -> Map<String, Value> {
    let fixed = [
        "mobiles",
        "template_id",
        "flow_id",
        "sender",
        "short_url",
        "short_url_expiry",
        "realTimeResponse",
        "recipients",
    ];
    recipient.iter().filter(|(name, _)| !fixed.contains(&name.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// The text as the handset shows it: the registered template filled in, or the bare variables when it is not known here.
fn render(template: Option<&String>, args: &Map<String, Value>) -> String {
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match template {
        Some(template) => args
            .iter()
            .fold(template.clone(), |text, (name, value)| text.replace(&format!("##{name}##"), &shown(value))),
        None => args
            .iter()
            .filter(|(name, _)| *name != "CRQID")
            .map(|(name, value)| format!("{name}: {}", shown(value)))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}
