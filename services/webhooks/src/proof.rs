//! The only ways to show that bytes came from whom they claim. A [`Proof`] cannot be made elsewhere, and nothing is decoded
//! without one.

use chrono::{DateTime, TimeDelta, Utc};
use config::{ExposeSecret, Reader, SecretString};
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use sha2::{Digest, Sha256};
use store::webhooks::Verdict;
use subtle::ConstantTimeEq;

/// Somebody checked.
#[derive(Debug)]
pub(crate) struct Proof(());

/// How long senders retry what they signed with a secret that was replaced meanwhile: 24 hours, and one for slow clocks.
const RETRIES_LAST: TimeDelta = TimeDelta::hours(25);
/// How far the sender's clock may be ahead when an event is compared with the time of a rotation.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

/// A secret (or public key, or path token), and until when it holds.
#[derive(Debug, Clone)]
pub(crate) struct Secret {
    text: SecretString,
    replaced_at: Option<DateTime<Utc>>,
}

impl Secret {
    /// The one in use.
    pub(crate) fn current(text: impl Into<SecretString>) -> Self {
        Self { text: text.into(), replaced_at: None }
    }

    /// One that was replaced: it still holds for events made before, as long as senders retry them.
    pub(crate) fn replaced(text: impl Into<SecretString>, at: DateTime<Utc>) -> Self {
        Self { text: text.into(), replaced_at: Some(at) }
    }

    /// Whether it may still be used then.
    pub(crate) fn holds_at(&self, received: DateTime<Utc>) -> bool {
        self.replaced_at.is_none_or(|at| received < at + RETRIES_LAST)
    }

    /// Whether another one took its place: then it matters when an event was made.
    pub(crate) const fn was_replaced(&self) -> bool {
        self.replaced_at.is_some()
    }

    /// Whether an event made then can have been signed with it. `None`: the sender does not say when it was made.
    pub(crate) fn covers(&self, made_at: Option<DateTime<Utc>>) -> bool {
        match (self.replaced_at, made_at) {
            (Some(replaced), Some(made)) => made < replaced + CLOCK_SKEW,
            _ => true,
        }
    }

    pub(crate) fn text(&self) -> &str {
        self.text.expose_secret()
    }
}

/// The secrets of a source: the current one, and those it replaced.
#[derive(Debug, Clone)]
pub(crate) struct Secrets(Vec<Secret>);

impl Secrets {
    #[cfg(test)]
    pub(crate) fn new(secrets: Vec<Secret>) -> Self {
        Self(secrets)
    }

    /// Reads `KEY`, and each `KEY_PREVIOUS_…` of the form `2026-11-24T10:00:00Z the-old-secret`.
    pub(crate) fn read(reader: &mut Reader<'_>, key: &str, about: &str) -> Self {
        let mut secrets = vec![Secret::current(reader.secret(key, about))];
        let prefix = format!("{key}_PREVIOUS_");
        let previous = "one that was replaced: the time of the rotation, a space, the old value";
        for (name, text) in reader.family(&prefix, previous) {
            let parts =
                text.split_once(' ').and_then(|(at, old)| Some((at.parse::<DateTime<Utc>>().ok()?, old.trim())));
            match parts {
                Some((at, old)) if !old.is_empty() => secrets.push(Secret::replaced(old, at)),
                _ => reader.problem(format!("{prefix}{name}: not of the form 2026-11-24T10:00:00Z old-value")),
            }
        }
        Self(secrets)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }

    fn at(&self, received: DateTime<Utc>) -> impl Iterator<Item = &Secret> {
        self.0.iter().filter(move |secret| secret.holds_at(received))
    }

    /// HMAC-SHA256 of `message`, in hexadecimal, by one of the secrets. In constant time for each of them.
    pub(crate) fn signed(&self, message: &[u8], claimed: &str, received: DateTime<Utc>) -> Option<(Proof, &Secret)> {
        let mut claim = [0; 32];
        hex::decode_to_slice(claimed, &mut claim).ok()?;
        let mut found = None;
        for secret in self.at(received) {
            let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.text().as_bytes()) else { continue };
            if mac.chain_update(message).verify_slice(&claim).is_ok() {
                found.get_or_insert(secret);
            }
        }
        found.map(|secret| (Proof(()), secret))
    }

    /// Whether `claimed` is one of the secrets. In constant time, whatever its length.
    pub(crate) fn know(&self, claimed: &str, received: DateTime<Utc>) -> Option<Proof> {
        let claim = Sha256::digest(claimed.as_bytes());
        let mut known = subtle::Choice::from(0);
        for secret in self.at(received) {
            known |= Sha256::digest(secret.text().as_bytes()).ct_eq(&claim);
        }
        // An empty claim would match an empty secret, which settings do not allow; it is refused all the same.
        (bool::from(known) && !claimed.is_empty()).then_some(Proof(()))
    }
}

/// ECDSA on P-256 over SHA-256 of `message`; the signature is DER.
pub(crate) fn ecdsa_p256(public_point: &[u8], message: &[u8], signature: &[u8]) -> Option<Proof> {
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_point);
    key.verify(message, signature).ok().map(|()| Proof(()))
}

/// A webhook that was verified when it came.
pub(crate) fn stored(verdict: Verdict) -> Option<Proof> {
    verdict.counts().then_some(Proof(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_replaced_secret_holds_for_old_events_as_long_as_they_are_retried() {
        let rotation = time("2026-11-24T10:00:00Z");
        let old = Secret::replaced("old", rotation);
        assert!(old.covers(Some(rotation - TimeDelta::hours(3))) && old.covers(None));
        assert!(!old.covers(Some(rotation + TimeDelta::minutes(6))));
        assert!(old.holds_at(rotation + TimeDelta::hours(24)) && !old.holds_at(rotation + TimeDelta::hours(26)));
        assert!(Secret::current("new").covers(Some(rotation)));
    }

    #[test]
    fn a_token_is_known_only_as_a_whole() {
        let tokens =
            Secrets::new(vec![Secret::current("a-long-token"), Secret::replaced("old", time("2026-11-24T10:00:00Z"))]);
        let now = time("2026-11-24T12:00:00Z");
        assert!(tokens.know("a-long-token", now).is_some() && tokens.know("old", now).is_some());
        for wrong in ["", "a-long-toke", "a-long-token ", "A-long-token"] {
            assert!(tokens.know(wrong, now).is_none(), "{wrong:?}");
        }
        assert!(tokens.know("old", now + TimeDelta::days(2)).is_none());
    }

    #[test]
    fn settings_name_rotations() {
        let source = config::Map::from([
            ("KEY", "new"),
            ("KEY_PREVIOUS_1", "2026-11-24T10:00:00Z the old one"),
            ("KEY_PREVIOUS_2", "yesterday x"),
        ]);
        let mut reader = Reader::new(&source);
        let secrets = Secrets::read(&mut reader, "KEY", "a key");
        assert_eq!(secrets.iter().map(Secret::text).collect::<Vec<_>>(), ["new", "the old one"]);
        assert!(reader.finish(()).unwrap_err().to_string().contains("KEY_PREVIOUS_2: not of the form"));
    }
}
