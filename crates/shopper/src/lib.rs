//! Which shopper a request is of: signed tokens (HS256) of the shop's backend, or of links that we sent, and where requests carry
//! them. What is decided by it is the business of the services.

mod hs256;

use actix_web::http::header::{self, HeaderMap};
use config::{ExposeSecret, Reader, SecretString};
use domain::ids::UserId;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

/// The audience of tokens in links: a session token is no link token, nor the other way round.
const LINK_AUDIENCE: &str = "redirect-link";
/// Tokens longer than this are not looked at.
const MAX_TOKEN: usize = 4_096;
/// For how many seconds a token may come too early: the clock of whoever made it may be ahead of ours.
const AHEAD: u64 = 60;

/// How shoppers' sessions are known.
#[derive(Clone)]
pub struct Settings {
    /// The secrets of session tokens.
    pub sessions: Option<SecretString>,
    /// The cookie that holds a session token.
    pub cookie: String,
}

impl Settings {
    /// Reads `JWT_SECRET` and `SESSION_COOKIE`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            sessions: reader.optional_secret("JWT_SECRET", "the secret of the backend's session tokens (HS256), several separated by commas; without it nobody is logged in"),
            cookie: reader.default("SESSION_COOKIE", "token".to_owned(), "the cookie that holds the session token"),
        }
    }
}

/// Checks tokens of one kind.
pub struct Tokens {
    keys: Vec<DecodingKey>,
    validation: Validation,
}

/// A token that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// Whose it is.
    pub user: UserId,
    /// Until when it holds, in seconds since 1970.
    pub expires_at: u64,
}

#[derive(Deserialize)]
struct Claims {
    sub: UserId,
    exp: u64,
}

impl Tokens {
    /// Session tokens of the shop's backend. `secrets` are several, separated by commas, while one is being replaced; without one
    /// no token is right.
    #[must_use]
    pub fn sessions(secrets: Option<&SecretString>) -> Self {
        Self::new(secrets, None)
    }

    /// Tokens in links that we sent.
    #[must_use]
    pub fn links(secrets: Option<&SecretString>) -> Self {
        Self::new(secrets, Some(LINK_AUDIENCE))
    }

    fn new(secrets: Option<&SecretString>, audience: Option<&'static str>) -> Self {
        // Only a second call could fail, and it would find the same provider.
        let _already_installed = hs256::PROVIDER.install_default();
        let text = secrets.map_or("", |secrets| secrets.expose_secret());
        let secrets = text.split(',').map(str::trim).filter(|secret| !secret.is_empty());
        let keys = secrets.map(|secret| DecodingKey::from_secret(secret.as_bytes())).collect();
        Self { keys, validation: validation(audience) }
    }

    /// Whether no token can be right.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whose token it is; `None` when it is not right, or over.
    #[must_use]
    pub fn check(&self, token: &str) -> Option<Pass> {
        if self.keys.is_empty() || token.len() > MAX_TOKEN {
            return None;
        }
        let decode = |key| jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok();
        let claims = self.keys.iter().find_map(decode)?.claims;
        Some(Pass { user: claims.sub, expires_at: claims.exp })
    }
}

/// What a token must be like. It is over from its `exp` on, as for those who remember it until then ([`Pass::expires_at`]).
fn validation(audience: Option<&str>) -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    if let Some(audience) = audience {
        validation.set_required_spec_claims(&["exp", "sub", "aud"]);
        validation.set_audience(&[audience]);
    } else {
        validation.set_required_spec_claims(&["exp", "sub"]);
        validation.validate_aud = false;
    }
    validation.validate_nbf = true;
    validation.leeway = AHEAD;
    // The leeway is for `nbf`; for `exp` this takes it back, and the second in which the token ends.
    validation.reject_tokens_expiring_in_less_than = AHEAD + 1;
    validation
}

/// The bearer token of a request.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    credentials(headers, "Bearer")
}

/// What a request brings to prove who sends it, by this scheme, whose name may be written in capitals or not.
#[must_use]
pub fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (named, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    named.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

/// The value of a cookie, without parsing (and allocating) all the others.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs =
        headers.get_all(header::COOKIE).filter_map(|value| value.to_str().ok()).flat_map(|line| line.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::{Value, json};

    use super::*;

    const SESSION: &str = "a-session-secret-of-decent-length";
    const LINK: &str = "a-link-secret-of-decent-length";

    fn tokens() -> (Tokens, Tokens) {
        let (sessions, links) = (SecretString::from(format!("the-next-one,{SESSION}")), SecretString::from(LINK));
        (Tokens::sessions(Some(&sessions)), Tokens::links(Some(&links)))
    }

    fn token(secret: &str, claims: &Value) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
    }

    #[test]
    fn a_token_is_of_one_kind_only() {
        let ((sessions, links), user) = (tokens(), UserId::generate());
        let expires_at = jsonwebtoken::get_current_timestamp() + 60;
        let session = token(SESSION, &json!({"sub": user, "exp": expires_at, "aud": "shop", "name": "Asha"}));
        let link = token(LINK, &json!({"sub": user, "exp": expires_at, "aud": LINK_AUDIENCE}));
        let pass = Some(Pass { user, expires_at });
        assert_eq!((sessions.check(&session), links.check(&link)), (pass, pass));
        assert_eq!((sessions.check(&link), links.check(&session)), (None, None));
        assert_eq!(links.check(&token(LINK, &json!({"sub": user, "exp": expires_at}))), None, "no audience");
        assert!(Tokens::sessions(None).is_off() && Tokens::sessions(None).check(&session).is_none());
    }

    #[test]
    fn a_wrong_token_is_nobodys() {
        let ((sessions, _), user, now) = (tokens(), UserId::generate(), jsonwebtoken::get_current_timestamp());
        let good = token(SESSION, &json!({"sub": user, "exp": now + 60}));
        let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
        let body = good.split('.').nth(1).unwrap();
        for bad in [
            token("another secret", &json!({"sub": user, "exp": now + 60})),
            token(SESSION, &json!({"sub": user, "exp": now - 3_600})),
            token(SESSION, &json!({"sub": user, "exp": now})),
            token(SESSION, &json!({"sub": user, "exp": 0})),
            token(SESSION, &json!({"sub": user, "exp": now + 60, "nbf": now + 3_600})),
            token(SESSION, &json!({"sub": user})),
            token(SESSION, &json!({"sub": "17", "exp": now + 60})),
            format!("{unsigned}.{body}."),
            good.replace('.', ""),
            format!("{good}x"),
            "x".repeat(10_000),
        ] {
            assert_eq!(sessions.check(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_from_a_clock_that_is_ahead_of_ours_is_right() {
        let ((sessions, _), user, now) = (tokens(), UserId::generate(), jsonwebtoken::get_current_timestamp());
        let early = token(SESSION, &json!({"sub": user, "exp": now + 60, "nbf": now + 30}));
        assert_eq!(sessions.check(&early), Some(Pass { user, expires_at: now + 60 }));
    }

    #[test]
    fn a_request_carries_a_token_in_a_header_or_a_cookie() {
        let with =
            |name, value| HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
        assert_eq!(bearer(&with("authorization", "Bearer  abc ")), Some("abc"));
        assert_eq!(bearer(&with("authorization", "bearer abc")), Some("abc"));
        for none in ["Basic abc", "Bearer", "Bearerabc"] {
            assert_eq!(bearer(&with("authorization", none)), None, "{none}");
        }
        let headers = with("cookie", "a=b; token=\"abc\"; c=d");
        assert_eq!((cookie(&headers, "token"), cookie(&headers, "oken")), (Some("abc"), None));
    }
}
