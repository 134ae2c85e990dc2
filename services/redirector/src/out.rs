//! `GET /out/{offer_id}`: a click.
//!
//! Everything is decided before the click is pushed: limit, offer, page, class. Then the click is made safe, and only
//! then does the shopper get the way to the shop.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::Method;
use chassis::http::Asked;
use domain::click::ClickClass;
use domain::clock::{Clock, SystemClock};
use domain::ids::{ClickId, OfferId, UserId};

use crate::answers::{self, Budget};
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
    pub(crate) shared: Shared,
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

/// The way to the shop, and what the client may still do.
pub(crate) struct Redirect {
    pub(crate) location: String,
    pub(crate) cookie: Option<String>,
    pub(crate) budget: Budget,
}

/// The offer that a request names.
fn offer_of(asked: Asked<'_>) -> Option<OfferId> {
    asked.path.strip_prefix(PREFIX)?.parse().ok()
}

/// Takes a click, below `/out/`: gives the way to the shop, or the answer that it gets instead.
pub(crate) async fn out(asked: Asked<'_>, desk: &Desk) -> Result<Redirect, HttpResponse> {
    if !matches!(*asked.method, Method::GET | Method::HEAD) {
        return Err(Notice::Method.response());
    }
    let now_ms = u64::try_from(SystemClock.now().timestamp_millis()).unwrap_or(0);
    let address = chassis::remote::address(asked.peer, asked.headers, &desk.shared.visits.trusted_proxies);
    let client = Client::of(address);
    let mut allowance = desk.shared.limiter.count(client, now_ms);
    if !allowance.allowed && desk.shared.visits.unlimited.contain(address) {
        allowance.allowed = true;
    }
    let budget = Budget::of(&desk.shared.limiter, allowance, now_ms);
    match click(asked, desk, client, allowance, now_ms).await {
        Ok(Way { location, cookie }) => Ok(Redirect { location, cookie, budget }),
        Err(notice) => {
            desk.shared.tally.refused(notice);
            if notice != Notice::NotRecorded && !matches!(notice, Notice::Limited { .. }) {
                // A click that was pushed has taken its count along; this one has not.
                desk.ship.count(client, allowance);
            }
            Err(answers::refusal(notice, desk.shared.visits.landing.as_deref(), offer_of(asked), budget))
        }
    }
}

/// The way to the shop.
struct Way {
    location: String,
    cookie: Option<String>,
}

async fn click(
    asked: Asked<'_>,
    desk: &Desk,
    client: Client,
    allowance: Allowance,
    now_ms: u64,
) -> Result<Way, Notice> {
    if !allowance.allowed && allowance.over > desk.shared.visits.limited_recorded {
        // Whoever floods us takes neither Redis nor Postgres along: nothing is looked up.
        desk.shared.tally.unrecorded();
        desk.ship.count(client, allowance);
        return Err(too_many(allowance, now_ms));
    }
    let id = offer_of(asked).ok_or(Notice::Unknown)?;
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
    let query = Query::parse(asked.query);
    let click_id = ClickId::generate();
    let location = location(offer, query.to.as_deref(), click_id)?;
    let user = desk.shoppers.identify(asked.headers, query.token.as_deref(), now_ms);
    let user_agent = desk.user_agents.of(asked.headers);
    let (class, reason) = verdict(asked, desk, &user_agent, offer.id, user, allowance, now_ms);
    let visit = Visit {
        click: click_id,
        user,
        class,
        reason: &reason,
        client_hash: desk.shared.client_hash.of(client),
        user_agent: &user_agent.record,
        at_ms: now_ms,
    };
    let trail = telemetry::Trail::current();
    let write = |into: &mut Vec<u8>| record::element(&offer.terms, &visit, trail.as_ref(), into);
    if desk.ship.send(write, client, allowance).await == Outcome::Lost {
        return Err(Notice::NotRecorded);
    }
    desk.shared.tally.recorded(class);
    if class == ClickClass::Limited {
        return Err(too_many(allowance, now_ms));
    }
    let keeps_cookies = matches!(class, ClickClass::Human | ClickClass::Duplicate);
    let last = LastClick { click: click_id, offer: offer.id };
    let cookie = keeps_cookies.then(|| last.cookie(desk.shared.visits.secure_cookies));
    Ok(Way { location, cookie })
}

/// Where the shopper is sent. Templates and pages that hold what no header can carry do not parse.
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
    asked: Asked<'_>,
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
    let verdict = class::of_request(asked.method, asked.headers, user_agent);
    if verdict.0 == ClickClass::Human {
        let last = shopper::cookie(asked.headers, LastClick::COOKIE).and_then(LastClick::parse);
        if desk.shared.repeats.is_repeat(user, last, offer, now_ms) {
            return (ClickClass::Duplicate, "same shopper and offer within seconds".into());
        }
    }
    verdict
}

fn too_many(allowance: Allowance, now_ms: u64) -> Notice {
    Notice::Limited { seconds: allowance.ends_ms.saturating_sub(now_ms).div_ceil(1_000).max(1) }
}
