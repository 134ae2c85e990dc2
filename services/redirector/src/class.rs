//! Puts a visitor into a class, with the reason.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use domain::click::ClickClass;
use domain::ids::{ClickId, OfferId, UserId};

use crate::crawlers;
use crate::passing::Passing;
use crate::recent::Recent;
use crate::record::Fragment;

/// How many user agents a thread remembers.
const REMEMBERED: usize = 20_000;
/// The longest that it remembers, in bytes: no browser's is longer, and thousands that are would be memory that strangers take.
const LONGEST_REMEMBERED: usize = 1_024;
/// Shopper and offer pairs that are remembered before old ones are thrown out.
const SWEEP_AT: usize = 50_000;

/// A class with its reason; empty for a human.
pub(crate) type Verdict = (ClickClass, Cow<'static, str>);

/// What is known of a user agent.
pub(crate) struct UserAgent {
    /// Why it is no person's.
    reason: Option<&'static str>,
    /// As clicks keep it.
    pub(crate) record: Fragment,
}

/// Remembers what this thread found out about user agents.
pub(crate) struct UserAgents {
    known: RefCell<Recent<Rc<str>, Rc<UserAgent>>>,
    /// What is not ASCII is taken for nobody's and not kept.
    unreadable: Rc<UserAgent>,
}

impl Default for UserAgents {
    fn default() -> Self {
        let unreadable = UserAgent { reason: Some("user agent is not ASCII"), record: Fragment::of_user_agent("") };
        Self { known: RefCell::new(Recent::new(REMEMBERED)), unreadable: Rc::new(unreadable) }
    }
}

impl UserAgents {
    /// The one that a request names.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Rc<UserAgent> {
        match headers.get(header::USER_AGENT).map_or(Ok(""), |value| value.to_str()) {
            Ok(text) => self.recognise(text),
            Err(_not_ascii) => self.unreadable.clone(),
        }
    }

    fn recognise(&self, text: &str) -> Rc<UserAgent> {
        if let Some(known) = self.known.borrow_mut().get(text) {
            return known.clone();
        }
        let found = Rc::new(UserAgent { reason: crawlers::recognise(text), record: Fragment::of_user_agent(text) });
        if text.len() <= LONGEST_REMEMBERED {
            self.known.borrow_mut().put(text.into(), found.clone());
        }
        found
    }
}

/// What the request itself tells: `HEAD`, loading ahead, a crawler; else a human.
pub(crate) fn of_request(method: &Method, headers: &HeaderMap, user_agent: &UserAgent) -> Verdict {
    if method == Method::HEAD {
        return (ClickClass::Head, "HEAD request".into());
    }
    if let Some(reason) = prefetch(headers) {
        return (ClickClass::Prefetch, reason.into());
    }
    match user_agent.reason {
        Some(reason) => (ClickClass::Bot, reason.into()),
        None => (ClickClass::Human, "".into()),
    }
}

static SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
static PURPOSE: HeaderName = HeaderName::from_static("purpose");
static X_PURPOSE: HeaderName = HeaderName::from_static("x-purpose");
static X_MOZ: HeaderName = HeaderName::from_static("x-moz");

/// Chrome and Safari say `Sec-Purpose`, older ones `Purpose` and `X-Purpose`, Firefox said `X-Moz`.
fn prefetch(headers: &HeaderMap) -> Option<&'static str> {
    let says = |name: &HeaderName, words: [(&str, &'static str); 2]| {
        let value = headers.get(name)?.to_str().ok()?.to_ascii_lowercase();
        words.into_iter().find(|(word, _)| value.contains(word)).map(|(_, reason)| reason)
    };
    says(&SEC_PURPOSE, [("prefetch", "Sec-Purpose: prefetch"), ("prerender", "Sec-Purpose: prerender")])
        .or_else(|| says(&PURPOSE, [("prefetch", "Purpose: prefetch"), ("prerender", "Purpose: prerender")]))
        .or_else(|| says(&X_PURPOSE, [("preview", "X-Purpose: preview"), ("prefetch", "X-Purpose: prefetch")]))
        .or_else(|| says(&X_MOZ, [("prefetch", "X-Moz: prefetch"), ("prerender", "X-Moz: prerender")]))
}

/// Notices the same shopper on the same offer within some seconds. Shoppers are told apart by who they are or by what
/// their browser keeps, never by address and phone model: behind a carrier's NAT those are shared.
pub(crate) struct Repeats {
    within_ms: u64,
    seen: Mutex<Passing<(UserId, OfferId), u64>>,
}

impl Repeats {
    /// Clicks within `seconds` are repeats; 0 switches it off.
    pub(crate) fn new(seconds: u64) -> Self {
        Self { within_ms: seconds.saturating_mul(1_000), seen: Mutex::new(Passing::new(SWEEP_AT)) }
    }

