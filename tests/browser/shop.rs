//! A shop at work, with people for its console.

use domain::ids::{AdminId, OrderId};
use domain::job::Queue;
use domain::money::Paise;
use e2e::{Place, Ports, Story, System};
use queue::admin;
use serde_json::{Value, json};
use store::{adjustments, orders};
use testkit::{Database, Redis, eventually, eventually_true};

use crate::driver::{Browser, SOON};

pub(crate) const PASSWORD: &str = "correct horse battery";
const TOKEN: &str = "a-token-of-the-browser-tests";
const PEOPLE: [(&str, &str); 4] =
    [("viewer", "viewer"), ("operator", "operator"), ("finance", "finance"), ("finance", "second")];

/// Everything, with a browser at the console.
pub(crate) struct Shop {
    pub(crate) browser: Browser,
    pub(crate) system: System,
    _redis: Redis,
    _database: Database,
    _folder: tempfile::TempDir,
}

impl Shop {
    /// A shop where nothing has happened yet.
    pub(crate) async fn open() -> Self {
        let (database, redis) = (Database::empty().await, Redis::start());
        let folder = tempfile::tempdir().unwrap();
        let person = |(role, name): (&str, &str)| format!("{role}:{name}@example.in:{PASSWORD}");
        let system = System::start(Place {
            settings: Vec::new(),
            database_url: database.url(),
            redis_url: redis.url(),
            ports: Ports::Free,
            folder: folder.path().to_owned(),
            people: PEOPLE.map(person).to_vec(),
        })
        .await;
        let scopes: Vec<String> =
            ["queues:read", "queues:write", "sync:write", "webhooks:write"].into_iter().map(str::to_owned).collect();
        store::api_tokens::upsert(&system.client().await, "browser", TOKEN, &scopes, "test").await.unwrap();
        let browser = Browser::open(&system.at("admin", "")).await;
        Self { browser, system, _redis: redis, _database: database, _folder: folder }
    }

    /// Logs in one of [`PEOPLE`] by the first part of the address.
    pub(crate) async fn enter(&self, name: &str) -> &Browser {
        self.browser.log_in(&format!("{name}@example.in"), PASSWORD).await;
        &self.browser
    }

    /// One shopper's whole story.
    pub(crate) async fn play(&self) {
        let mut story = Story::new();
        story.click(&self.system).await;
        story.purchase(&self.system).await;
        story.approval(&self.system).await;
        story.payment(&self.system).await;
        story.withdrawal(&self.system).await;
    }

    /// A day with something of everything: a story, a purchase without a click, a dead letter, money that waits for a second
    /// person.
    pub(crate) async fn furnish(&self) {
        self.play().await;
        self.purchase_without_a_click().await;
        self.confirm(OrderId::generate()).await;
        let client = self.system.client().await;
        let sql = "SELECT id FROM admin_users WHERE email = 'finance@example.in'";
        let asked_by: AdminId = client.query_one(sql, &[]).await.unwrap().get(0);
        let (shopper, amount) = (self.system.cast.shopper, Paise::new(15_000));
        adjustments::request(&client, shopper, amount, "the shop forgot a purchase", asked_by).await.unwrap();
        let wanted = json!({ "since": "2026-01-01T00:00:00Z", "reason": "a look at what a replay would do" });
        self.call("/webhook-replay-runs", &wanted).await;
        eventually_true("a dead letter", SOON, async || {
            admin::stats(&self.system.kv, Queue::Email).await.unwrap().dead > 0
        })
        .await;
    }

    /// A call to the API.
    pub(crate) async fn call(&self, path: &str, body: &Value) -> Value {
        let request = testkit::http().post(self.system.at("admin", &format!("/api/v1{path}")));
        let answer = request.bearer_auth(TOKEN).json(body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Pushes the confirmation of an order to the shopper; gives its job's id. It dies when there is no such order.
    pub(crate) async fn confirm(&self, order: OrderId) -> String {
        let message = json!({ "template": "order_confirmation", "order_id": order });
        let payload = json!({
            "event_key": format!("order:{order}:paid"), "to": "asha@example.in", "name": "Asha", "message": message,
        });
        let pushed = self.call("/queue/email", &json!({ "kind": "email.send", "payload": payload })).await;
        pushed["id"].as_str().unwrap().to_owned()
    }

    /// Notes an order of the shopper's.
    pub(crate) async fn order(&self, order: OrderId) {
        let (cast, mut client) = (&self.system.cast, self.system.client().await);
        let transaction = client.transaction().await.unwrap();
        orders::create(&transaction, order, cast.shopper, "order_browser", &[(cast.product, 1)]).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// A purchase that the network reports without the click it came from; gives its row.
    pub(crate) async fn purchase_without_a_click(&self) -> String {
        let purchase = json!({
            "network": "admitad", "campaign_id": 10001, "campaign_name": self.system.cast.merchant,
            "order_id": "OD-7700001", "sale_amount": "999.00", "commission": "80.00", "currency": "INR",
            "status": "pending", "postback": false,
        });
        self.system.sim.post("/_sim/transactions", &purchase).await;
        self.call("/sync/admitad/pull", &json!({ "reason": "a purchase without a click" })).await;
        eventually("the purchase", SOON, async || {
            let sql = "SELECT id::text FROM affiliate_transactions WHERE click_id IS NULL";
            self.system.client().await.query_opt(sql, &[]).await.unwrap().map(|row| row.get(0))
        })
        .await
    }
}
