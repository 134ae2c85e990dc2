//! `GET /out/{offer_id}`: a click.
//!
//! Everything is decided before the click is pushed: limit, offer, page, class. Then the click is made safe, and only
//! then does the shopper get the way to the shop.

use std::sync::Arc;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use domain::click::ClickClass;
use domain::clock::{Clock, SystemClock};
use domain::ids::{ClickId, OfferId, UserId};

use crate::class::{self, LastClick, Repeats, UserAgent, UserAgents, Verdict};
use crate::client::Client;
use crate::limit::{Allowance, Limiter};
use crate::pages::Notice;
use crate::record::{self, ClientHash, Visit};
use crate::resolve::{Catalogue, Found, Near, Offer};
use crate::settings::Visits;
use crate::ship::{Outcome, Route, Ship};
use crate::shopper::Shoppers;
use crate::tally::Tally;

/// What a click's path begins with.
pub(crate) const PREFIX: &str = "/out/";

static ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
static LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
static REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
static RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// What all HTTP threads share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) visits: Visits,
    pub(crate) catalogue: Catalogue,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) repeats: Arc<Repeats>,
    pub(crate) client_hash: ClientHash,
    pub(crate) route: Route,
    pub(crate) tally: Arc<Tally>,
}

/// What one HTTP thread has.
pub(crate) struct Desk {
    shared: Shared,
    ship: Ship,
    shoppers: Shoppers,
    user_agents: UserAgents,
    near: Near,
}

impl Desk {
    /// Opens on the current HTTP thread.
    pub(crate) fn open(shared: Shared) -> Self {
        let visits = &shared.visits;
        Self {
            ship: Ship::launch(shared.route.clone()),
            shoppers: Shoppers::new(
                visits.sessions.sessions.as_ref(),
                visits.link_secrets.as_ref(),
                &visits.sessions.cookie,
            ),
            user_agents: UserAgents::default(),
            near: Near::default(),
            shared,
        }
    }
}

/// Parameters of the link.
#[derive(Default)]
struct Query {
    /// A page at the shop instead of the offer's own.
    to: Option<String>,
    /// A link token.
    token: Option<String>,
}

impl Query {
    fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            match name.as_ref() {
                "to" => query.to = Some(value.into_owned()),
                "t" => query.token = Some(value.into_owned()),
                _ => {}
            }
        }
        query
    }
}

/// The offer that a request names.
fn offer_of(request: &HttpRequest) -> Option<OfferId> {
    request.path().strip_prefix(PREFIX)?.parse().ok()
}

/// The handler of everything below `/out/`.
pub(crate) async fn out(request: HttpRequest, desk: web::Data<Desk>) -> HttpResponse {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Notice::Method.response();
    }
    let now_ms = u64::try_from(SystemClock.now().timestamp_millis()).unwrap_or(0);
    let peer = request.peer_addr().map_or(std::net::IpAddr::from([0, 0, 0, 0]), |peer| peer.ip());
    let address = chassis::remote::address(peer, request.headers(), &desk.shared.visits.trusted_proxies);
    let client = Client::of(address);
    let mut allowance = desk.shared.limiter.count(client, now_ms);
    if !allowance.allowed && desk.shared.visits.unlimited.contain(address) {
        allowance.allowed = true;
    }
    match click(&request, &desk, client, allowance, now_ms).await {
        Ok(way) => {
            let mut response = HttpResponse::build(StatusCode::FOUND);
            guard(&mut response);
            limit_headers(&mut response, &desk, allowance, now_ms);
            response.insert_header((header::LOCATION, way.location));
            if let Some(cookie) = way.cookie {
                response.insert_header((header::SET_COOKIE, cookie));
            }
            response.finish()
        }
        Err(notice) => {
            desk.shared.tally.refused(notice);
            if notice != Notice::NotRecorded && !matches!(notice, Notice::Limited { .. }) {
                // A click that was pushed has taken its count along; this one has not.
                desk.ship.count(client, allowance);
            }
            refuse(&request, &desk, notice, allowance, now_ms)
        }
    }
}

/// The way to the shop.
struct Way {
    location: String,
    cookie: Option<String>,
}

