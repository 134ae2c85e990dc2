//! What is written down: messages and deeds.

use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Utc};
use domain::ids::{AuditId, NotificationId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{StoreError, audit, console};

use crate::access::Who;
use crate::api::Listing;
use crate::error::PageError;
use crate::state::State;
use crate::view::{self, Page};
use crate::webhooks::{known, place};

/// Which messages.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Messages {
    /// Standing so.
    pub(crate) status: String,
    /// Where to go on.
    pub(crate) cursor: String,
    /// How many, 1 to 200.
    pub(crate) limit: Option<u16>,
}

/// A message to a person.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Delivery {
    /// The message.
    pub(crate) id: NotificationId,
    /// The business event.
    pub(crate) event_key: String,
    /// email or sms.
    pub(crate) channel: String,
    /// Which text.
    pub(crate) template: String,
    /// To whom, masked.
    pub(crate) recipient: String,
    /// How it stands.
    pub(crate) status: String,
    /// How often it was tried.
    pub(crate) attempts: i32,
    /// Who sends it.
    pub(crate) provider: String,
    /// Why it stands so.
    pub(crate) reason: String,
    /// When it was asked for.
    pub(crate) created_at: DateTime<Utc>,
    /// When it last changed.
    pub(crate) updated_at: DateTime<Utc>,
}

/// Messages, the newest first.
pub(crate) async fn deliveries<E: From<StoreError>>(
    state: &State,
    wanted: &Messages,
    invalid: impl Fn(String) -> E,
) -> Result<Listing<Delivery>, E> {
    let limit = wanted.limit.unwrap_or(50).clamp(1, 200);
    let before = place(&wanted.cursor, NotificationId::generate).map_err(&invalid)?;
    let status = known(&wanted.status, |word| STATES.into_iter().find(|state| *state == word)).map_err(&invalid)?;
    let client = state.pool.get().await?;
    let found = console::deliveries(&client, before, status.unwrap_or_default(), i64::from(limit) + 1).await?;
    let found = found.into_iter().map(|one| Delivery {
        id: one.id,
        event_key: one.event_key,
        channel: one.channel,
        template: one.template,
        recipient: one.recipient,
        status: one.status,
        attempts: one.attempts,
        provider: one.provider,
        reason: crate::mask::text(&one.reason),
        created_at: one.created_at,
        updated_at: one.updated_at,
    });
    Ok(Listing::cut(found.collect(), usize::from(limit), |one| one.id.to_string()))
}

/// How messages can stand, as the table has it.
const STATES: [&str; 16] = [
    "sending",
    "retry",
    "unknown",
    "expired",
    "superseded",
    "throttled",
    "suppressed",
    "sent",
    "deferred",
    "failed",
    "blocked",
    "dropped",
    "delivered",
    "opened",
    "bounced",
    "complained",
];

#[derive(Template)]
#[template(path = "deliveries.html")]
struct DeliveriesPage {
    page: Page,
    status: String,
    list: Listing<Delivery>,
}

/// The page of messages.
pub(crate) async fn deliveries_page(
    state: web::Data<State>,
    who: Who,
    query: web::Query<Messages>,
) -> Result<HttpResponse, PageError> {
    let list = deliveries(&state, &query, PageError::Input).await?;
    view::html(&DeliveriesPage { page: Page::new(who, "deliveries"), status: query.status.clone(), list })
}

/// Which deeds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Deeds {
    /// Of this person or token.
    pub(crate) actor: String,
    /// Done to this, such as `queue:email`.
    pub(crate) target: String,
    /// Where to go on.
    pub(crate) cursor: String,
    /// How many, 1 to 200.
    pub(crate) limit: Option<u16>,
}

/// A deed as written down.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DeedLine {
    /// The row.
    pub(crate) id: AuditId,
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// Who.
    pub(crate) actor: String,
    /// By which role or scope.
    pub(crate) role: String,
    /// What.
    pub(crate) action: String,
    /// To what.
    pub(crate) target: String,
    /// Why.
    pub(crate) reason: String,
    /// How it was.
    pub(crate) before: Option<Value>,
    /// How it is.
    pub(crate) after: Option<Value>,
    /// Where from.
    pub(crate) remote_address: String,
}

/// Deeds, the newest first.
pub(crate) async fn deeds<E: From<StoreError>>(
    state: &State,
    wanted: &Deeds,
    invalid: impl Fn(String) -> E,
) -> Result<Listing<DeedLine>, E> {
    let limit = wanted.limit.unwrap_or(50).clamp(1, 200);
    let before = place(&wanted.cursor, AuditId::generate).map_err(invalid)?;
    let client = state.pool.get().await?;
    let found = audit::list(&client, before, wanted.actor.trim(), wanted.target.trim(), i64::from(limit) + 1).await?;
    let found = found.into_iter().map(|line| DeedLine {
        id: line.id,
        at: line.at,
        actor: line.actor,
        role: line.role,
        action: line.action,
        target: line.target,
        reason: line.reason,
        before: line.before,
        after: line.after,
        remote_address: line.remote_address,
    });
    Ok(Listing::cut(found.collect(), usize::from(limit), |line| line.id.to_string()))
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    page: Page,
    wanted: Deeds,
    list: Listing<DeedLine>,
}

/// The audit log.
pub(crate) async fn audit_page(
    state: web::Data<State>,
    who: Who,
    query: web::Query<Deeds>,
) -> Result<HttpResponse, PageError> {
    let wanted = query.into_inner();
    let list = deeds(&state, &wanted, PageError::Input).await?;
    view::html(&AuditPage { page: Page::new(who, "audit"), wanted, list })
}
