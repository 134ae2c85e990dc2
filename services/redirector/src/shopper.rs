//! Which shopper it is: by the backend's session token, or by the signed token in a link we sent.

use std::cell::RefCell;
use std::rc::Rc;

use actix_web::http::header::HeaderMap;
use config::SecretString;
use domain::ids::UserId;
use shopper::{Pass, Tokens};

use crate::recent::Recent;

/// How many recognised tokens a thread remembers.
const REMEMBERED: usize = 10_000;

/// Checks tokens. One a thread: it remembers the tokens it has checked.
pub(crate) struct Shoppers {
    sessions: Tokens,
    links: Tokens,
    cookie: String,
    known: RefCell<Recent<Rc<str>, Pass>>,
}

impl Shoppers {
    /// `sessions` and `links` are shared secrets, several of them separated by commas while one is being replaced.
    pub(crate) fn new(sessions: Option<&SecretString>, links: Option<&SecretString>, cookie: &str) -> Self {
        Self {
            sessions: Tokens::sessions(sessions),
            links: Tokens::links(links),
            cookie: cookie.to_owned(),
            known: RefCell::new(Recent::new(REMEMBERED)),
        }
    }

    /// The shopper of a request: bearer token, session cookie, link token, in this order. A token that is wrong or
    /// over makes a shopper anonymous, it never stops one.
    pub(crate) fn identify(&self, headers: &HeaderMap, link_token: Option<&str>, now_ms: u64) -> Option<UserId> {
        let now = now_ms / 1_000;
        let session = || {
            if self.sessions.is_off() {
                return None;
            }
            let token = shopper::bearer(headers).or_else(|| shopper::cookie(headers, &self.cookie))?;
            self.check("session", token, &self.sessions, now)
        };
        session().or_else(|| self.check("link", link_token?, &self.links, now))
    }

    fn check(&self, kind: &str, token: &str, tokens: &Tokens, now: u64) -> Option<UserId> {
        // The kind is part of the name, or a remembered session token would pass as a link token.
        let name = format!("{kind} {token}");
        if let Some(pass) = self.known.borrow_mut().get(&*name) {
            return (pass.expires_at > now).then_some(pass.user);
        }
        let pass = tokens.check(token)?;
        self.known.borrow_mut().put(name.into(), pass);
        Some(pass.user)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use jsonwebtoken::{Algorithm, EncodingKey, Header};
    use serde_json::{Value, json};

    use super::*;

    const SESSION: &str = "a-session-secret-of-decent-length";
    const LINK: &str = "a-link-secret-of-decent-length";
    const LINK_AUDIENCE: &str = "redirect-link";

    fn shoppers() -> Shoppers {
        let (sessions, links) = (SecretString::from(format!("the-next-one,{SESSION}")), SecretString::from(LINK));
        Shoppers::new(Some(&sessions), Some(&links), "token")
    }

    fn token(secret: &str, claims: &Value) -> String {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret.as_bytes()))
            .unwrap()
    }

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        headers
    }

    fn now() -> u64 {
        jsonwebtoken::get_current_timestamp()
    }

    #[test]
    fn a_shopper_is_known_by_cookie_bearer_or_link() {
        let (user, shoppers, now) = (UserId::generate(), shoppers(), now());
        let session = token(SESSION, &json!({"sub": user, "exp": now + 60, "aud": "shop", "name": "Asha"}));
        let link = token(LINK, &json!({"sub": user, "exp": now + 60, "aud": LINK_AUDIENCE}));
        for _again_from_memory in 0..2 {
            for headers in [
                with("cookie", &format!("a=b; token={session}; c=d")),
                with("authorization", &format!("Bearer {session}")),
            ] {
                assert_eq!(shoppers.identify(&headers, None, now * 1_000), Some(user));
            }
            assert_eq!(shoppers.identify(&HeaderMap::new(), Some(&link), now * 1_000), Some(user));
        }
        let headers = with("cookie", &format!("token={session}"));
        assert_eq!(shoppers.identify(&headers, None, (now + 61) * 1_000), None, "remembered, but over");
        assert_eq!(shoppers.identify(&HeaderMap::new(), None, now * 1_000), None);
    }

    #[test]
    fn a_token_is_over_at_its_end_whether_it_is_remembered_or_not() {
        let (user, shoppers, now) = (UserId::generate(), shoppers(), now());
        for over in [now, now - 1, now - 30] {
            let session = token(SESSION, &json!({"sub": user, "exp": over}));
            let headers = with("cookie", &format!("token={session}"));
            let clicks = [now, now].map(|at| shoppers.identify(&headers, None, at * 1_000));
            assert_eq!(clicks, [None, None], "{over} of {now}");
        }
    }

    #[test]
    fn a_wrong_token_makes_anonymous() {
        let (user, shoppers, now) = (UserId::generate(), shoppers(), now());
        let good = token(SESSION, &json!({"sub": user, "exp": now + 60}));
        let bad = format!("{good}x");
        assert_eq!(shoppers.identify(&with("cookie", &format!("token={bad}")), None, now * 1_000), None);
        assert_eq!(
            shoppers.identify(&with("cookie", &format!("token={}", "x".repeat(10_000))), None, now * 1_000),
            None
        );
        assert_eq!(shoppers.identify(&HeaderMap::new(), Some(&good), now * 1_000), None, "a session is no link");
        let session = token(LINK, &json!({"sub": user, "exp": now + 60}));
        assert_eq!(shoppers.identify(&HeaderMap::new(), Some(&session), now * 1_000), None, "no audience");
        assert_eq!(
            Shoppers::new(None, None, "token").identify(&with("cookie", &format!("token={good}")), None, now * 1_000),
            None
        );
    }
}
