//! A click as it goes onto the list.

use chrono::{DateTime, Utc};
use domain::ids::{ClickId, JobId};
use domain::job::Job;
use domain::jobs::click::RecordClick;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use telemetry::Trail;

use crate::client::Client;

/// The longest `User-Agent` that is kept, in characters.
const MAX_USER_AGENT: usize = 256;

/// The envelope of `queue::Envelope`, written in one go. The job's id is the click's: pushing it twice is the same job.
#[derive(Serialize)]
struct Envelope<'a> {
    id: JobId,
    kind: &'static str,
    payload: &'a RecordClick,
    enqueued_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
}

/// The list's element for a click. What it belongs to is said by its trace, unless the caller gave it a name.
pub(crate) fn element(click: &RecordClick, trail: Option<&Trail>) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(640);
    let envelope = Envelope {
        id: JobId::from_uuid(ClickId::as_uuid(&click.click_id)),
        kind: RecordClick::KIND,
        payload: click,
        enqueued_at: click.clicked_at,
        traceparent: trail.and_then(Trail::traceparent),
        correlation_id: trail.and_then(Trail::given_correlation),
    };
    serde_json::to_writer(&mut bytes, &envelope)?;
    Ok(bytes)
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

    /// 16 bytes, hexadecimal.
    pub(crate) fn of(&self, client: Client) -> String {
        let mac = match client {
            Client::V4(address) => self.0.clone().chain_update(address.octets()),
            Client::V6(prefix) => self.0.clone().chain_update(prefix.to_be_bytes()),
        };
        let digest = mac.finalize().into_bytes();
        hex::encode(digest.get(..16).unwrap_or(&digest))
    }
}

/// A `User-Agent` as it is kept: cut, without control characters.
pub(crate) fn user_agent(text: &str) -> String {
    if text.len() <= MAX_USER_AGENT && !text.bytes().any(|byte| byte.is_ascii_control()) && text.is_ascii() {
        return text.to_owned();
    }
    text.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT).collect()
}

#[cfg(test)]
mod tests {
    use domain::click::ClickClass;
    use domain::ids::{MerchantId, OfferId};
    use domain::money::BasisPoints;
    use domain::network::Network;

    use super::*;

    #[test]
    fn an_element_is_read_back_by_the_queue() {
        let click = RecordClick {
            click_id: ClickId::generate(),
            offer_id: OfferId::generate(),
            merchant_id: MerchantId::generate(),
            network: Network::Cuelinks,
            user_id: None,
            rate: BasisPoints::new(5_000).unwrap(),
            cap: None,
            offer_version: 3,
            class: ClickClass::Bot,
            reason: "user agent matches \"x\"".to_owned(),
            client_hash: ClientHash::new(b"key").of(Client::of("192.0.2.7".parse().unwrap())),
            user_agent: user_agent("curl/8\u{7}\n\"é"),
            clicked_at: DateTime::from_timestamp_millis(1_790_000_000_123).unwrap(),
        };
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let bytes = element(&click, Some(&Trail::of(Some(traceparent), Some("shop-7")))).unwrap();
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
        assert_eq!(click.user_agent, "curl/8\"é");
    }

    #[test]
    fn a_client_hash_depends_on_the_key_and_shows_no_address() {
        let client = Client::of("192.0.2.7".parse().unwrap());
        let (one, other) = (ClientHash::new(b"one").of(client), ClientHash::new(b"other").of(client));
        assert_eq!(one, ClientHash::new(b"one").of(client));
        assert!(one != other && one.len() == 32 && !one.contains("192"));
    }
}
