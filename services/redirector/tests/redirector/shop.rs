//! A shop with merchants and offers, and shoppers who click.

use std::collections::HashSet;

use domain::click::click_of;
use domain::clock::{Clock, SystemClock};
use domain::ids::{ClickId, MerchantId, OfferId};
use domain::jobs::click::RecordClick;
use domain::money::BasisPoints;
use domain::network::Network;
use kv::redis::{self, AsyncCommands};
use reqwest::{Client, Method, RequestBuilder, Response};
use store::catalogue::{self, Merchant, Offer};
use testkit::{Database, Redis, Service};

/// A phone of a kind that careless bot lists take for a bot.
pub(crate) const PHONE: &str = "Mozilla/5.0 (Linux; Android 13; CUBOT KINGKONG 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36";
pub(crate) const SESSION_SECRET: &str = "a-session-secret-of-decent-length";
pub(crate) const LINK_SECRET: &str = "a-link-secret-of-decent-length";

/// Stores and catalogue of a test.
pub(crate) struct Shop {
    pub(crate) database: Database,
    pub(crate) redis: Redis,
    pub(crate) spool: tempfile::TempDir,
    pub(crate) merchant: Merchant,
    pub(crate) offer: Offer,
    pub(crate) http: Client,
}

impl Shop {
    /// One merchant on Admitad with one offer.
    pub(crate) async fn open() -> Self {
        let (database, redis) = (Database::start().await, Redis::durable());
        let merchant = Merchant {
            id: MerchantId::generate(),
            name: "Shop".to_owned(),
            network: Network::Admitad,
            campaign_id: "1".to_owned(),
            tracking_template: "https://ad.admitad.com/g/HASH/?ulp={url}&subid={click_id}&subid4={click_id}".to_owned(),
            allowed_hosts: vec!["shop.in".to_owned(), "*.shop.in".to_owned()],
            landing_url: "https://shop.in/".to_owned(),
            cashback: BasisPoints::new(5_000).unwrap(),
            cashback_cap: None,
            active: true,
            version: 1,
            updated_at: SystemClock.now(),
        };
        let offer = offer_of(&merchant);
        let client = database.pool().get().await.unwrap();
        catalogue::insert_merchant(&client, &merchant).await.unwrap();
        catalogue::insert_offer(&client, &offer).await.unwrap();
        Self { database, redis, spool: tempfile::tempdir().unwrap(), merchant, offer, http: testkit::http() }
    }

    /// Adds an offer of the merchant.
    pub(crate) async fn add_offer(&self, change: impl FnOnce(&mut Offer)) -> OfferId {
        let mut offer = offer_of(&self.merchant);
        change(&mut offer);
        catalogue::insert_offer(&self.database.pool().get().await.unwrap(), &offer).await.unwrap();
        offer.id
    }

    /// Gives the merchant a template that loses clicks, past every door of ours: by hand, say.
    pub(crate) async fn spoil_template(&self, client: &store::Client) {
        let wrong = "https://ad.admitad.com/g/HASH/?subid3={click_id}&x={your-sub-aff-id}";
        let rows = client
            .execute("UPDATE merchants SET tracking_template = $2 WHERE id = $1", &[&self.merchant.id, &wrong])
            .await
            .unwrap();
        assert_eq!(rows, 1);
    }

    /// A running redirector. All of the tests' requests come from a trusted proxy.
    pub(crate) fn redirector(&self, settings: &[(&str, &str)]) -> Service {
        let (database, redis) = (self.database.url(), self.redis.url());
        let mut all = vec![
            ("DATABASE_URL", database.as_str()),
            ("REDIS_URL", redis.as_str()),
            ("REDIRECT_SPOOL_DIR", self.spool.path().to_str().unwrap()),
            ("TRUSTED_PROXIES", "127.0.0.0/8"),
            ("HTTP_WORKERS", "2"),
            ("JWT_SECRET", SESSION_SECRET),
            ("REDIRECT_LINK_SECRET", LINK_SECRET),
            ("REDIRECT_STATS_TOKEN", "a-stats-token"),
            ("DATABASE_MAX_CONNECTIONS", "4"),
        ];
        all.extend(settings);
        Service::start("redirector", &all)
    }

    /// A click of a phone at `client`.
    pub(crate) fn click(&self, service: &Service, offer: impl std::fmt::Display, client: &str) -> RequestBuilder {
        self.visit(service, Method::GET, &format!("/out/{offer}"), client).header("user-agent", PHONE)
    }

    /// A request from `client`, without a user agent.
    pub(crate) fn visit(&self, service: &Service, method: Method, path: &str, client: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", service.http())).header("x-forwarded-for", client)
    }

    /// A connection to the test's Redis.
    pub(crate) async fn connection(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// The clicks on the list, oldest first.
    pub(crate) async fn clicks(&self) -> Vec<RecordClick> {
        let elements: Vec<Vec<u8>> = self.connection().await.lrange("queue:clicks", 0, -1).await.unwrap();
        let click = |element: &Vec<u8>| {
            let envelope = queue::Envelope::parse(element).unwrap();
            assert_eq!(envelope.kind, "click.record");
            serde_json::from_str(envelope.payload.get()).unwrap()
        };
        elements.iter().map(click).collect()
    }

    /// Their ids, once each.
    pub(crate) async fn click_ids(&self) -> HashSet<ClickId> {
        self.clicks().await.iter().map(|click| click.click_id).collect()
    }
}

fn offer_of(merchant: &Merchant) -> Offer {
    Offer {
        id: OfferId::generate(),
        merchant_id: merchant.id,
        title: "Shoes".to_owned(),
        target_url: "https://www.shop.in/shoes?size=9&colour=red".to_owned(),
        cashback: None,
        cashback_cap: None,
        active: true,
        expires_at: None,
        version: 1,
        updated_at: SystemClock.now(),
    }
}

/// Where an answer leads.
pub(crate) fn location(answer: &Response) -> url::Url {
    answer.headers()["location"].to_str().unwrap().parse().unwrap()
}

/// The click in a link's sub-id.
pub(crate) fn click_in(answer: &Response) -> ClickId {
    let link = location(answer);
    let sub_id = link.query_pairs().find(|(name, _)| name == "subid").unwrap().1;
    click_of(&sub_id).unwrap()
}

/// A token as the backend makes it.
pub(crate) fn token(secret: &str, claims: &serde_json::Value) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use hmac::{Hmac, KeyInit, Mac};
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&serde_json::json!({"alg": "HS256", "typ": "JWT"})), part(claims));
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&signed).finalize();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.into_bytes()))
}
