//! A running notifier with everything around it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::ids::JobId;
use domain::job::{Job, Queue};
use domain::jobs::Language;
use domain::jobs::email::{EmailMessage, SendEmail};
use domain::jobs::sms::{SendSms, SmsMessage};
use domain::money::Paise;
use domain::redacted::Redacted;
use kv::Kv;
use kv::redis::AsyncCommands;
use queue::{Enqueue, Producer};
use serde_json::{Value, json};
use store::{Client, Pool};
use testkit::{Database, Redis, Service, Sim, eventually_true};

pub(crate) const SOON: Duration = Duration::from_secs(40);

pub(crate) struct Post {
    pub(crate) service: Option<Service>,
    pub(crate) sim: Sim,
    pub(crate) pool: Pool,
    pub(crate) kv: Kv,
    environment: Vec<(String, String)>,
    pub(crate) redis: Redis,
    _database: Database,
}

impl Post {
    pub(crate) async fn open() -> Self {
        Self::open_with(&[]).await
    }

    pub(crate) async fn open_with(extra: &[(&str, &str)]) -> Self {
        Self::open_on(Sim::start(), extra).await
    }

    /// With a mail server as the second provider, which asks for a password.
    pub(crate) async fn open_with_second(extra: &[(&str, &str)]) -> Self {
        let mut sim = Sim::with_arguments(&["--port", "0", "--smtp-port", "0"]);
        sim.post("/_sim/config", &json!({"keys": {"smtp": ["mailer:planted-smtp-password"]}})).await;
        let port = sim.smtp_port().to_string();
        let mut all = vec![
            ("SMTP_HOST", "127.0.0.1"),
            ("SMTP_PORT", port.as_str()),
            ("SMTP_TLS", "none"),
            ("SMTP_USER", "mailer"),
            ("SMTP_PASSWORD", "planted-smtp-password"),
            ("SMTP_TIMEOUT_MS", "1500"),
            ("ALERT_EMAILS", "ops@shop.example.in"),
            ("SMTP_QUIET_SECONDS", "2"),
        ];
        all.extend_from_slice(extra);
        Self::open_on(sim, &all).await
    }

    /// With a mail server that speaks TLS only. `is_trusted`: whether the notifier is told whose certificate that is.
    pub(crate) async fn open_with_secure_second(tls: &str, is_trusted: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificate = folder.path().join("mail.pem").to_str().unwrap().to_owned();
        let arguments = ["--port", "0", "--smtp-port", "0", "--smtp-tls", tls, "--smtp-certificate", &certificate];
        let mut sim = Sim::with_arguments(&arguments);
        let port = sim.smtp_port().to_string();
        let mut settings = vec![
            ("SMTP_HOST", "localhost"),
            ("SMTP_PORT", port.as_str()),
            ("SMTP_TLS", tls),
            ("SMTP_USER", "mailer"),
            ("SMTP_PASSWORD", "planted-smtp-password"),
            ("SMTP_TIMEOUT_MS", "1500"),
        ];
        if is_trusted {
            settings.push(("SMTP_CA_FILE", &certificate));
        }
        Self::open_on(sim, &settings).await
    }

