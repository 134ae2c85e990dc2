//! Each sender's `verify` and `decode`: what is signed is believed, what is not is not, and what was believed is read alike from
//! the request and from what is kept of it.

use std::sync::OnceLock;

use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use config::Reader;
use domain::ids::WebhookId;
use hmac::{Hmac, KeyInit, Mac};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use sha2::Sha256;
use store::webhooks::Verdict;
use url::form_urlencoded;

use crate::proof;
use crate::service::payments::event::Event;
use crate::source::{Effect, Request, Verified, WebhookSource, is_word};
use crate::sources::{Sources, msg91 as reports, sendgrid as batches};
use crate::{Pairs, head_and_body};

const NOW: i64 = 1_790_000_005;
const TOKEN: &str = "0123456789abcdef0123456789";
const SECRET: &str = "a-secret-of-decent-length";
const CONSTANT: &str = "9876543210fedcba9876543210";
/// What of a postback is not kept, whichever network sends it.
const NOT_KEPT: [(&str, &[&str]); 3] = [
    ("admitad", &["country_code", "user_agent", "user_referer", "action_ip", "sig"]),
    ("vcommission", &["ip", "city", "region", "device", "sig"]),
    ("cuelinks", &["ip", "user_agent", "token", "sig"]),
];

struct Senders {
    plain: Sources,
    /// Networks that prove more than their path: an HMAC behind all else, Cuelinks a constant as well.
    proven: Sources,
    sendgrid_key: EcdsaKeyPair,
}

fn senders() -> &'static Senders {
    static SENDERS: OnceLock<Senders> = OnceLock::new();
    SENDERS.get_or_init(|| {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("a key");
        let sendgrid_key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref(), &random).expect("a key");
        let header = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").expect("hexadecimal");
        let public = STANDARD.encode([header.as_slice(), sendgrid_key.public_key().as_ref()].concat());
        let always = [
            ("WEBHOOK_SOURCES", "razorpay,razorpayx,admitad,vcommission,cuelinks,sendgrid,msg91"),
            ("RAZORPAY_WEBHOOK_SECRET", SECRET),
            ("RAZORPAYX_WEBHOOK_SECRET", SECRET),
            ("ADMITAD_POSTBACK_TOKEN", TOKEN),
            ("VCOMMISSION_POSTBACK_TOKEN", TOKEN),
            ("CUELINKS_POSTBACK_TOKEN", TOKEN),
            ("MSG91_REPORT_TOKEN", TOKEN),
            ("SENDGRID_WEBHOOK_PUBLIC_KEY", public.as_str()),
        ];
        let proven = [
            ("ADMITAD_POSTBACK_HMAC_SECRET", SECRET),
            ("VCOMMISSION_POSTBACK_HMAC_SECRET", SECRET),
            ("CUELINKS_POSTBACK_HMAC_SECRET", SECRET),
            ("CUELINKS_POSTBACK_CONSTANT", CONSTANT),
        ];
        let read = |more: &[(&'static str, &str)]| {
            let pairs = always.iter().chain(more).map(|(name, value)| (*name, (*value).to_owned()));
            let source = Pairs(pairs.collect());
            let mut reader = Reader::new(&source);
            let sources = Sources::read(&mut reader);
            reader.finish(sources).expect("good settings")
        };
        Senders { plain: read(&[]), proven: read(&proven), sendgrid_key }
    })
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(NOW, 0).expect("a time")
}

fn hmac(message: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key of any length");
    hex::encode(mac.chain_update(message).finalize().into_bytes())
}

/// A request; none when the fuzzer's bytes cannot be a header.
struct Incoming<'a> {
    headers: HeaderMap,
    token: Option<&'a str>,
    query: &'a str,
    body: &'a [u8],
}

impl<'a> Incoming<'a> {
    fn new(body: &'a [u8]) -> Self {
        Self { headers: HeaderMap::new(), token: None, query: "", body }
    }

    fn header(mut self, name: &'static str, value: &[u8]) -> Option<Self> {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?);
        Some(self)
    }

    fn request(&self) -> Request<'_> {
        let method = if self.query.is_empty() { &Method::POST } else { &Method::GET };
        let remote = [192, 0, 2, 1].into();
        Request {
            method,
            headers: &self.headers,
            token: self.token,
            query: self.query,
            body: self.body,
            remote,
            received_at: now(),
        }
    }

    fn is_believed(&self, source: &dyn WebhookSource) -> bool {
        source.verify(&self.request()).is_ok()
    }

    /// Reads what must be believed, as the service does: from the request, and again from what it keeps.
    fn read(&self, source: &dyn WebhookSource) {
        let request = self.request();
        let verified = source.verify(&request).expect("what is signed is believed");
        let id = WebhookId::generate();
        let event_id = source.event_id(&verified);
        assert!(is_word(&event_id), "{event_id:?}");
        assert_eq!(source.body_key(&verified), source.body_key(&verified));
        let kept = source.kept(&verified);
        let decoded = source.decode(&verified, id);
        let Ok(decoded) = decoded else { return };
        assert!(decoded.event.len() <= 120 && !decoded.event.chars().any(char::is_control), "{:?}", decoded.event);
        let proof = proof::stored(Verdict::Accepted).expect("accepted counts");
        let again = Verified::new(proof, &kept, now()).with_event_id(Some(&event_id));
        let again = source.decode(&again, id).expect("what was read can be read from what is kept");
        assert_eq!((again.event, &again.effect), (decoded.event, &decoded.effect));
        if let Some(Effect::Hint(hint)) = &decoded.effect {
            assert!(hint.external_transaction_id.is_some() || hint.sub_id.is_some());
        }
        if let Some(effect) = &decoded.effect {
            effect.promise().expect("a job can be written");
        }
    }
}

fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes
}

fn source(slug: &str) -> &'static dyn WebhookSource {
    senders().plain.get(slug).expect("a source")
}

/// `EVENT_ID\nBODY`; the first line is tried as a signature as well.
pub fn razorpay(data: &[u8]) {
    for slug in ["razorpay", "razorpayx"] {
        razorpay_as(source(slug), data);
    }
}

fn razorpay_as(source: &dyn WebhookSource, data: &[u8]) {
    let (head, body) = head_and_body(data);
    let spoiled = flipped(body);
    let signed = |body, signature: &[u8]| {
        Incoming::new(body).header("x-razorpay-signature", signature)?.header("x-razorpay-event-id", head)
    };
    let signature = hmac(body);
    if let Some(forged) = signed(body, head) {
        assert!(!forged.is_believed(source) || head.eq_ignore_ascii_case(signature.as_bytes()));
    }
    let Some(genuine) = signed(body, signature.as_bytes()) else { return };
    genuine.read(source);
    if !body.is_empty() {
        let forged = signed(&spoiled, signature.as_bytes()).expect("the same headers");
        assert!(!forged.is_believed(source));
    }
    let request = genuine.request();
    let verified = source.verify(&request).expect("signed");
    if let Ok(event) = Event::parse(&verified) {
        let (_any, _time) = (event.kind(), event.at());
    }
}

/// `TIMESTAMP\nBODY`; the first line is tried as a signature as well.
pub fn sendgrid(data: &[u8]) {
    let (head, body) = head_and_body(data);
    let spoiled = flipped(body);
    let source = source("sendgrid");
    let signed = |body, signature: &[u8], timestamp: &[u8]| {
        Incoming::new(body)
            .header("x-twilio-email-event-webhook-signature", signature)?
            .header("x-twilio-email-event-webhook-timestamp", timestamp)
    };
    let sign = |timestamp: &[u8]| {
        let message = [timestamp, body].concat();
        let signature = senders().sendgrid_key.sign(&SystemRandom::new(), &message).expect("signed");
        STANDARD.encode(signature)
    };
    if let Some(forged) = signed(body, head, b"1790000005") {
        assert!(!forged.is_believed(source));
    }
    // Whatever the timestamp says, it is believed within 300 seconds only.
    if let Some(odd) = signed(body, sign(head).as_bytes(), head)
        && odd.is_believed(source)
    {
        let seconds: i64 = std::str::from_utf8(head).expect("a number").parse().expect("a number");
        assert!((seconds - NOW).abs() <= 300, "{seconds}");
    }
    let timestamp = NOW.to_string();
    let signature = sign(timestamp.as_bytes());
    let genuine = signed(body, signature.as_bytes(), timestamp.as_bytes()).expect("good headers");
    genuine.read(source);
    if !body.is_empty() {
        let forged = signed(&spoiled, signature.as_bytes(), timestamp.as_bytes()).expect("good headers");
        assert!(!forged.is_believed(source));
    }
    let request = genuine.request();
    let verified = source.verify(&request).expect("signed");
    let _any = batches::events(&verified);
}

/// `TOKEN\nBODY`.
pub fn msg91(data: &[u8]) {
    let (head, body) = head_and_body(data);
    let source = source("msg91");
    let Ok(claimed) = std::str::from_utf8(head) else { return };
    let mut incoming = Incoming { token: Some(claimed), ..Incoming::new(body) };
    assert_eq!(incoming.is_believed(source), claimed == TOKEN);
    incoming.token = Some(TOKEN);
    incoming.read(source);
    let request = incoming.request();
    let verified = source.verify(&request).expect("the token");
    for report in reports::reports(&verified).into_iter().flatten() {
        assert!(report.status.chars().count() <= 160 && report.reason.chars().count() <= 200);
    }
}

/// `QUERY\nBODY`: a GET if there is a query, else a POST.
pub fn postback(data: &[u8]) {
    let (head, body) = head_and_body(data);
    let Ok(query) = std::str::from_utf8(head) else { return };
    for (slug, personal) in NOT_KEPT {
        let source = source(slug);
        let mut incoming = Incoming { query, ..Incoming::new(body) };
        assert!(!incoming.is_believed(source));
        incoming.token = Some(TOKEN);
        incoming.read(source);
        let request = incoming.request();
        let kept = source.kept(&source.verify(&request).expect("the token"));
        if kept.first() != Some(&b'{') {
            let left =
                form_urlencoded::parse(&kept).find(|(name, value)| personal.contains(&&**name) && !value.is_empty());
            assert_eq!(left, None);
        }
        let proven = senders().proven.get(slug).expect("a source");
        assert!(!incoming.is_believed(proven));
        proven_postback(proven, query, body);
    }
}

/// Signed, and with the constant, it is believed by either method; without the constant Cuelinks' is not.
fn proven_postback(source: &dyn WebhookSource, query: &str, body: &[u8]) {
    let signed = |text: &str| format!("{text}&sig={}", hmac(text.as_bytes()));
    let has_constant = source.slug() == "cuelinks";
    for (text, is_query) in [(Some(query), true), (std::str::from_utf8(body).ok(), false)] {
        let Some(text) = text else { continue };
        let parts = [signed(text), signed(&format!("token={CONSTANT}&{text}"))];
        for (text, is_believed) in parts.iter().zip([!has_constant, true]) {
            let (query, body) = if is_query { (text.as_str(), &[][..]) } else { ("", text.as_bytes()) };
            let incoming = Incoming { query, token: Some(TOKEN), ..Incoming::new(body) };
            if is_believed {
                incoming.read(source);
            } else {
                assert!(!incoming.is_believed(source) || text.contains(CONSTANT));
            }
        }
    }
}
