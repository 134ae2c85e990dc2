//! Webhooks that were sent: listed, sent again, and made to order.

use super::{Answer, ControlError, read};
use crate::deliveries::{Attempt, Delivery, Draft, State};
use crate::journal::redact_url;
use crate::provider::Provider;
use crate::providers::query;
use crate::providers::razorpay::events as razorpay;
use crate::providers::sendgrid::events as sendgrid;
use crate::sim::{Shared, World, arc};
use actix_web::HttpResponse;
use actix_web::web::{self, Bytes, Path, Query, ServiceConfig};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/webhooks", web::get().to(list))
        .route("/webhooks/resend", web::post().to(resend))
        .route("/webhooks/custom", web::post().to(custom))
        .route("/webhooks/{id}", web::get().to(one));
}

/// A delivery as it is told. The address is shown without its secret.
#[derive(Serialize)]
struct Shown {
    id: u64,
    source: Provider,
    event: String,
    event_id: Option<String>,
    entity: String,
    state: State,
    created_at: DateTime<Utc>,
    method: String,
    url: String,
    resend_of: Option<u64>,
    attempts: Vec<Attempt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

fn shown(delivery: &Delivery, with_body: bool) -> Shown {
    let draft = &delivery.draft;
    Shown {
        id: delivery.id,
        source: draft.source,
        event: draft.event.clone(),
        event_id: draft.event_id.clone(),
        entity: draft.entity.clone(),
        state: delivery.state,
        created_at: delivery.created_at,
        method: draft.method.to_string(),
        url: redact_url(&draft.url),
        resend_of: delivery.resend_of,
        attempts: delivery.attempts.clone(),
        body: with_body.then(|| String::from_utf8_lossy(&draft.body).into_owned()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    source: Option<Provider>,
    /// A part of the event's name.
    event: Option<String>,
    entity: Option<String>,
    state: Option<String>,
    after: Option<u64>,
}

async fn list(sim: Shared, filter: Query<Filter>) -> Answer {
    let world = sim.world();
    let webhooks: Vec<Shown> = world
        .deliveries
        .iter()
        .filter(|d| filter.source.is_none_or(|s| s == d.draft.source))
        .filter(|d| filter.event.as_deref().is_none_or(|e| d.draft.event.contains(e)))
        .filter(|d| filter.entity.as_deref().is_none_or(|e| d.draft.entity == e))
        .filter(|d| filter.state.as_deref().is_none_or(|s| json!(d.state) == s))
        .filter(|d| filter.after.is_none_or(|after| d.id > after))
        .map(|d| shown(d, false))
        .collect();
    Ok(HttpResponse::Ok().json(json!({"count": webhooks.len(), "webhooks": webhooks})))
}

fn find(world: &World, id: u64) -> Result<&Delivery, ControlError> {
    world.deliveries.get(id).ok_or_else(|| ControlError::NotFound(format!("webhook {id}")))
}

async fn one(sim: Shared, id: Path<u64>) -> Answer {
    let world = sim.world();
    Ok(HttpResponse::Ok().json(shown(find(&world, *id)?, true)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resend {
    #[serde(default)]
    id: Option<u64>,
    /// Several, sent in this order.
    #[serde(default)]
    ids: Vec<u64>,
    /// Keep the first signature (an automatic retry after a change of secret). A Razorpay replay from the panel, which
    /// is what happens otherwise, is signed with the secret of now.
    #[serde(default)]
    old_signature: bool,
    /// The same body under another event id, which nothing signed forbids.
    #[serde(default)]
    event_id: Option<String>,
}

async fn resend(sim: Shared, body: Bytes) -> Answer {
    let asked: Resend = read(&body)?;
    let ids: Vec<u64> = asked.id.into_iter().chain(asked.ids.iter().copied()).collect();
    if ids.is_empty() {
        return Err(ControlError::Refused("\"id\" or \"ids\" is needed".to_owned()));
    }
    let mut again = Vec::new();
    {
        let world = sim.world();
        for id in ids {
            let mut draft = find(&world, id)?.draft.clone();
            if draft.source == Provider::Razorpay && !asked.old_signature {
                let (_, secret) = razorpay::destination(&world.settings, &draft.event);
                let signature = razorpay::sign(secret, &draft.body);
                set_header(&mut draft, razorpay::SIGNATURE, &signature);
            }
            if let Some(event_id) = &asked.event_id {
                set_header(&mut draft, "x-razorpay-event-id", event_id);
                draft.event_id = Some(event_id.clone());
            }
            again.push((id, draft));
        }
    }
    let sim = arc(&sim);
    let deliveries: Vec<u64> = again.into_iter().flat_map(|(id, draft)| sim.deliver_again(id, draft)).collect();
    Ok(HttpResponse::Ok().json(json!({"deliveries": deliveries})))
}

fn set_header(draft: &mut Draft, name: &str, value: &str) {
    if let Some((_, old)) = draft.headers.iter_mut().find(|(have, _)| have.eq_ignore_ascii_case(name)) {
        value.clone_into(old);
    }
}

/// Any event, signed as its source signs. Which members count depends on the source.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Custom {
    source: Provider,
    /// Razorpay: the event's name.
    #[serde(default)]
    event: Option<String>,
    /// Razorpay: entities by name (`{"payment":{…}}`), put into an envelope.
    #[serde(default)]
    payload: Option<Map<String, Value>>,
    /// SendGrid: the events of the batch.
    #[serde(default)]
    events: Option<Vec<Value>>,
    /// Networks: the parameters of the postback.
    #[serde(default)]
    params: Option<Map<String, Value>>,
    /// Razorpay, MSG91: exactly this body.
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    event_id: Option<String>,
    /// Razorpay: sign with this secret instead of the one that is set.
    #[serde(default)]
    secret: Option<String>,
}

async fn custom(sim: Shared, body: Bytes) -> Answer {
    let asked: Custom = read(&body)?;
    let missing = |what: &str| ControlError::Refused(format!("{what} is needed for this source"));
    let draft = match asked.source {
        Provider::Razorpay => {
            let event = asked.event.as_deref().ok_or_else(|| missing("\"event\""))?;
            let mut world = sim.world();
            let mut draft = match (asked.body, asked.payload) {
                (Some(body), _) => {
                    let event_id = world.ids.base62(14);
                    razorpay::signed(&world.settings, event, &event_id, "", Bytes::from(body))
                }
                (None, Some(payload)) => {
                    let entities: Vec<(&str, Value)> = payload.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
                    razorpay::draft(&mut world, event, &entities)
                }
                (None, None) => return Err(missing("\"payload\" or \"body\"")),
            };
            if let (Some(draft), Some(secret)) = (&mut draft, &asked.secret) {
                let signature = razorpay::sign(secret, &draft.body);
                set_header(draft, razorpay::SIGNATURE, &signature);
            }
            if let (Some(draft), Some(id)) = (&mut draft, &asked.event_id) {
                set_header(draft, "x-razorpay-event-id", id);
                draft.event_id = Some(id.clone());
            }
            draft
        }
        Provider::Sendgrid => sendgrid::batch(&sim, &asked.events.ok_or_else(|| missing("\"events\""))?),
        Provider::Admitad | Provider::Vcommission | Provider::Cuelinks => {
            let params = asked.params.ok_or_else(|| missing("\"params\""))?;
            postback(&sim.world(), asked.source, &params)
        }
        Provider::Msg91 => {
            let body = asked.body.ok_or_else(|| missing("\"body\""))?;
            report(&sim.world(), body)
        }
        Provider::Shop | Provider::Smtp => {
            return Err(ControlError::Refused(format!("{} sends no webhooks", asked.source.name())));
        }
    };
    let Some(draft) = draft else {
        return Err(ControlError::Refused(format!("no webhook address is set for {}", asked.source.name())));
    };
    let deliveries = arc(&sim).deliver(vec![draft]);
    Ok(HttpResponse::Ok().json(json!({"deliveries": deliveries})))
}

/// A GET with these parameters; macros in the address are left alone.
fn postback(world: &World, source: Provider, params: &Map<String, Value>) -> Option<Draft> {
    let settings = &world.settings;
    let url = match source {
        Provider::Admitad => &settings.admitad_postback_url,
        Provider::Vcommission => &settings.vcommission_postback_url,
        _ => &settings.cuelinks_postback_url,
    };
    let base = url.split('?').next().filter(|base| !base.is_empty())?;
    let pairs: Vec<(&str, String)> = params
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    Some(Draft {
        source,
        event: "postback made to order".to_owned(),
        event_id: None,
        entity: String::new(),
        method: reqwest::Method::GET,
        url: format!("{base}?{}", query::encode(&pairs)),
        headers: Vec::new(),
        body: Bytes::new(),
        retried: false,
    })
}

fn report(world: &World, body: String) -> Option<Draft> {
    let url = &world.settings.msg91_report_url;
    let kind = if body.starts_with("data=") { "application/x-www-form-urlencoded" } else { "application/json" };
    (!url.is_empty()).then(|| Draft {
        source: Provider::Msg91,
        event: "report made to order".to_owned(),
        event_id: None,
        entity: String::new(),
        method: reqwest::Method::POST,
        url: url.clone(),
        headers: vec![("Content-Type".to_owned(), kind.to_owned())],
        body: Bytes::from(body),
        retried: false,
    })
}
