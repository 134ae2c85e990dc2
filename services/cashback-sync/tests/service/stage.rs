//! A running cashback-sync with everything around it.

use std::time::Duration;

use chrono::Utc;
use domain::click::{ClickClass, sub_id};
use domain::ids::{ClickId, MerchantId, OfferId, UserId};
use domain::job::{Job, Queue};
use domain::jobs::Language;
use domain::jobs::click::RecordClick;
use domain::money::{BasisPoints, Paise};
use domain::network::Network;
use kv::Kv;
use kv::redis::AsyncCommands;
use queue::Producer;
use serde_json::{Value, json};
use store::catalogue::{self, Merchant, Offer};
use store::{Client, Pool, users, wallet};
use testkit::{Database, Redis, Service, Sim, eventually, eventually_true};

pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    pub(crate) service: Option<Service>,
    pub(crate) sim: Sim,
    pub(crate) pool: Pool,
    pub(crate) kv: Kv,
    pub(crate) merchant: MerchantId,
    pub(crate) offer: OfferId,
    pub(crate) environment: Vec<(String, String)>,
    _redis: Redis,
    _database: Database,
}

impl Stage {
    /// Everything but the service.
    pub(crate) async fn empty() -> Self {
        let (database, redis, sim) = (Database::start().await, Redis::start(), Sim::start());
        let pool = database.pool();
        let kv = testkit::kv(&redis.url());
        let (merchant, offer) = (MerchantId::generate(), OfferId::generate());
        let client = pool.get().await.unwrap();
        catalogue::insert_merchant(
            &client,
            &Merchant {
                id: merchant,
                name: "Shoes".to_owned(),
                network: Network::Admitad,
                campaign_id: "100".to_owned(),
                tracking_template: "https://track.example.com/?subid={click_id}&ulp={url}".to_owned(),
                allowed_hosts: vec!["shoes.example.in".to_owned()],
                landing_url: "https://shoes.example.in/".to_owned(),
                cashback: BasisPoints::new(5_000).unwrap(),
                cashback_cap: None,
                active: true,
                version: 1,
                updated_at: Utc::now(),
            },
        )
        .await
        .unwrap();
        catalogue::insert_offer(
            &client,
            &Offer {
                id: offer,
                merchant_id: merchant,
                title: "All shoes".to_owned(),
                target_url: "https://shoes.example.in/all".to_owned(),
                cashback: None,
                cashback_cap: None,
                active: true,
                expires_at: None,
                version: 1,
                updated_at: Utc::now(),
            },
        )
        .await
        .unwrap();
        drop(client);
        let environment = [
            ("DATABASE_URL", database.url()),
            ("REDIS_URL", redis.url()),
            ("CLICK_FLUSH_INTERVAL_MS", "50".to_owned()),
            ("CASHBACK_UPKEEP_INTERVAL_MS", "200".to_owned()),
            ("ALERT_EMAILS", "ops@example.in".to_owned()),
            ("ADMITAD_CLIENT_ID", "id".to_owned()),
            ("ADMITAD_CLIENT_SECRET", "secret".to_owned()),
            ("ADMITAD_BASE_URL", sim.at("/admitad")),
            ("PROVIDER_RETRY_FIRST_MS", "20".to_owned()),
            ("VCOMMISSION_API_KEY", "key".to_owned()),
            ("VCOMMISSION_BASE_URL", sim.at("/vcommission")),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec();
        Self { service: None, sim, pool, kv, merchant, offer, environment, _redis: redis, _database: database }
    }

    pub(crate) async fn start() -> Self {
        let mut stage = Self::empty().await;
        stage.launch().await;
        stage
    }

    /// Starts the service, or another one in its place.
    pub(crate) async fn launch(&mut self) {
        let environment: Vec<_> = self.environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let service = Service::start("cashback-sync", &environment);
        service.ready().await;
        self.service = Some(service);
    }

    /// What the service shows of itself.
    pub(crate) async fn metrics(&self) -> String {
        let url = format!("{}/metrics", self.service.as_ref().unwrap().ops());
        testkit::http().get(url).send().await.unwrap().text().await.unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        self.pool.get().await.unwrap()
    }

    pub(crate) async fn shopper(&self) -> UserId {
        let id = UserId::generate();
        let email = "asha@example.in".parse().unwrap();
        let mobile = "9800000001".parse().unwrap();
        users::insert(&self.client().await, id, "Asha", Some(&email), Some(mobile), Language::En).await.unwrap();
        id
    }

    pub(crate) fn click(&self, user: UserId) -> RecordClick {
        RecordClick {
            click_id: ClickId::generate(),
            offer_id: self.offer,
            merchant_id: self.merchant,
            network: Network::Admitad,
            user_id: Some(user),
            rate: BasisPoints::new(5_000).unwrap(),
            cap: None,
            offer_version: 1,
            class: ClickClass::Human,
            reason: String::new(),
            client_hash: "0badcafe".to_owned(),
            user_agent: "Mozilla/5.0".to_owned(),
            clicked_at: Utc::now(),
        }
    }

    pub(crate) async fn enqueue<J: Job>(&self, job: &J) {
        Producer::new(self.kv.clone()).enqueue(queue::Enqueue::new(job)).await.unwrap();
    }

    /// A purchase at Admitad; gives its id.
    pub(crate) async fn purchase(&self, click: &RecordClick, status: &str, commission: &str) -> String {
        let answer = self
            .sim
            .post(
                "/_sim/transactions",
                &json!({"network": "admitad", "sub_id": sub_id(click.click_id), "campaign_id": 100, "order_id": "OD-1",
                        "sale_amount": "1000.00", "commission": commission, "currency": "INR", "status": status}),
            )
            .await;
        match &answer["id"] {
            Value::String(id) => id.clone(),
            id => id.to_string(),
        }
    }

    pub(crate) async fn balance(&self, user: UserId) -> Paise {
        wallet::balance(&self.client().await, user).await.unwrap().unwrap()
    }

    pub(crate) async fn balance_becomes(&self, user: UserId, paise: i64) {
        eventually_true(&format!("a balance of {paise}"), LIMIT, async || {
            self.balance(user).await == Paise::new(paise)
        })
        .await;
    }

    pub(crate) async fn count(&self, table_and_condition: &str) -> i64 {
        let text = format!("SELECT count(*) FROM {table_and_condition}");
        self.client().await.query_one(text.as_str(), &[]).await.unwrap().get(0)
    }

    pub(crate) async fn count_becomes(&self, table_and_condition: &str, wanted: i64) {
        eventually_true(&format!("{wanted} of {table_and_condition}"), LIMIT, async || {
            self.count(table_and_condition).await == wanted
        })
        .await;
    }

    /// Waits for this many jobs on a queue and gives the templates they carry.
    pub(crate) async fn templates(&self, queue: Queue, wanted: usize) -> Vec<String> {
        let mut connection = self.kv.commands();
        let jobs: Vec<String> = eventually(&format!("{wanted} jobs on {queue}"), LIMIT, async || {
            let jobs: Vec<String> = connection.lrange(kv::keys::ready(queue), 0, -1).await.unwrap();
            (jobs.len() >= wanted).then_some(jobs)
        })
        .await;
        let mut templates: Vec<_> = jobs
            .iter()
            .map(|job| {
                serde_json::from_str::<Value>(job).unwrap()["payload"]["message"]["template"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        templates.sort();
        templates
    }
}
