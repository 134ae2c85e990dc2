//! One-time passwords: send, verify, send again.

use super::{is_mobile, refusal, refuse, render, reports};
use crate::inbox::{Channel, Message};
use crate::provider::Provider;
use crate::providers::query::Params;
use crate::sim::{Shared, World, arc};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Duration, Utc};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A password that waits for its owner.
#[derive(Debug)]
pub(super) struct Open {
    otp: String,
    template: String,
    expires_at: DateTime<Utc>,
    verified: bool,
    retries: u32,
    args: Map<String, Value>,
}

pub(super) async fn send(sim: Shared, request: HttpRequest, body: Bytes) -> HttpResponse {
    let query = Params::parse(request.query_string());
    // Variables ride in an optional JSON body.
    let args: Map<String, Value> = serde_json::from_slice(&body).unwrap_or_default();
    let mut world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers(), query.get("authkey")) {
        return refusal;
    }
    let member = |name: &str| query.get(name).map(str::to_owned).or_else(|| super::text(&args, name));
    let Some(template) = member("template_id") else {
        return refuse(&world, "template id missing", None);
    };
    let Some(mobile) = member("mobile") else {
        return refuse(&world, "Mobile no. missing", Some("101"));
    };
    if !is_mobile(&mobile) {
        return refuse(&world, "Invalid mobile number", Some("202"));
    }
    let length = member("otp_length").and_then(|l| l.parse().ok()).unwrap_or(4_usize);
    if !(4..=9).contains(&length) {
        return refuse(&world, "otp length must be between 4 and 9", None);
    }
    let minutes = member("otp_expiry").and_then(|m| m.parse().ok()).unwrap_or(1_440_i64).clamp(1, 1_440);
    let otp = member("otp").unwrap_or_else(|| world.ids.digits(length));
    let open = Open {
        otp,
        template,
        expires_at: world.now() + Duration::minutes(minutes),
        verified: false,
        retries: 0,
        args: super::variables(&args),
    };
    let message = deliver(&mut world, &mobile, &open);
    world.msg91.otps.insert(mobile, open);
    let request_id = message.provider_id.clone();
    drop(world);
    reports::send(&arc(&sim), &[message], None);
    HttpResponse::Ok().json(json!({"type": "success", "request_id": request_id}))
}

fn deliver(world: &mut World, mobile: &str, open: &Open) -> Arc<Message> {
    let mut args = open.args.clone();
    args.insert("OTP".to_owned(), json!(open.otp));
    let message = Message {
        id: 0,
        at: world.now(),
        channel: Channel::Sms,
        provider: Provider::Msg91,
        provider_id: world.ids.hex(24),
        to: mobile.to_owned(),
        to_name: None,
        from: "SIMCBK".to_owned(),
        subject: None,
        text: Some(render(world.settings.msg91_templates.get(&open.template), &args)),
        html: None,
        template: Some(open.template.clone()),
        categories: vec!["otp".to_owned()],
        args,
        headers: Map::new(),
        sandbox: false,
    };
    world.inbox.deliver(message)
}

pub(super) async fn verify(sim: Shared, request: HttpRequest) -> HttpResponse {
    let query = Params::parse(request.query_string());
    let mut world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers(), query.get("authkey")) {
        return refusal;
    }
    let now = world.now();
    let (Some(mobile), Some(otp)) = (query.get("mobile"), query.get("otp")) else {
        return refuse(&world, "Mobile no. missing", Some("101"));
    };
    let message = match world.msg91.otps.get_mut(mobile) {
        None => "Mobile no. not found",
        Some(open) if open.verified => "Mobile no. already verified",
        Some(open) if open.expires_at <= now => "OTP expired",
        Some(open) if open.otp != otp => "OTP not match",
        Some(open) => {
            open.verified = true;
            return HttpResponse::Ok().json(json!({"type": "success", "message": "OTP verified success"}));
        }
    };
    refuse(&world, message, None)
}

pub(super) async fn retry(sim: Shared, request: HttpRequest) -> HttpResponse {
    let query = Params::parse(request.query_string());
    let mut world = sim.world();
    if let Some(refusal) = refusal(&world, request.headers(), query.get("authkey")) {
        return refusal;
    }
    let Some(mobile) = query.get("mobile") else {
        return refuse(&world, "Mobile no. missing", Some("101"));
    };
    if !matches!(query.get("retrytype"), Some("text" | "voice")) {
        return refuse(&world, "retrytype must be text or voice", None);
    }
    let Some(mut open) = world.msg91.otps.remove(mobile) else {
        return refuse(&world, "No OTP request found to retryotp", None);
    };
    open.retries += 1;
    let message = (open.retries <= 3).then(|| deliver(&mut world, mobile, &open));
    world.msg91.otps.insert(mobile.to_owned(), open);
    let Some(message) = message else {
        return refuse(&world, "OTP retry count maxed out", None);
    };
    drop(world);
    reports::send(&arc(&sim), &[message], None);
    HttpResponse::Ok().json(json!({"type": "success", "message": "retry send successfully"}))
}
