//! One message to a person: how it stands, what the provider reported, and how such a message looks.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use askama::Template;
use domain::ids::NotificationId;
use store::console::{self, DeliveryEvent, Sent};
use store::previews::{self, Stored};

use crate::access::Who;
use crate::error::PageError;
use crate::state::State;
use crate::view::{self, Page};

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    page: Page,
    sent: Sent,
    events: Vec<DeliveryEvent>,
    preview: Option<Stored>,
}

async fn read(state: &State, id: &str) -> Result<(Sent, Vec<DeliveryEvent>, Option<Stored>), PageError> {
    let id: NotificationId = view::id(id, "message")?;
    let client = state.pool.get().await?;
    let sent = console::delivery(&client, id).await?.ok_or(PageError::NotFound("message"))?;
    let events = console::delivery_events(&client, id).await?;
    let delivery = &sent.delivery;
    let preview = previews::find(&client, &delivery.channel, &delivery.template, &delivery.lang).await?;
    Ok((sent, events, preview))
}

/// The page.
pub(crate) async fn page(state: web::Data<State>, who: Who, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    let (sent, events, preview) = read(&state, &id).await?;
    view::html(&DeliveryPage { page: Page::new(who, "deliveries"), sent, events, preview })
}

/// A mail brings its styles along. It runs nothing, loads nothing, and only our own page may show it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'; base-uri 'none'";

/// The mail's HTML, for the frame in the page.
pub(crate) async fn preview(
    state: web::Data<State>,
    _who: Who,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let (_, _, preview) = read(&state, &id).await?;
    let html = preview.map(|preview| preview.html).filter(|html| !html.is_empty());
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_FRAME_OPTIONS, "SAMEORIGIN"))
        .body(html.ok_or(PageError::NotFound("preview"))?))
}
