//! Postbacks of affiliate networks: unsigned, by GET or POST, under a path that nobody can guess. What they say is a hint to
//! ask the network's API; no money moves on it.

use actix_web::http::Method;
use chassis::remote::Networks;
use config::Reader;
use domain::ids::WebhookId;
use domain::jobs::cashback::ConfirmHint;
use domain::network::Network;
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::proof::Secrets;
use crate::source::{Decoded, Effect, Malformed, Rejection, Request, Verified, WebhookSource, is_word, sha256, word};

/// Where a network puts what we need.
pub(super) struct Layout {
    pub(super) network: Network,
    /// Parameters that may hold the network's id of the transaction, the best first.
    pub(super) transaction: &'static [&'static str],
    /// Parameters that may hold our click.
    pub(super) sub_ids: &'static [&'static str],
    /// Parameters that hold the status.
    pub(super) status: &'static [&'static str],
    /// Parameters about the shopper, which are not kept.
    pub(super) personal: &'static [&'static str],
    /// A parameter whose value must be the path's token as well, where the panel can add it.
    pub(super) constant: Option<&'static str>,
}

/// The HMAC of the query or body before it, where the panel can add one.
const SIGNATURE: &str = "sig";

pub(super) struct Postback {
    layout: Layout,
    tokens: Secrets,
    constant: Option<Secrets>,
    hmac: Option<Secrets>,
    listed: Option<Networks>,
}

impl Postback {
    /// Reads `<NETWORK>_POSTBACK_TOKEN` and what may be added to it.
    pub(super) fn read(reader: &mut Reader<'_>, layout: Layout) -> Box<dyn WebhookSource> {
        let name = layout.network.slug().to_uppercase();
        let token = format!("{name}_POSTBACK_TOKEN");
        let tokens =
            Secrets::read(reader, &token, "the last part of the postback's path: 24 random characters at least");
        if tokens.iter().any(|token| (1..24).contains(&token.text().len()) || !token.text().bytes().all(is_path_byte)) {
            reader.problem(format!(
                "{token}: 24 characters of A-Z a-z 0-9 . _ ~ - at least (for example: openssl rand -hex 24)"
            ));
        }
        let mut optional = |suffix: &str, about: &str| {
            let key = format!("{name}_POSTBACK_{suffix}");
            // The reader lists what may be set also when it is not.
            reader.optional_secret(&key, about).map(|_set| Secrets::read(reader, &key, about))
        };
        let constant = layout.constant.and_then(|_| {
            optional("CONSTANT", "the value of the constant parameter that the panel adds to the postback")
        });
        let hmac =
            optional("HMAC_SECRET", "when set, a parameter sig=HMAC-SHA256 of all before it must be the last one");
        let key = format!("{name}_POSTBACK_ADDRESSES");
        let listed = reader
            .optional_parsed(&key, "when set, the only addresses that postbacks are taken from, as networks by comma");
        Box::new(Self { layout, tokens, constant, hmac, listed })
    }

    fn first<'p>(params: &'p Params, names: &[&str]) -> Option<&'p str> {
        let good = |name: &&str| params.get(name).filter(|value| is_value(value));
        names.iter().find_map(good)
    }

    /// When unsigned hints with the same text count as one. A status can come back (on hold again, confirmed again) with the
    /// same text, so this cannot be for ever.
    fn window(verified: &Verified<'_>) -> i64 {
        verified.received_at().timestamp().div_euclid(3600)
    }
}

const fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-')
}

/// Whether a value is one: not empty, and not a macro that the network did not know and left as it was.
fn is_value(text: &str) -> bool {
    text.len() <= 128 && is_word(text) && !text.contains(['{', '}', '[', ']'])
}

