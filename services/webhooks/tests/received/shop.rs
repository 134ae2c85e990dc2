//! A shop whose webhooks arrive.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::ids::{MerchantId, OrderId, ProductId, UserId, VoucherCodeId};
use domain::job::Queue;
use domain::jobs::Language;
use domain::wallet::{Account, Transfer, TransferKind};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::StatusCode;
use sha2::Sha256;
use store::{Client, Pool, users, vouchers};
use testkit::{Database, Redis, Service, eventually_true};

pub(crate) const SECRET: &str = "synthetic-webhook-secret";
pub(crate) const TOKEN: &str = "0123456789abcdef01234567";
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) struct Shop {
    pub(crate) database: Database,
    pub(crate) redis: Redis,
    pub(crate) pool: Pool,
    pub(crate) http: reqwest::Client,
    service: Option<Service>,
    environment: Vec<(String, String)>,
    events: AtomicU32,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with(&[]).await
    }

    pub(crate) async fn open_with(extra: &[(&str, &str)]) -> Self {
        let (database, redis) = (Database::start().await, Redis::durable());
        let (url, redis_url) = (database.url(), redis.url());
        let mut environment = vec![
            ("DATABASE_URL", url.as_str()),
            ("REDIS_URL", redis_url.as_str()),
            ("WEBHOOK_SOURCES", "razorpay,admitad,msg91"),
            ("RAZORPAY_WEBHOOK_SECRET", SECRET),
            ("ADMITAD_POSTBACK_TOKEN", TOKEN),
            ("MSG91_REPORT_TOKEN", TOKEN),
            ("ALERT_EMAILS", "ops@example.in"),
            ("WEBHOOK_SWEEP_MS", "200"),
        ];
        environment.retain(|(key, _)| !extra.iter().any(|(other, _)| other == key));
        environment.extend(extra);
        let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let pool = database.pool();
        let mut shop = Self {
            database,
            redis,
            pool,
            http: testkit::http(),
            service: None,
            environment,
            events: AtomicU32::new(0),
        };
        shop.start();
        shop
    }

    /// Starts the service, on another port each time.
    pub(crate) fn start(&mut self) {
        let environment: Vec<_> = self.environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.service = Some(Service::start("webhooks", &environment));
    }

    pub(crate) fn service(&mut self) -> &mut Service {
        self.service.as_mut().expect("it runs")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.service.as_ref().expect("it runs").http())
    }

    pub(crate) async fn client(&self) -> Client {
        self.pool.get().await.expect("a connection")
    }

    /// Sends an event of Razorpay's under a fresh id.
    pub(crate) async fn razorpay(&self, body: &str) -> StatusCode {
        let number = self.events.fetch_add(1, Ordering::Relaxed);
        self.razorpay_as(&format!("evt{number:08}"), body).await
    }

    /// Sends an event of Razorpay's under this id.
    pub(crate) async fn razorpay_as(&self, event_id: &str, body: &str) -> StatusCode {
        let request = signed(self.http.post(self.url("/webhooks/razorpay")), event_id, body);
        request.send().await.expect("an answer").status()
    }

    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.client().await.query_one(sql, &[]).await.expect("a count").get(0)
    }

    pub(crate) async fn text(&self, sql: &str) -> String {
        self.client().await.query_one(sql, &[]).await.expect("a text").get(0)
    }

    /// Waits until so many webhooks had their effect.
    pub(crate) async fn worked_off(&self, expected: i64) {
        let count = "SELECT count(*) FROM webhook_effects WHERE replay_id IS NULL";
        eventually_true(&format!("{expected} webhooks are worked off"), SOON, async || {
            self.count(count).await >= expected
        })
        .await;
        assert_eq!(self.count(count).await, expected);
    }

    pub(crate) async fn shopper(&self) -> UserId {
        let (id, mobile) = (UserId::generate(), "+919800000001".parse().expect("a number"));
        let email = "asha@example.in".parse().expect("an address");
        let client = self.client().await;
        users::insert(&client, id, "Asha", Some(&email), Some(mobile), Language::En).await.expect("a shopper");
        id
    }

    /// A voucher of 499 rupees with so many codes in stock.
    pub(crate) async fn product(&self, codes: usize) -> ProductId {
        let (client, id) = (self.client().await, ProductId::generate());
        let none: Option<MerchantId> = None;
        client
            .execute(
                "INSERT INTO products (id, merchant_id, title, face_value_paise, price_paise, kind) VALUES ($1, $2, $3, 50000, 49900, 'voucher')",
                &[&id, &none, &"Demo voucher"],
            )
            .await
            .expect("a product");
        self.add_codes(id, codes).await;
        id
    }

    pub(crate) async fn add_codes(&self, product: ProductId, codes: usize) {
        let client = self.client().await;
        let cipher: vouchers::Cipher = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".parse().expect("a key");
        for number in 0..codes {
            let code = VoucherCodeId::generate();
            let sealed = cipher.seal(code, &format!("CODE-{number}")).expect("sealed");
            vouchers::insert(&client, code, product, &sealed).await.expect("a code");
        }
    }

    /// An order that Razorpay knows by `provider_id`.
    pub(crate) async fn order(&self, user: UserId, provider_id: &str, product: ProductId, quantity: i32) -> OrderId {
        let id = OrderId::generate();
        let lines = [(product, quantity)];
        store::orders::create(&self.client().await, id, user, provider_id, &lines).await.expect("an order");
        id
    }

    /// Puts money into a wallet.
    pub(crate) async fn credit(&self, user: UserId, rupees: i64) {
        let transfer = Transfer {
            debit: Account::CashbackExpense,
            credit: Account::User(user),
            amount: domain::money::Paise::from_rupees(rupees).expect("in range"),
            kind: TransferKind::CashbackCredit,
            key: format!("test:{user}"),
            reason: serde_json::json!({}),
        };
        store::wallet::post(&self.client().await, &transfer).await.expect("credited");
    }

    pub(crate) fn kv(&self) -> kv::Kv {
        testkit::kv(&self.redis.url())
    }

    pub(crate) async fn dead(&self, queue: Queue) -> Vec<queue::admin::DeadLetter> {
        queue::admin::dead_letters(&self.kv(), queue, 0, 100).await.expect("dead letters")
    }
}

/// Signs an event as Razorpay does.
pub(crate) fn signed(request: reqwest::RequestBuilder, event_id: &str, body: &str) -> reqwest::RequestBuilder {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
    let signature = hex::encode(mac.chain_update(body.as_bytes()).finalize().into_bytes());
    request
        .header("content-type", "application/json")
        .header("x-razorpay-event-id", event_id)
        .header("x-razorpay-signature", signature)
        .body(body.to_owned())
}
