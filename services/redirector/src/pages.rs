//! What a person sees instead of the shop.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use askama::Template;

use crate::answers::guard;

/// Why a shopper does not get to the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// There is no such offer.
    Unknown,
    /// It is over.
    Expired,
    /// It, or its merchant, is switched off.
    Inactive,
    /// The page asked for by `?to=` is not one of the merchant's.
    PageRefused,
    /// Too many clicks; `seconds` until the next is counted anew.
    Limited { seconds: u64 },
    /// Our catalogue or our stores cannot serve it now.
    Unavailable,
    /// The click can be recorded nowhere, so no cashback could be promised.
    NotRecorded,
    /// A method other than GET and HEAD.
    Method,
}

#[derive(Template)]
#[template(path = "notice.html")]
struct Page {
    title: &'static str,
    message: &'static str,
    hint: String,
    status: u16,
    reason: &'static str,
}

impl Notice {
    /// The word that landing pages and programs get.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "unknown-offer",
            Self::Expired => "offer-expired",
            Self::Inactive => "offer-inactive",
            Self::PageRefused => "page-refused",
            Self::Limited { .. } => "too-many-clicks",
            Self::Unavailable => "unavailable",
            Self::NotRecorded => "click-not-recorded",
            Self::Method => "method-not-allowed",
        }
    }

    /// The HTTP status.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Expired | Self::Inactive => StatusCode::GONE,
            Self::PageRefused => StatusCode::BAD_REQUEST,
            Self::Limited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable | Self::NotRecorded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// Whether the offer is gone, so that a landing page can take over.
    pub(crate) const fn is_gone(self) -> bool {
        matches!(self, Self::Unknown | Self::Expired | Self::Inactive)
    }

    /// The answer with its page.
    pub(crate) fn response(self) -> HttpResponse {
        let (title, message) = match self {
            Self::Unknown => ("We cannot find this offer", "The link may be mistyped, or the offer was removed."),
            Self::Expired => ("This offer has ended", "It has run out, so no cashback can be earned with it any more."),
            Self::Inactive => ("This offer is not available", "The shop or the offer is switched off at the moment."),
            Self::PageRefused => (
                "This link leads somewhere else",
                "The page in this link does not belong to the shop, so we do not open it.",
            ),
            Self::Limited { .. } => {
                ("That was a lot of clicks", "From your connection came more clicks than a person makes.")
            }
            Self::Unavailable => {
                ("We cannot open this offer right now", "The fault is ours and is being looked after.")
            }
            Self::NotRecorded => {
                ("We cannot register your click right now", "If you went on now, your cashback could not be tracked.")
            }
            Self::Method => ("This address only opens links", "Use it from a browser."),
        };
        let hint = match self {
            Self::Limited { seconds } => format!("Please try again in {seconds} seconds."),
            Self::Unavailable | Self::NotRecorded => "Please try again in a moment.".to_owned(),
            Self::Unknown | Self::Expired | Self::Inactive => {
                "Go back to the shop's page to see what is on now.".to_owned()
            }
            Self::PageRefused | Self::Method => String::new(),
        };
        let page = Page { title, message, hint, status: self.status().as_u16(), reason: self.reason() };
        let mut response = HttpResponse::build(self.status());
        guard(&mut response);
        response.insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"));
        match self {
            Self::Limited { seconds } => response.insert_header((header::RETRY_AFTER, seconds)),
            Self::Unavailable | Self::NotRecorded => response.insert_header((header::RETRY_AFTER, 5)),
            Self::Method => response.insert_header((header::ALLOW, "GET, HEAD")),
            _ => &mut response,
        };
        // The template has no part that can fail; the text is what matters.
        response.body(page.render().unwrap_or_else(|_never| message.to_owned()))
    }
}
