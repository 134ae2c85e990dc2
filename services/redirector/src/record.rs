//! A click as it goes onto the list.
//!
//! It is [`queue::Envelope`] around [`RecordClick`], but put together from texts that are ready: an offer's terms are the same
//! in each of its clicks and the user agents of a day are few, so only ids, time and class are written anew. (As two passes of
//! a serializer this was a tenth of a click.) A test holds that the queue reads back what was meant.

use std::cell::Cell;

use chrono::{DateTime, SecondsFormat};
use domain::click::ClickClass;
use domain::ids::{ClickId, MerchantId, OfferId, UserId};
use domain::job::Job;
use domain::jobs::click::RecordClick;
use domain::money::{BasisPoints, Paise};
use domain::network::Network;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use telemetry::Trail;
use uuid::Uuid;

use crate::client::Client;

/// The longest `User-Agent` that is kept, in characters.
const MAX_USER_AGENT: usize = 256;

/// What an offer promises, as all of its clicks say it.
#[derive(Debug, Serialize)]
pub(crate) struct Terms {
    pub(crate) offer_id: OfferId,
    pub(crate) merchant_id: MerchantId,
    pub(crate) network: Network,
    pub(crate) rate: BasisPoints,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cap: Option<Paise>,
    pub(crate) offer_version: i32,
}

/// A part of a JSON object without its braces, ready to be copied.
#[derive(Debug, Clone)]
pub(crate) struct Fragment(Box<[u8]>);

impl Fragment {
    /// The members of an offer's terms.
    pub(crate) fn of_terms(terms: &Terms) -> Result<Self, serde_json::Error> {
        let text = serde_json::to_string(terms)?;
        let members = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or_default();
        Ok(Self(members.as_bytes().into()))
    }

