//! How a click is answered, by the framework and at the door.

use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use chassis::http::{Answer, Asked, Doorman, HotRoute};
use domain::ids::OfferId;

use crate::limit::{Allowance, Limiter};
use crate::out::{self, Desk, Redirect};
use crate::pages::Notice;

/// What every answer to a click says.
const GUARD: [(&str, &str); 4] = [
    ("cache-control", "no-store"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("x-robots-tag", "noindex, nofollow"),
    ("x-content-type-options", "nosniff"),
];

/// The same as it is sent.
static GUARD_LINES: LazyLock<Vec<u8>> =
    LazyLock::new(|| GUARD.iter().flat_map(|(name, value)| format!("{name}: {value}\r\n").into_bytes()).collect());

/// What a client may still do, as headers say it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget([(&'static str, u64); 3]);

impl Budget {
    pub(crate) fn of(limiter: &Limiter, allowance: Allowance, now_ms: u64) -> Self {
        Self([
            ("ratelimit-limit", limiter.limit().into()),
            ("ratelimit-remaining", allowance.remaining.into()),
            ("ratelimit-reset", allowance.ends_ms.saturating_sub(now_ms).div_ceil(1_000)),
        ])
    }

    fn add_to(self, response: &mut HttpResponse) {
        for (name, value) in self.0 {
            response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
    }
}

/// Adds the headers of every answer.
pub(crate) fn guard(response: &mut HttpResponseBuilder) {
    for (name, value) in GUARD {
        response.insert_header((HeaderName::from_static(name), HeaderValue::from_static(value)));
    }
}

/// The page, or the way to the landing page for what is gone.
pub(crate) fn refusal(notice: Notice, landing: Option<&str>, offer: Option<OfferId>, budget: Budget) -> HttpResponse {
    let mut response = match landing.filter(|_| notice.is_gone()) {
        Some(landing) => {
            let offer = offer.map_or_else(String::new, |offer| offer.to_string());
            let location = landing.replace("{reason}", notice.reason()).replace("{offer_id}", &offer);
            let mut response = HttpResponse::build(StatusCode::FOUND);
            guard(&mut response);
            response.insert_header((header::LOCATION, location)).finish()
        }
        None => notice.response(),
    };
    budget.add_to(&mut response);
    response
}

/// Answers a click that came through the framework.
pub(crate) async fn through_framework(request: &HttpRequest, desk: &Desk) -> HttpResponse {
    match out::out(Asked::from(request), desk).await {
        Ok(Redirect { location, cookie, budget }) => {
            let mut response = HttpResponse::build(StatusCode::FOUND);
            guard(&mut response);
            response.insert_header((header::LOCATION, location));
            if let Some(cookie) = cookie {
                response.insert_header((header::SET_COOKIE, cookie));
            }
            let mut response = response.finish();
            budget.add_to(&mut response);
            response
        }
        Err(refusal) => refusal,
    }
}

/// What a click is decided by.
static READS: [HeaderName; 8] = [
    HeaderName::from_static("user-agent"),
    HeaderName::from_static("cookie"),
    HeaderName::from_static("authorization"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-purpose"),
    HeaderName::from_static("x-moz"),
];

impl Doorman for Desk {
    const ROUTE: HotRoute = HotRoute { prefix: out::PREFIX, segments: 1, route: "/out/{offer_id}" };

    fn reads() -> &'static [HeaderName] {
        &READS
    }

    async fn answer(&self, asked: Asked<'_>, answer: &mut Answer) {
        match out::out(asked, self).await {
            Ok(redirect) => {
                answer.empty(StatusCode::FOUND, &GUARD_LINES);
                answer.header("location", redirect.location.as_bytes());
                if let Some(cookie) = redirect.cookie {
                    answer.header("set-cookie", cookie.as_bytes());
                }
                for (name, value) in redirect.budget.0 {
                    answer.number(name, value);
                }
            }
            Err(refusal) => answer.whole(refusal),
        }
    }
}
