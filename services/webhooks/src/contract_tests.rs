//! What every source must keep, whoever writes it: a genuine request is taken once, a tampered one not at all.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use actix_web::test as web_test;
use actix_web::{App, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chassis::remote::Networks;
use chrono::{DateTime, Utc};
use config::{Map, Reader};
use domain::clock::{Clock, SystemClock};
use hmac::{Hmac, KeyInit, Mac};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use sha2::Sha256;
use testkit::{Database, Redis, eventually_true};
use tokio_util::task::TaskTracker;

use crate::intake::Intake;
use crate::push::Pusher;
use crate::receive::{Reception, routes};
use crate::sources::Sources;

/// A request that a source would verify.
pub(crate) struct Example {
    method: Method,
    token: Option<String>,
    query: String,
    body: Vec<u8>,
    headers: Vec<(String, String)>,
    queue: &'static str,
}

impl Example {
    pub(crate) fn post(media_type: &str, body: &str) -> Self {
        let headers = vec![("content-type".to_owned(), media_type.to_owned())];
        Self { method: Method::POST, token: None, query: String::new(), body: body.into(), headers, queue: "" }
    }

    pub(crate) fn get(query: &str) -> Self {
        Self {
            method: Method::GET,
            query: query.to_owned(),
            body: Vec::new(),
            headers: Vec::new(),
            ..Self::post("", "")
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// The queue that its job goes to.
    pub(crate) fn queued(mut self, queue: &'static str) -> Self {
        self.queue = queue;
        self
    }

    fn request(&self, slug: &str) -> web_test::TestRequest {
        let token = self.token.as_ref().map(|token| format!("/{token}")).unwrap_or_default();
        let request = web_test::TestRequest::with_uri(&format!("/webhooks/{slug}{token}?{}", self.query));
        let request = request.method(self.method.clone()).set_payload(self.body.clone());
        self.headers
            .iter()
            .fold(request, |request, (name, value)| request.append_header((name.as_str(), value.as_str())))
    }

    /// The same with one thing changed that a forger would have to get right.
    fn tampered(mut self) -> Self {
        match &mut self.token {
            Some(token) => token.replace_range(..1, if token.starts_with('0') { "1" } else { "0" }),
            None => self.body[0] ^= 1,
        }
        self
    }
}

/// HMAC-SHA256 in hexadecimal.
pub(crate) fn hmac_hex(secret: &str, message: &[u8]) -> String {
    hex::encode(
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(message).finalize().into_bytes(),
    )
}

const P256_KEY: [u8; 32] = [7; 32];

fn p256() -> EcdsaKeyPair {
    // The public point of the private key above.
    let scalar = p256::ecdsa::SigningKey::from_slice(&P256_KEY).unwrap();
    let point = scalar.verifying_key().to_sec1_point(false);
    let random = SystemRandom::new();
    EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_ASN1_SIGNING, &P256_KEY, point.as_bytes(), &random)
        .unwrap()
}

/// Base64 of a signature by the test's key.
pub(crate) fn sign_p256(message: &[u8]) -> String {
    STANDARD.encode(p256().sign(&SystemRandom::new(), message).unwrap())
}

fn p256_public() -> String {
    let mut der = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    der.extend_from_slice(p256().public_key().as_ref());
    STANDARD.encode(der)
}

/// Settings in which every source has its secret; `extra` wins.
pub(crate) fn settings(extra: &[(&str, &str)]) -> Map {
    let public = p256_public();
    let token = "0123456789abcdef0123456789";
    let mut pairs = vec![
        ("WEBHOOK_SOURCES", "razorpay,razorpayx,admitad,vcommission,cuelinks,sendgrid,msg91"),
        ("RAZORPAY_WEBHOOK_SECRET", "razorpay-secret"),
        ("RAZORPAYX_WEBHOOK_SECRET", "razorpayx-secret"),
        ("ADMITAD_POSTBACK_TOKEN", token),
        ("VCOMMISSION_POSTBACK_TOKEN", token),
        ("CUELINKS_POSTBACK_TOKEN", token),
        ("CUELINKS_POSTBACK_CONSTANT", "constant-token"),
        ("MSG91_REPORT_TOKEN", token),
        ("SENDGRID_WEBHOOK_PUBLIC_KEY", public.as_str()),
    ];
    pairs.retain(|(key, _)| !extra.iter().any(|(other, _)| other == key));
    pairs.extend(extra);
    // A map is made from an array of a fixed length; the spare places hold a setting that nobody reads.
    let mut array = [("UNUSED", "-"); 16];
    array[..pairs.len()].copy_from_slice(&pairs);
    Map::from(array)
}

fn sources(extra: &[(&str, &str)]) -> Result<Sources, String> {
    let map = settings(extra);
    let mut reader = Reader::new(&map);
    let sources = Sources::read(&mut reader);
    reader.finish(sources).map_err(|problems| problems.to_string())
}

#[test]
fn a_source_without_its_secret_does_not_start() {
    for key in [
        "RAZORPAY_WEBHOOK_SECRET",
        "RAZORPAYX_WEBHOOK_SECRET",
        "ADMITAD_POSTBACK_TOKEN",
        "VCOMMISSION_POSTBACK_TOKEN",
        "CUELINKS_POSTBACK_TOKEN",
        "MSG91_REPORT_TOKEN",
        "SENDGRID_WEBHOOK_PUBLIC_KEY",
    ] {
        let problems = sources(&[(key, "")]).unwrap_err();
        assert!(problems.contains(&format!("{key} is not set")), "{problems}");
    }
    assert!(sources(&[("WEBHOOK_SOURCES", "razorpay,nobody")]).unwrap_err().contains("\"nobody\" is not a source"));
    let only = sources(&[("WEBHOOK_SOURCES", "razorpay"), ("MSG91_REPORT_TOKEN", "")]).unwrap();
    assert_eq!(format!("{only:?}"), "[\"razorpay\"]", "what is switched off needs no secret");
}

/// Every source by HTTP, on a real Postgres and Redis.
#[actix_web::test]
async fn every_source_takes_its_example_once_and_a_tampered_one_never() {
    let (database, redis) = (Database::start().await, Redis::start());
    let url = redis.url();
    let map = Map::from([("REDIS_URL", url.as_str())]);
    let mut reader = Reader::new(&map);
    let kv_settings = kv::Settings::read(&mut reader);
    let intake_settings = crate::intake::Settings::read(&mut reader);
    let push_settings = crate::push::Settings::read(&mut reader);
    let kv = kv::Kv::connect(&reader.finish(kv_settings).unwrap()).unwrap();
    let (pool, tasks) = (database.pool(), TaskTracker::new());
    let pusher = Pusher::start(&push_settings, &pool, &kv, &tasks);
    let intake = Intake::start(&intake_settings, &pool, &kv, &pusher, &tasks);
    let sources = sources(&[]).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let reception = web::Data::new(Reception::new(sources.clone(), intake, Networks::default(), clock));
    let app = web_test::init_service(App::new().configure(move |config| routes(config, reception))).await;
    let client = database.client().await;
    let now: DateTime<Utc> = SystemClock.now();
    let soon = Duration::from_secs(10);

    assert_eq!(sources.iter().count(), 7);
    for source in sources.iter() {
        let slug = source.slug();
        let count = async |what: &str| -> i64 { client.query_one(what, &[&slug]).await.unwrap().get(0) };
        let forged = web_test::call_service(&app, source.example(now).tampered().request(slug).to_request()).await;
        assert_eq!(forged.status(), StatusCode::UNAUTHORIZED, "{slug}: tampered");
        let logged = "SELECT count(*) FROM webhook_logs WHERE source = $1 AND verdict = 'rejected'";
        eventually_true("the rejected request is logged", soon, async || count(logged).await == 1).await;
        assert_eq!(count("SELECT count(*) FROM webhook_receipts WHERE source = $1").await, 0, "{slug}");

        for (turn, verdict) in [(1, "accepted"), (2, "duplicate"), (3, "duplicate")] {
            let example = source.example(now);
            let answer = web_test::call_service(&app, example.request(slug).to_request()).await;
            assert_eq!(answer.status(), StatusCode::OK, "{slug}, time {turn}");
            let body = web_test::read_body(answer).await;
            assert_eq!(String::from_utf8_lossy(&body), format!("{{\"verdict\":\"{verdict}\"}}"), "{slug}, time {turn}");
        }
        let accepted = "SELECT count(*) FROM webhook_logs WHERE source = $1 AND verdict = 'accepted'";
        assert_eq!(count(accepted).await, 1, "{slug}");
        let queue: domain::job::Queue = source.example(now).queue.parse().unwrap();
        eventually_true("its job is pushed, and forgotten here", soon, async || {
            let waiting = queue::admin::stats(&kv, queue).await.unwrap().waiting;
            let pending: i64 = client.query_one("SELECT count(*) FROM webhook_pending", &[]).await.unwrap().get(0);
            waiting > 0 && pending == 0
        })
        .await;
        let row = client
            .query_one(
                "SELECT body, headers::text FROM webhook_logs WHERE source = $1 AND verdict = 'accepted'",
                &[&slug],
            )
            .await
            .unwrap();
        let kept = format!("{} {}", String::from_utf8_lossy(row.get(0)), row.get::<_, String>(1));
        for secret in ["constant-token", "0123456789abcdef", "192.0.2.1", "signature"] {
            assert!(!kept.contains(secret), "{slug} keeps {secret}: {kept}");
        }
    }
    let bodies = queue::admin::peek(&kv, domain::job::Queue::Payments, 10).await.unwrap();
    assert_eq!(bodies.len(), 2, "one of razorpay, one of razorpayx, each once");
}
