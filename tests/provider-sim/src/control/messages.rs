//! The inbox as JSON, and what happens to a message on request.

use super::{Answer, ControlError, read};
use crate::inbox::{Channel, Filter, Message};
use crate::providers::msg91::reports::{self, Verdict};
use crate::providers::sendgrid::events;
use crate::sim::{Shared, arc};
use actix_web::HttpResponse;
use actix_web::web::{self, Bytes, Path, Query, ServiceConfig};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/inbox.json", web::get().to(list))
        .route("/inbox/{id}.json", web::get().to(one))
        .route("/inbox/{id}/event", web::post().to(event))
        .route("/inbox/{id}/report", web::post().to(report));
}

async fn list(sim: Shared, filter: Query<Filter>) -> Answer {
    let (messages, received) = {
        let world = sim.world();
        (world.inbox.matching(&filter), world.inbox.received())
    };
    let plain: Vec<&Message> = messages.iter().map(Arc::as_ref).collect();
    Ok(HttpResponse::Ok().json(json!({"count": plain.len(), "received": received, "messages": plain})))
}

fn find(sim: &Shared, id: u64, channel: Option<Channel>) -> Result<Arc<Message>, ControlError> {
    let message = sim.world().inbox.get(id).ok_or_else(|| ControlError::NotFound(format!("message {id}")))?;
    match channel {
        Some(wanted) if wanted != message.channel => {
            Err(ControlError::Refused(format!("message {id} is not of the channel {}", wanted.name())))
        }
        _ => Ok(message),
    }
}

async fn one(sim: Shared, id: Path<u64>) -> Answer {
    let message = find(&sim, *id, None)?;
    Ok(HttpResponse::Ok().json(message.as_ref()))
}

/// `{"event":"open"}` or a list of them; all other members go into the event as they are.
#[derive(Deserialize)]
struct Happened {
    event: Value,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

async fn event(sim: Shared, id: Path<u64>, body: Bytes) -> Answer {
    let asked: Happened = read(&body)?;
    let message = find(&sim, *id, Some(Channel::Email))?;
    let kinds: Vec<&str> = match &asked.event {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => {
            return Err(ControlError::Refused("\"event\" must be a text or a list of texts".to_owned()));
        }
    };
    let sg_message_id = format!("{}.recvd-0", message.provider_id);
    let happened: Vec<Value> = {
        let mut world = sim.world();
        kinds.iter().map(|kind| events::event(&mut world, &message, kind, &sg_message_id, &asked.extra)).collect()
    };
    let Some(batch) = events::batch(&sim, &happened) else {
        return Err(ControlError::Refused("\"sendgrid_event_url\" is not set".to_owned()));
    };
    let deliveries = arc(&sim).deliver(vec![batch]);
    Ok(HttpResponse::Ok().json(json!({"events": happened, "deliveries": deliveries})))
}

async fn report(sim: Shared, id: Path<u64>, body: Bytes) -> Answer {
    let verdict: Verdict = read(&body)?;
    let message = find(&sim, *id, Some(Channel::Sms))?;
    let deliveries = reports::send(&arc(&sim), &[message], Some(&verdict));
    if deliveries.is_empty() {
        return Err(ControlError::Refused("\"msg91_report_url\" is not set".to_owned()));
    }
    Ok(HttpResponse::Ok().json(json!({"deliveries": deliveries})))
}
