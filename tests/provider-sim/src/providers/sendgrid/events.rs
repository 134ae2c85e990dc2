//! The Event Webhook: what happens to a mail, told in signed batches.

use super::signing::Pair;
use crate::deliveries::Draft;
use crate::inbox::Message;
use crate::provider::Provider;
use crate::sim::{Sim, World};
use actix_web::web::Bytes;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Events in one batch at most.
const BATCH: usize = 500;

/// Names SendGrid keeps for itself; a custom argument of such a name is lost.
const RESERVED: &[&str] = &[
    "email",
    "timestamp",
    "event",
    "sg_event_id",
    "sg_message_id",
    "smtp-id",
    "category",
    "asm_group_id",
    "reason",
    "response",
    "attempt",
    "status",
    "type",
    "url",
    "ip",
    "useragent",
    "tls",
    "pool",
    "send_at",
    "dynamic_template_data",
];

/// What happens to a mail, told by the local part of its address (`bounce@…`, `bounce+7@…`); any other is delivered.
pub(super) fn of_message(world: &mut World, message: &Message, sg_message_id: &str) -> Vec<Value> {
    let address = message.to.to_ascii_lowercase();
    let local = address.split(['@', '+']).next().unwrap_or_default();
    let kinds: &[&str] = if world.sendgrid.suppressed.contains(&address) {
        &["dropped"]
    } else {
        match local {
            "bounce" => &["processed", "bounce"],
            "blocked" => &["processed", "blocked"],
            "dropped" => &["dropped"],
            "deferred" => &["processed", "deferred", "delivered"],
            "spam" | "spamreport" => &["processed", "delivered", "spamreport"],
            "unsubscribe" => &["processed", "delivered", "unsubscribe"],
            "open" => &["processed", "delivered", "open"],
            "click" => &["processed", "delivered", "open", "click"],
            "silent" => &[],
            _ => &["processed", "delivered"],
        }
    };
    kinds.iter().map(|kind| event(world, message, kind, sg_message_id, &Map::new())).collect()
}

/// One event about a mail; `extra` members win over the usual ones.
pub(crate) fn event(
    world: &mut World,
    message: &Message,
    kind: &str,
    sg_message_id: &str,
    extra: &Map<String, Value>,
) -> Value {
    let mut members = Map::new();
    for (name, value) in message.args.iter().filter(|(name, _)| !RESERVED.contains(&name.as_str())) {
        members.insert(name.clone(), value.clone());
    }
    let word = if kind == "blocked" { "bounce" } else { kind };
    let id = URL_SAFE_NO_PAD.encode(format!("{word}-{}", world.ids.base62(16)));
    let given = json!({
        "email": message.to,
        "timestamp": world.now().timestamp(),
        "smtp-id": format!("<{}@ismtpd0001.example>", message.provider_id),
        "event": word,
        "sg_event_id": id,
        "sg_message_id": sg_message_id,
    });
    extend(&mut members, given);
    match message.categories.as_slice() {
        [] => {}
        // One category comes as a string in later events, as an array in the first.
        [one] if kind != "processed" => drop(members.insert("category".to_owned(), json!(one))),
        several => drop(members.insert("category".to_owned(), json!(several))),
    }
    extend(&mut members, details(kind));
    members.extend(extra.clone());
    if matches!(kind, "bounce" | "spamreport" | "unsubscribe") {
        world.sendgrid.suppressed.insert(message.to.to_ascii_lowercase());
    }
    Value::Object(members)
}

/// The members that belong to an event's kind.
fn details(kind: &str) -> Value {
    match kind {
        "delivered" => json!({"response": "250 2.0.0 OK", "ip": "192.0.2.25", "tls": 1}),
        "deferred" => json!({"response": "451 4.7.1 try again later", "attempt": "1"}),
        "bounce" => json!({
            "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 no such user",
            "bounce_classification": "Invalid Address", "ip": "192.0.2.25", "tls": 1,
        }),
        "blocked" => json!({
            "type": "blocked", "status": "4.7.1", "reason": "451 4.7.1 message temporarily refused",
            "bounce_classification": "Reputation", "ip": "192.0.2.25", "tls": 1,
        }),
        "dropped" => json!({"reason": "Bounced Address", "status": "5.0.0"}),
        "open" => json!({
            "useragent": "Mozilla/5.0", "ip": "192.0.2.7", "sg_machine_open": false, "sg_content_type": "html",
        }),
        "click" => json!({
            "url": "https://shop.example.in/", "url_offset": {"index": 0, "type": "html"},
            "useragent": "Mozilla/5.0", "ip": "192.0.2.7",
        }),
        _ => json!({}),
    }
}

fn extend(members: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        members.extend(more);
    }
}

/// Lets the gathered events leave after the batching pause; one pause runs at a time.
pub(crate) fn flush_soon(sim: &Arc<Sim>) {
    let (pause, epoch) = {
        let mut world = sim.world();
        if world.sendgrid.flushing {
            return;
        }
        world.sendgrid.flushing = true;
        (Duration::from_millis(world.settings.sendgrid_batch_ms), world.epoch)
    };
    let owned = Arc::clone(sim);
    sim.in_background(async move {
        tokio::time::sleep(pause).await;
        let events = {
            let mut world = owned.world();
            if world.epoch != epoch {
                return;
            }
            world.sendgrid.flushing = false;
            std::mem::take(&mut world.sendgrid.events)
        };
        let drafts = events.chunks(BATCH).filter_map(|chunk| batch(&owned, chunk)).collect();
        owned.deliver(drafts);
    });
}

/// A signed batch: an array whose events are joined with `,\r\n`, closed by `\r\n`.
pub(crate) fn batch(sim: &Sim, events: &[Value]) -> Option<Draft> {
    let (url, generation, timestamp) = {
        let world = sim.world();
        let settings = &world.settings;
        (settings.sendgrid_event_url.clone(), settings.sendgrid_key_generation, world.now().timestamp().to_string())
    };
    if url.is_empty() {
        return None;
    }
    let pair = Pair::derive(sim.options.seed, generation).ok()?;
    let joined: Vec<String> = events.iter().map(Value::to_string).collect();
    let body = Bytes::from(format!("[{}]\r\n", joined.join(",\r\n")));
    let member = |name: &str| events.first().and_then(|e| e.get(name)).and_then(Value::as_str).unwrap_or_default();
    let kinds: Vec<&str> = events.iter().filter_map(|e| e.get("event")).filter_map(Value::as_str).take(6).collect();
    let signature = pair.sign(&timestamp, &body);
    Some(Draft {
        source: Provider::Sendgrid,
        event: format!("{} events: {}", events.len(), kinds.join(", ")),
        event_id: Some(member("sg_event_id").to_owned()),
        entity: member("sg_message_id").to_owned(),
        method: Method::POST,
        url,
        headers: vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("User-Agent".to_owned(), "SendGrid Event API".to_owned()),
            ("X-Twilio-Email-Event-Webhook-Signature".to_owned(), signature),
            ("X-Twilio-Email-Event-Webhook-Timestamp".to_owned(), timestamp),
        ],
        body,
        retried: true,
    })
}