    /// Whether this click repeats an earlier one; `last` is what the browser's cookie says of its last click.
    pub(crate) fn is_repeat(&self, user: Option<UserId>, last: Option<LastClick>, offer: OfferId, now_ms: u64) -> bool {
        let recent = |then: u64| now_ms.saturating_sub(then) < self.within_ms;
        if last.is_some_and(|last| last.offer == offer && last.click.unix_millis().is_some_and(recent)) {
            return true;
        }
        let Some(user) = user.filter(|_| self.within_ms > 0) else { return false };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.swept(|then| !recent(*then)).insert((user, offer), now_ms).is_some_and(recent)
    }
}

/// What the first-party cookie holds: the browser's last click and its offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastClick {
    pub(crate) click: ClickId,
    pub(crate) offer: OfferId,
}

impl LastClick {
    /// The cookie's name.
    pub(crate) const COOKIE: &str = "cb_click";

    /// Reads the cookie's value: two ids of 32 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (click, offer) = text.split_once('.')?;
        Some(Self { click: click.parse().ok()?, offer: offer.parse().ok()? })
    }

    /// The whole cookie, as it is set; kept for 30 days.
    pub(crate) fn cookie(self, secure: bool) -> String {
        let secure = if secure { "; Secure" } else { "" };
        let mut text = String::with_capacity(160);
        text.push_str(Self::COOKIE);
        text.push('=');
        text.push_str(self.click.as_uuid().simple().encode_lower(&mut [0; 32]));
        text.push('.');
        text.push_str(self.offer.as_uuid().simple().encode_lower(&mut [0; 32]));
        text.push_str("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax");
        text.push_str(secure);
        text
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    const PHONE: &str = "Mozilla/5.0 (Linux; Android 13; CUBOT KINGKONG 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36";

    fn class(method: &Method, pairs: &[(&'static str, &str)]) -> (ClickClass, String) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let (class, reason) = of_request(method, &headers, &UserAgents::default().of(&headers));
        (class, reason.into_owned())
    }

    #[test]
    fn every_class_has_its_reason_and_a_human_has_none() {
        let phone = ("user-agent", PHONE);
        assert_eq!(class(&Method::GET, &[phone]), (ClickClass::Human, String::new()));
        assert_eq!(class(&Method::HEAD, &[phone]).0, ClickClass::Head);
        for (name, value) in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("purpose", "prefetch"),
            ("x-moz", "prefetch"),
            ("x-purpose", "preview"),
        ] {
            let (class, reason) = class(&Method::GET, &[phone, (name, value)]);
            assert_eq!(class, ClickClass::Prefetch);
            assert!(reason.to_lowercase().starts_with(name), "{reason}");
        }
        assert_eq!(class(&Method::GET, &[]), (ClickClass::Bot, "no user agent".to_owned()));
        let (bot, reason) = class(
            &Method::GET,
            &[("user-agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")],
        );
        assert!(bot == ClickClass::Bot && reason.starts_with("user agent matches"), "{reason}");
    }

    #[test]
    fn user_agents_are_remembered_unless_no_browser_is_so_long() {
        let agents = UserAgents::default();
        for (length, is_remembered) in [(100, true), (LONGEST_REMEMBERED, true), (LONGEST_REMEMBERED + 1, false)] {
            let text = "x".repeat(length);
            let (one, again) = (agents.recognise(&text), agents.recognise(&text));
            assert_eq!(Rc::ptr_eq(&one, &again), is_remembered, "{length}");
        }
    }

    #[test]
    fn a_repeat_is_the_same_shopper_on_the_same_offer_soon() {
        let repeats = Repeats::new(10);
        let (asha, ravi) = (Some(UserId::generate()), Some(UserId::generate()));
        let (offer, other) = (OfferId::generate(), OfferId::generate());
        assert!(!repeats.is_repeat(asha, None, offer, 100_000));
        assert!(repeats.is_repeat(asha, None, offer, 109_999));
        assert!(!repeats.is_repeat(asha, None, other, 109_999));
        assert!(!repeats.is_repeat(ravi, None, offer, 109_999));
        assert!(!repeats.is_repeat(None, None, offer, 109_999), "nobody is everybody");
        assert!(!repeats.is_repeat(asha, None, offer, 119_999));
        let click = ClickId::generate();
        let then = click.unix_millis().unwrap();
        let cookie = LastClick { click, offer }.cookie(true);
        let (value, rest) = cookie.strip_prefix("cb_click=").and_then(|text| text.split_once(';')).unwrap();
        assert!(rest.contains("HttpOnly") && rest.ends_with("; Secure"), "{rest}");
        let last = LastClick::parse(value);
        assert_eq!(last, Some(LastClick { click, offer }));
        assert!(repeats.is_repeat(None, last, offer, then + 9_000));
        assert!(!repeats.is_repeat(None, last, offer, then + 10_000));
        assert!(!repeats.is_repeat(None, last, other, then + 1));
        assert_eq!(LastClick::parse("x.y"), None);
    }
}