    /// The member of a user agent, which is cut and loses its control characters; nothing when there is none.
    pub(crate) fn of_user_agent(text: &str) -> Self {
        let kept: String = text.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT).collect();
        // Texts can always be written as JSON.
        let quoted = serde_json::to_string(&kept).unwrap_or_default();
        Self(if kept.is_empty() { Box::default() } else { format!(r#","user_agent":{quoted}"#).into_bytes().into() })
    }
}

/// What one click adds to its offer's terms.
pub(crate) struct Visit<'a> {
    pub(crate) click: ClickId,
    pub(crate) user: Option<UserId>,
    pub(crate) class: ClickClass,
    /// Empty for a human.
    pub(crate) reason: &'a str,
    pub(crate) client_hash: [u8; 16],
    pub(crate) user_agent: &'a Fragment,
    /// Milliseconds since the Unix epoch.
    pub(crate) at_ms: u64,
}

/// Appends the list's element for a click. The job's id is the click's: pushing it twice is the same job. What it belongs to is said by
/// its trace, unless the caller gave it a name.
pub(crate) fn element(terms: &Fragment, visit: &Visit<'_>, trail: Option<&Trail>, into: &mut Vec<u8>) {
    let mut text = Element(into);
    let time = rfc3339(visit.at_ms);
    text.add(br#"{"id":""#).uuid(visit.click.as_uuid());
    text.add(br#"","kind":""#).add(RecordClick::KIND.as_bytes());
    text.add(br#"","payload":{"click_id":""#).uuid(visit.click.as_uuid()).add(br#"","#).add(&terms.0);
    if let Some(user) = visit.user {
        text.add(br#","user_id":""#).uuid(user.as_uuid()).add(br#"""#);
    }
    text.add(br#","class":""#).add(visit.class.word().as_bytes()).add(br#"""#);
    if !visit.reason.is_empty() {
        text.add(br#","reason":"#).json(visit.reason);
    }
    text.add(br#","client_hash":""#).hex(&visit.client_hash).add(br#"""#).add(&visit.user_agent.0);
    text.add(br#","clicked_at":""#).add(&time).add(br#""},"enqueued_at":""#).add(&time).add(br#"""#);
    if let Some(trail) = trail {
        if let Some(traceparent) = trail.traceparent() {
            // Nothing in it needs to be escaped: digits and dashes.
            text.add(br#","traceparent":""#).add(traceparent.as_bytes()).add(br#"""#);
        }
        if let Some(correlation) = trail.given_correlation() {
            text.add(br#","correlation_id":"#).json(correlation);
        }
    }
    text.add(b"}");
}

struct Element<'a>(&'a mut Vec<u8>);

impl Element<'_> {
    fn add(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn uuid(&mut self, id: Uuid) -> &mut Self {
        self.add(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes())
    }

    fn hex(&mut self, bytes: &[u8; 16]) -> &mut Self {
        let mut buffer = [0; 32];
        let _fits = hex::encode_to_slice(bytes, &mut buffer);
        self.add(&buffer)
    }

    fn json(&mut self, text: &str) {
        // A text can always be written as JSON, and memory does not fail.
        let _infallible = serde_json::to_writer(&mut *self.0, text);
    }
}

/// `2026-11-29T17:30:00.123Z`. The second is written once and remembered by the thread.
fn rfc3339(at_ms: u64) -> [u8; 24] {
    thread_local! {
        static LAST: Cell<(u64, [u8; 24])> = const { Cell::new((u64::MAX, [0; 24])) };
    }
    let (second, millis) = (at_ms / 1_000, at_ms % 1_000);
    let (known, mut text) = LAST.get();
    if known != second {
        let time =
            i64::try_from(second).ok().and_then(|second| DateTime::from_timestamp(second, 0)).unwrap_or_default();
        let whole = time.to_rfc3339_opts(SecondsFormat::Millis, true);
        // Of years beyond 9999, which have more digits, there are no clicks.
        text = whole.as_bytes().try_into().unwrap_or(*b"1970-01-01T00:00:00.000Z");
        LAST.set((second, text));
    }
    let digit = |value: u64| b'0' + u8::try_from(value % 10).unwrap_or(0);
    let [.., hundreds, tens, ones, _] = &mut text;
    (*hundreds, *tens, *ones) = (digit(millis / 100), digit(millis / 10), digit(millis));
    text
}

/// Turns addresses into what can be compared but not read.
#[derive(Clone)]
pub(crate) struct ClientHash(Hmac<Sha256>);

impl ClientHash {
    /// With a key of one's own; what was hashed with another key cannot be compared.
    pub(crate) fn new(key: &[u8]) -> Self {
        // HMAC takes keys of any length.
        Self(Hmac::new_from_slice(key).unwrap_or_else(|_any_length| Hmac::new(&[0; 64].into())))
    }

    /// 16 bytes of the client's hash.
    pub(crate) fn of(&self, client: Client) -> [u8; 16] {
        let mac = match client {
            Client::V4(address) => self.0.clone().chain_update(address.octets()),
            Client::V6(prefix) => self.0.clone().chain_update(prefix.to_be_bytes()),
        };
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        let mut short = [0; 16];
        short.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(class: ClickClass, reason: &str, user: Option<UserId>, cap: Option<Paise>) -> RecordClick {
        RecordClick {
            click_id: ClickId::generate(),
            offer_id: OfferId::generate(),
            merchant_id: MerchantId::generate(),
            network: Network::Cuelinks,
            user_id: user,
            rate: BasisPoints::new(5_000).unwrap(),
            cap,
            offer_version: 3,
            class,
            reason: reason.to_owned(),
            client_hash: hex::encode(ClientHash::new(b"key").of(Client::of("192.0.2.7".parse().unwrap()))),
            user_agent: "curl/8\"é\\".to_owned(),
            clicked_at: DateTime::from_timestamp_millis(1_790_000_000_123).unwrap(),
        }
    }

    fn written(click: &RecordClick, trail: Option<&Trail>) -> Vec<u8> {
        let terms = Fragment::of_terms(&Terms {
            offer_id: click.offer_id,
            merchant_id: click.merchant_id,
            network: click.network,
            rate: click.rate,
            cap: click.cap,
            offer_version: click.offer_version,
        });
        let visit = Visit {
            click: click.click_id,
            user: click.user_id,
            class: click.class,
            reason: &click.reason,
            client_hash: ClientHash::new(b"key").of(Client::of("192.0.2.7".parse().unwrap())),
            user_agent: &Fragment::of_user_agent("curl/8\u{7}\n\"é\\"),
            at_ms: u64::try_from(click.clicked_at.timestamp_millis()).unwrap(),
        };
        let mut bytes = Vec::new();
        element(&terms.unwrap(), &visit, trail, &mut bytes);
        bytes
    }

    #[test]
    fn an_element_is_read_back_by_the_queue() {
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trail = Trail::of(Some(traceparent), Some("shop-7"));
        for click in [
            meant(ClickClass::Bot, "user agent matches \"x\"", None, None),
            meant(ClickClass::Human, "", Some(UserId::generate()), Some(Paise::new(50_000))),
        ] {
            let bytes = written(&click, Some(&trail));
            let envelope = queue::Envelope::parse(&bytes).unwrap();
            assert_eq!(
                (envelope.traceparent.as_deref(), envelope.correlation_id.as_deref()),
                (Some(traceparent), Some("shop-7"))
            );
            assert_eq!(envelope.id.as_uuid(), click.click_id.as_uuid());
            assert_eq!(
                (envelope.kind.as_ref(), envelope.attempt, envelope.enqueued_at),
                ("click.record", 0, Some(click.clicked_at))
            );
            assert_eq!(serde_json::from_str::<RecordClick>(envelope.payload.get()).unwrap(), click);
            let alone = written(&click, None);
            let alone = queue::Envelope::parse(&alone).unwrap();
            assert_eq!((alone.traceparent.as_deref(), alone.correlation_id.as_deref()), (None, None));
        }
    }

    #[test]
    fn a_user_agent_is_cut_to_256_characters_and_none_is_left_out() {
        let long: String = "é".repeat(300);
        let member = String::from_utf8(Fragment::of_user_agent(&long).0.into()).unwrap();
        assert_eq!(member, format!(r#","user_agent":"{}""#, "é".repeat(256)));
        assert!(Fragment::of_user_agent("\u{7}").0.is_empty());
    }

    #[test]
    fn times_are_those_of_chrono() {
        for at_ms in [0, 1_790_000_000_007, 1_790_000_000_123, 1_790_000_001_000, 1_790_000_000_999, 951_782_400_010] {
            let time = DateTime::from_timestamp_millis(at_ms).unwrap();
            let text = rfc3339(u64::try_from(at_ms).unwrap());
            assert_eq!(std::str::from_utf8(&text), Ok(&*time.to_rfc3339_opts(SecondsFormat::Millis, true)));
        }
    }

    #[test]
    fn a_client_hash_depends_on_the_key_and_shows_no_address() {
        let client = Client::of("192.0.2.7".parse().unwrap());
        let (one, other) = (ClientHash::new(b"one").of(client), ClientHash::new(b"other").of(client));
        assert_eq!(one, ClientHash::new(b"one").of(client));
        assert!(one != other && !hex::encode(one).contains("c0000207"));
    }
}
