//! Which shopper it is: by the backend's session token, or by the signed token in a link we sent.

use std::cell::RefCell;
use std::collections::HashMap;

use actix_web::http::header::{self, HeaderMap};
use config::{ExposeSecret, SecretString};
use domain::ids::UserId;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use serde::Deserialize;
use sha2::Sha256;

/// The audience of tokens in links: a session token is no link token, nor the other way round.
const LINK_AUDIENCE: &str = "redirect-link";
/// Tokens longer than this are not looked at.
const MAX_TOKEN: usize = 4_096;
/// How many recognised tokens a thread remembers.
const REMEMBERED: usize = 10_000;

/// Checks tokens. One a thread: it remembers the tokens it has checked.
pub(crate) struct Shoppers {
    session_keys: Vec<DecodingKey>,
    link_keys: Vec<DecodingKey>,
    cookie: String,
    known: RefCell<HashMap<String, (UserId, u64)>>,
}

#[derive(Deserialize)]
struct Claims {
    sub: UserId,
    exp: u64,
}

impl Shoppers {
    /// `sessions` and `links` are shared secrets, several of them separated by commas while one is being replaced.
    pub(crate) fn new(sessions: Option<&SecretString>, links: Option<&SecretString>, cookie: &str) -> Self {
        // Only a second call could fail, and it would find the same provider.
        let _already_installed = PROVIDER.install_default();
        let keys = |secrets: Option<&SecretString>| {
            let text = secrets.map_or("", |secrets| secrets.expose_secret());
            let secrets = text.split(',').map(str::trim).filter(|secret| !secret.is_empty());
            secrets.map(|secret| DecodingKey::from_secret(secret.as_bytes())).collect()
        };
        Self {
            session_keys: keys(sessions),
            link_keys: keys(links),
            cookie: cookie.to_owned(),
            known: RefCell::default(),
        }
    }

    /// The shopper of a request: bearer token, session cookie, link token, in this order. A token that is wrong or
    /// over makes a shopper anonymous, it never stops one.
    pub(crate) fn identify(&self, headers: &HeaderMap, link_token: Option<&str>, now_ms: u64) -> Option<UserId> {
        let now = now_ms / 1_000;
        let session = || {
            if self.session_keys.is_empty() {
                return None;
            }
            let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let bearer = bearer.and_then(|text| text.strip_prefix("Bearer ")).map(str::trim);
            let token = bearer.or_else(|| cookie(headers, &self.cookie))?;
            self.check(token, &self.session_keys, None, now)
        };
        session().or_else(|| self.check(link_token?, &self.link_keys, Some(LINK_AUDIENCE), now))
    }

    fn check(&self, token: &str, keys: &[DecodingKey], audience: Option<&str>, now: u64) -> Option<UserId> {
        if keys.is_empty() || token.len() > MAX_TOKEN {
            return None;
        }
        // The audience is part of the key, or a remembered session token would pass as a link token.
        let place = audience.unwrap_or_default();
        let name = format!("{place} {token}");
        if let Some(&(user, expires)) = self.known.borrow().get(&name) {
            return (expires > now).then_some(user);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        if let Some(audience) = audience {
            validation.set_required_spec_claims(&["exp", "sub", "aud"]);
            validation.set_audience(&[audience]);
        } else {
            validation.set_required_spec_claims(&["exp", "sub"]);
            validation.validate_aud = false;
        }
        validation.validate_nbf = true;
        let claims = keys.iter().find_map(|key| jsonwebtoken::decode::<Claims>(token, key, &validation).ok())?.claims;
        let mut known = self.known.borrow_mut();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(name, (claims.sub, claims.exp));
        Some(claims.sub)
    }
}

/// The value of a cookie, without parsing (and allocating) all the others.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs =
        headers.get_all(header::COOKIE).filter_map(|value| value.to_str().ok()).flat_map(|line| line.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches('"'))
}

/// HMAC-SHA256 by the one crypto generation we have; nothing else is accepted.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key: &EncodingKey| Ok(Box::new(Hs256::new(*algorithm, key.as_bytes())?)),
    verifier_factory: |algorithm, key| Ok(Box::new(Hs256::new(*algorithm, key.try_get_as_bytes()?)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, Error> {
        if algorithm != Algorithm::HS256 {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        Hmac::new_from_slice(key).map(Self).map_err(|_length| ErrorKind::InvalidKeyFormat.into())
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, jsonwebtoken::signature::Error> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), jsonwebtoken::signature::Error> {
        let computed = self.0.clone().chain_update(message);
        computed.verify_slice(signature).map_err(jsonwebtoken::signature::Error::from_source)
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use jsonwebtoken::Header;
    use serde_json::{Value, json};

    use super::*;

    const SESSION: &str = "a-session-secret-of-decent-length";
    const LINK: &str = "a-link-secret-of-decent-length";

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
    fn a_wrong_token_makes_anonymous() {
        let (user, shoppers, now) = (UserId::generate(), shoppers(), now());
        let good = token(SESSION, &json!({"sub": user, "exp": now + 60}));
        let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
        let body = good.split('.').nth(1).unwrap();
        for bad in [
            token("another secret", &json!({"sub": user, "exp": now + 60})),
            token(SESSION, &json!({"sub": user, "exp": now - 3_600})),
            token(SESSION, &json!({"sub": user, "exp": now + 60, "nbf": now + 3_600})),
            token(SESSION, &json!({"sub": user})),
            token(SESSION, &json!({"sub": "17", "exp": now + 60})),
            format!("{unsigned}.{body}."),
            good.replace('.', ""),
            format!("{good}x"),
            "x".repeat(10_000),
        ] {
            assert_eq!(shoppers.identify(&with("cookie", &format!("token={bad}")), None, now * 1_000), None, "{bad}");
        }
        assert_eq!(shoppers.identify(&HeaderMap::new(), Some(&good), now * 1_000), None, "a session is no link");
        let session = token(LINK, &json!({"sub": user, "exp": now + 60}));
        assert_eq!(shoppers.identify(&HeaderMap::new(), Some(&session), now * 1_000), None, "no audience");
        assert_eq!(
            Shoppers::new(None, None, "token").identify(&with("cookie", &format!("token={good}")), None, now * 1_000),
            None
        );
    }
}