async fn click(
    request: &HttpRequest,
    desk: &Desk,
    client: Client,
    allowance: Allowance,
    now_ms: u64,
) -> Result<Way, Notice> {
    let id = offer_of(request).ok_or(Notice::Unknown)?;
    let entry = desk.near.find(&desk.shared.catalogue, id).await.map_err(|error| {
        desk.shared.tally.unresolved(&error);
        Notice::Unavailable
    })?;
    let offer = match &entry.found {
        Found::Offer(offer) => offer,
        Found::Unknown => return Err(Notice::Unknown),
        Found::Inactive => return Err(Notice::Inactive),
        Found::Broken => return Err(Notice::Unavailable),
    };
    if offer.expires_ms.is_some_and(|expires| expires <= i64::try_from(now_ms).unwrap_or(i64::MAX)) {
        return Err(Notice::Expired);
    }
    let query = Query::parse(request.query_string());
    let click_id = ClickId::generate();
    let location = location(offer, query.to.as_deref(), click_id)?;
    let user = desk.shoppers.identify(request.headers(), query.token.as_deref(), now_ms);
    let user_agent = desk.user_agents.of(request.headers());
    let (class, reason) = verdict(request, desk, &user_agent, offer.id, user, allowance, now_ms);
    let limited = class == ClickClass::Limited;
    if limited && allowance.over > desk.shared.visits.limited_recorded {
        desk.shared.tally.unrecorded();
        desk.ship.count(client, allowance);
        return Err(too_many(allowance, now_ms));
    }
    let visit = Visit {
        click: click_id,
        user,
        class,
        reason: &reason,
        client_hash: desk.shared.client_hash.of(client),
        user_agent: &user_agent.record,
        at_ms: now_ms,
    };
    let element = record::element(&offer.terms, &visit, telemetry::Trail::current().as_ref());
    if desk.ship.send(element, client, allowance).await == Outcome::Lost {
        return Err(Notice::NotRecorded);
    }
    desk.shared.tally.recorded(class);
    if limited {
        return Err(too_many(allowance, now_ms));
    }
    let keeps_cookies = matches!(class, ClickClass::Human | ClickClass::Duplicate);
    let last = LastClick { click: click_id, offer: offer.id };
    let cookie = keeps_cookies.then(|| last.cookie(desk.shared.visits.secure_cookies));
    Ok(Way { location, cookie })
}

fn location(offer: &Offer, to: Option<&str>, click: ClickId) -> Result<String, Notice> {
    match to {
        None => Ok(offer.link.to_url(click)),
        Some(page) if offer.merchant.takes_pages() => offer
            .merchant
            .link_to(offer.id, page)
            .map(|link| link.to_url(click))
            .map_err(|_refused| Notice::PageRefused),
        Some(_) => Err(Notice::PageRefused),
    }
}

fn verdict(
    request: &HttpRequest,
    desk: &Desk,
    user_agent: &UserAgent,
    offer: OfferId,
    user: Option<UserId>,
    allowance: Allowance,
    now_ms: u64,
) -> Verdict {
    if !allowance.allowed {
        let limit = desk.shared.limiter.limit();
        return (ClickClass::Limited, format!("more than {limit} clicks a minute").into());
    }
    let verdict = class::of_request(request.method(), request.headers(), user_agent);
    if verdict.0 == ClickClass::Human {
        let last = shopper::cookie(request.headers(), LastClick::COOKIE).and_then(LastClick::parse);
        if desk.shared.repeats.is_repeat(user, last, offer, now_ms) {
            return (ClickClass::Duplicate, "same shopper and offer within seconds".into());
        }
    }
    verdict
}

fn too_many(allowance: Allowance, now_ms: u64) -> Notice {
    Notice::Limited { seconds: allowance.ends_ms.saturating_sub(now_ms).div_ceil(1_000).max(1) }
}

/// The page, or the way to the landing page for what is gone.
fn refuse(request: &HttpRequest, desk: &Desk, notice: Notice, allowance: Allowance, now_ms: u64) -> HttpResponse {
    let landing = desk.shared.visits.landing.as_deref().filter(|_| notice.is_gone());
    let mut response = match landing {
        Some(landing) => {
            let offer = offer_of(request).map_or_else(String::new, |offer| offer.to_string());
            let mut response = HttpResponse::build(StatusCode::FOUND);
            guard(&mut response);
            let location = landing.replace("{reason}", notice.reason()).replace("{offer_id}", &offer);
            response.insert_header((header::LOCATION, location)).finish()
        }
        None => notice.response(),
    };
    for (name, value) in limit_values(desk, allowance, now_ms) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Headers of every answer.
pub(crate) fn guard(response: &mut HttpResponseBuilder) {
    response
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .insert_header((header::REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin")))
        .insert_header((ROBOTS.clone(), HeaderValue::from_static("noindex, nofollow")))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
}

fn limit_headers(response: &mut HttpResponseBuilder, desk: &Desk, allowance: Allowance, now_ms: u64) {
    for header in limit_values(desk, allowance, now_ms) {
        response.insert_header(header);
    }
}

fn limit_values(desk: &Desk, allowance: Allowance, now_ms: u64) -> [(HeaderName, HeaderValue); 3] {
    let seconds = allowance.ends_ms.saturating_sub(now_ms).div_ceil(1_000);
    [
        (LIMIT.clone(), HeaderValue::from(desk.shared.limiter.limit())),
        (REMAINING.clone(), HeaderValue::from(allowance.remaining)),
        (RESET.clone(), HeaderValue::from(seconds)),
    ]
}