    async fn open_on(sim: Sim, extra: &[(&str, &str)]) -> Self {
        let (database, redis) = (Database::start().await, Redis::start());
        let kv = testkit::kv(&redis.url());
        let mut environment: Vec<(String, String)> = [
            ("DATABASE_URL", database.url()),
            ("REDIS_URL", redis.url()),
            ("VOUCHER_KEY", "ZGVtby12b3VjaGVyLWtleS0wMTIzNDU2Nzg5YWJjZGU=".to_owned()),
            ("SHOP_URL", "https://shop.example.in".to_owned()),
            ("PUBLIC_URL", "https://hooks.example.in".to_owned()),
            ("FROM_EMAIL", "hello@shop.example.in".to_owned()),
            ("SENDGRID_API_KEY", "SG.planted-sendgrid-key".to_owned()),
            ("SENDGRID_BASE_URL", sim.at("/sendgrid")),
            ("MSG91_AUTH_KEY", "planted-msg91-key".to_owned()),
            ("MSG91_BASE_URL", sim.at("/msg91")),
            ("MSG91_SENDER_ID", "DEMOCB".to_owned()),
            ("MSG91_TEMPLATE_ID_OTP", "flow-otp".to_owned()),
            ("MSG91_TEMPLATE_ID_ORDER_CONFIRMATION", "flow-order".to_owned()),
            ("MSG91_TEMPLATE_ID_CASHBACK_CREDITED", "flow-cashback".to_owned()),
            ("MSG91_TEMPLATE_ID_WITHDRAWAL_PROCESSED", "flow-withdrawal".to_owned()),
            ("OUTBOUND_TIMEOUT_MS", "1500".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec();
        environment.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let pool = database.pool();
        let mut post = Self { service: None, sim, pool, kv, environment, redis, _database: database };
        post.launch().await;
        post
    }

    /// Starts the service, or another one in its place.
    pub(crate) async fn launch(&mut self) {
        self.service = Some(self.replica().await);
    }

    /// One more of the same.
    pub(crate) async fn replica(&self) -> Service {
        let environment: Vec<_> = self.environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let service = Service::start("notifier", &environment);
        service.ready().await;
        service
    }

    pub(crate) fn kill(&mut self) {
        self.service.as_mut().unwrap().process().kill();
    }

    pub(crate) async fn client(&self) -> Client {
        self.pool.get().await.unwrap()
    }

    pub(crate) async fn push<J: Job>(&self, job: &J) {
        let job = Enqueue::new(job);
        Producer::new(self.kv.clone()).enqueue(job).await.unwrap();
    }

    /// Pushes a job that was asked for at this time, as a producer of one's own would.
    pub(crate) async fn push_as_of<J: Job>(&self, job: &J, at: DateTime<Utc>) {
        let envelope = json!({
            "id": JobId::generate().to_string(), "kind": J::KIND, "payload": job, "enqueued_at": at.to_rfc3339(),
        });
        let _length: i64 = self.kv.commands().rpush(kv::keys::ready(J::QUEUE), envelope.to_string()).await.unwrap();
    }

    /// Pushes a job as if an operator had put it back from the dead letters.
    pub(crate) async fn push_replayed<J: Job>(&self, job: &J) {
        let now = Utc::now().to_rfc3339();
        let envelope = json!({
            "id": JobId::generate().to_string(), "kind": J::KIND, "payload": job, "enqueued_at": now,
            "replays": [{"at": now, "by": "asha"}],
        });
        let _length: i64 = self.kv.commands().rpush(kv::keys::ready(J::QUEUE), envelope.to_string()).await.unwrap();
    }

    pub(crate) async fn fault(&self, provider: &str, fault: &str, more: Value) {
        let mut body = json!({"provider": provider, "fault": fault});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.sim.post("/_sim/faults", &body).await;
    }

    /// What the simulated providers took for this receiver.
    pub(crate) async fn inbox(&self, to: &str) -> Vec<Value> {
        let inbox = self.sim.get(&format!("/_sim/inbox.json?to={to}")).await;
        inbox["messages"].as_array().unwrap().clone()
    }

    /// Status and reason of the message of this event.
    pub(crate) async fn status(&self, event: &str) -> Option<(String, String)> {
        let sql = "SELECT status, reason FROM notifications WHERE event_key = $1";
        let row = self.client().await.query_opt(sql, &[&event]).await.unwrap();
        row.map(|row| (row.get(0), row.get(1)))
    }

    pub(crate) async fn becomes(&self, event: &str, expected: &str) {
        eventually_true(&format!("{event} is {expected}"), SOON, async || {
            self.status(event).await.is_some_and(|(status, _)| status == expected)
        })
        .await;
    }

    /// Waits until nothing waits, runs or is delayed.
    pub(crate) async fn idle(&self, queue: Queue) {
        eventually_true("the queue is empty", SOON, async || {
            let stats = queue::admin::stats(&self.kv, queue).await.unwrap();
            stats.waiting + stats.urgent + stats.in_flight + stats.delayed == 0
        })
        .await;
    }

    pub(crate) async fn dead(&self, queue: Queue) -> u64 {
        queue::admin::stats(&self.kv, queue).await.unwrap().dead
    }
}

pub(crate) fn credited(event: &str, to: &str) -> SendEmail {
    SendEmail {
        event_key: event.parse().unwrap(),
        to: to.parse().unwrap(),
        name: Some("Asha <b>Rao</b>".to_owned()),
        user_id: None,
        lang: Language::En,
        message: EmailMessage::CashbackCredited {
            merchant: "Shoes & More".to_owned(),
            amount: Paise::new(12_000),
            balance: Paise::new(12_345_650),
        },
    }
}

pub(crate) fn code(event: &str, to: &str, code: &str) -> SendEmail {
    let message = EmailMessage::Otp { code: Redacted::new(code.to_owned()), valid_minutes: 10 };
    SendEmail { message, ..credited(event, to) }
}

pub(crate) fn text(event: &str, to: &str) -> SendSms {
    SendSms {
        event_key: event.parse().unwrap(),
        to: to.parse().unwrap(),
        user_id: None,
        lang: Language::Hi,
        message: SmsMessage::CashbackCredited { merchant: "Shoes & More".to_owned(), amount: Paise::new(12_000) },
    }
}