/// Parameters of a query, a form or a flat JSON object.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    fn parse(raw: &[u8]) -> Result<Self, Malformed> {
        if raw.first() == Some(&b'{') {
            let object: Map<String, Value> = serde_json::from_slice(raw)?;
            let text = |value: Value| match value {
                Value::String(text) => Some(text),
                Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            };
            return Ok(Self(object.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()));
        }
        if std::str::from_utf8(raw).is_err() {
            return Err(Malformed::Other("neither a query, nor a form, nor a JSON object"));
        }
        Ok(Self(form_urlencoded::parse(raw).into_owned().collect()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The value of a parameter in the query or body of a request, for checks before anything is decoded for use.
fn claimed(request: &Request<'_>, name: &str) -> Option<String> {
    let of = |raw: &[u8]| Params::parse(raw).ok()?.get(name).map(str::to_owned);
    of(request.query.as_bytes()).or_else(|| of(request.body))
}

impl WebhookSource for Postback {
    fn slug(&self) -> &'static str {
        self.layout.network.slug()
    }

    fn methods(&self) -> &'static [Method] {
        &[Method::GET, Method::POST]
    }

    fn media_types(&self) -> &'static [&'static str] {
        &["application/x-www-form-urlencoded", "application/json"]
    }

    fn has_path_token(&self) -> bool {
        true
    }

    fn verify<'r>(&self, request: &Request<'r>) -> Result<Verified<'r>, Rejection> {
        let token = request.token.unwrap_or_default();
        let proof = self.tokens.know(token, request.received_at).ok_or(Rejection::WrongToken)?;
        if self.listed.as_ref().is_some_and(|listed| !listed.contain(request.remote)) {
            return Err(Rejection::AddressNotListed);
        }
        if let (Some(constant), Some(name)) = (&self.constant, self.layout.constant) {
            let claimed = claimed(request, name).unwrap_or_default();
            constant.know(&claimed, request.received_at).ok_or(Rejection::WrongToken)?;
        }
        if let Some(secrets) = &self.hmac {
            let text = std::str::from_utf8(request.raw()).map_err(|_not_text| Rejection::WrongSignature)?;
            let (message, signature) = text.rsplit_once("&sig=").ok_or(Rejection::NoSignature)?;
            secrets.signed(message.as_bytes(), signature, request.received_at).ok_or(Rejection::WrongSignature)?;
        }
        Ok(Verified::new(proof, request.raw(), request.received_at))
    }

    fn event_id(&self, verified: &Verified<'_>) -> String {
        let hash = hex::encode(self.body_key(verified));
        hash.get(..32).unwrap_or(&hash).to_owned()
    }

    fn body_key(&self, verified: &Verified<'_>) -> [u8; 32] {
        sha256(&[verified.raw(), &Self::window(verified).to_be_bytes()].concat())
    }

    fn kept(&self, verified: &Verified<'_>) -> Vec<u8> {
        let dropped = |name: &str| {
            self.layout.personal.contains(&name) || self.layout.constant == Some(name) || name == SIGNATURE
        };
        let raw = verified.raw();
        if raw.first() == Some(&b'{') {
            let Ok(mut object) = serde_json::from_slice::<Map<String, Value>>(raw) else { return Vec::new() };
            object.iter_mut().filter(|(name, _)| dropped(name)).for_each(|(_, value)| *value = Value::Null);
            return Value::Object(object).to_string().into_bytes();
        }
        // Pair by pair, so that everything else stays byte for byte.
        let pairs = raw.split(|byte| *byte == b'&').map(|pair| {
            let name = form_urlencoded::parse(pair).next().map(|(name, _)| name.into_owned()).unwrap_or_default();
            let end = pair.iter().position(|byte| *byte == b'=').map_or(pair.len(), |at| at.saturating_add(1));
            if dropped(&name) { pair.get(..end).unwrap_or(pair) } else { pair }
        });
        pairs.collect::<Vec<_>>().join(&b'&')
    }

    fn decode(&self, verified: &Verified<'_>, id: WebhookId) -> Result<Decoded, Malformed> {
        let params = Params::parse(verified.raw())?;
        let owned = |names| Self::first(&params, names).map(str::to_owned);
        let (transaction, sub_id) = (owned(self.layout.transaction), owned(self.layout.sub_ids));
        let status = word(Self::first(&params, self.layout.status).unwrap_or_default());
        let event = format!("postback {status}").trim_end().to_owned();
        // News of a programme or a referral names no transaction: nothing to ask for.
        let names_something = transaction.is_some() || sub_id.is_some();
        let hint = Effect::Hint(ConfirmHint {
            network: self.layout.network,
            external_transaction_id: transaction,
            sub_id,
            webhook_id: id,
        });
        let effect = names_something.then_some(hint);
        Ok(Decoded { event, effect })
    }

    #[cfg(test)]
    fn example(&self, _now: chrono::DateTime<chrono::Utc>) -> crate::contract_tests::Example {
        let name = self.layout.transaction.first().unwrap();
        let personal = self.layout.personal.first().unwrap();
        let mut query = format!("{name}=700000001&payment_status=approved&status=approved&{personal}=192.0.2.1");
        if let (Some(constant), Some(name)) = (&self.constant, self.layout.constant) {
            query.push_str(&format!("&{name}={}", constant.iter().next().unwrap().text()));
        }
        let token = self.tokens.iter().next().unwrap().text().to_owned();
        crate::contract_tests::Example::get(&query).token(&token).queued("cashback")
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn source(extra: &[(&str, &str)]) -> Box<dyn WebhookSource> {
        let mut pairs = vec![("ADMITAD_POSTBACK_TOKEN", "0123456789abcdef01234567")];
        pairs.extend(extra);
        let source = crate::contract_tests::settings(&pairs);
        let mut reader = Reader::new(&source);
        let built = super::super::admitad::read(&mut reader);
        reader.finish(built).unwrap()
    }

    fn verified(raw: &[u8]) -> Verified<'_> {
        Verified::new(crate::proof::stored(store::webhooks::Verdict::Accepted).unwrap(), raw, DateTime::UNIX_EPOCH)
    }

    fn hint(raw: &str) -> Option<(Option<String>, Option<String>)> {
        match source(&[]).decode(&verified(raw.as_bytes()), WebhookId::generate()).unwrap().effect {
            Some(Effect::Hint(hint)) => Some((hint.external_transaction_id, hint.sub_id)),
            _ => None,
        }
    }

    #[test]
    fn query_form_and_json_say_the_same() {
        let expected = Some((Some("700000001".to_owned()), Some("01JSYNTHCLICK0000000000001".to_owned())));
        let query = "offer_id=10001&action_id=700000001&payment_status=approved&subid4=01JSYNTHCLICK0000000000001";
        assert_eq!(hint(query), expected);
        assert_eq!(hint(r#"{"action_id":700000001,"subid4":"01JSYNTHCLICK0000000000001","x":null}"#), expected);
    }

    #[test]
    fn a_macro_that_was_not_replaced_is_no_value() {
        assert_eq!(hint("action_id=[[[action_id]]]&subid={subid}"), None);
        assert_eq!(hint("offer_id=1&offer_status=disabled"), None);
        assert_eq!(hint("action_id=%00%0a&subid="), None);
    }

    #[test]
    fn what_is_personal_or_secret_is_not_kept_and_the_rest_is_byte_for_byte() {
        let raw = b"action_id=7&action_ip=192.0.2.1&user_agent=Mozilla%2F5.0&note=a+b%20c&sig=00";
        let kept = source(&[]).kept(&verified(raw));
        assert_eq!(String::from_utf8(kept).unwrap(), "action_id=7&action_ip=&user_agent=&note=a+b%20c&sig=");
        let kept = source(&[]).kept(&verified(br#"{"action_id":7,"action_ip":"192.0.2.1"}"#));
        assert!(!String::from_utf8(kept).unwrap().contains("192"));
    }

    #[test]
    fn a_short_token_is_refused_at_the_start() {
        let source = crate::contract_tests::settings(&[("ADMITAD_POSTBACK_TOKEN", "short")]);
        let mut reader = Reader::new(&source);
        let built = super::super::admitad::read(&mut reader);
        assert!(
            {
                drop(built);
                reader.finish(())
            }
            .unwrap_err()
            .to_string()
            .contains("24 characters")
        );
    }
}
