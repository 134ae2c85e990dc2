//! Everything around the notifier: a Postgres and a Redis of its own.

use std::time::Duration;

use kv::Kv;
use testkit::{Cluster, Redis, Service, eventually_true};
use tokio_postgres::{Client, NoTls};

use crate::provider::Provider;

pub(crate) struct World {
    pub(crate) kv: Kv,
    pub(crate) redis: Redis,
    pub(crate) cluster: Cluster,
    client: Client,
    environment: Vec<(&'static str, String)>,
}

impl World {
    pub(crate) async fn start(provider: &Provider, at_once: u32) -> Self {
        let cluster = Cluster::start(&["max_connections=200", "shared_buffers=256MB"]);
        connect(&cluster.url("postgres")).await.batch_execute("CREATE DATABASE bench").await.unwrap();
        let url = cluster.url("bench");
        store::migrate::run(&testkit::pool(&url)).await.unwrap();
        let redis = Redis::start();
        let kv = testkit::kv(&redis.url());
        let environment = vec![
            ("DATABASE_URL", url.clone()),
            ("REDIS_URL", redis.url()),
            ("VOUCHER_KEY", "ZGVtby12b3VjaGVyLWtleS0wMTIzNDU2Nzg5YWJjZGU=".to_owned()),
            ("SHOP_URL", "https://shop.example.in".to_owned()),
            ("FROM_EMAIL", "hello@shop.example.in".to_owned()),
            ("SENDGRID_API_KEY", "SG.bench".to_owned()),
            ("SENDGRID_BASE_URL", provider.url.clone()),
            ("MSG91_AUTH_KEY", "bench".to_owned()),
            ("MSG91_SENDER_ID", "DEMOCB".to_owned()),
            ("MSG91_TEMPLATE_ID_OTP", "flow-otp".to_owned()),
            ("MSG91_TEMPLATE_ID_ORDER_CONFIRMATION", "flow-order".to_owned()),
            ("MSG91_TEMPLATE_ID_CASHBACK_CREDITED", "flow-cashback".to_owned()),
            ("MSG91_TEMPLATE_ID_WITHDRAWAL_PROCESSED", "flow-withdrawal".to_owned()),
            ("EMAIL_CONCURRENCY", at_once.to_string()),
        ];
        Self { kv, redis, cluster, client: connect(&url).await, environment }
    }

    pub(crate) async fn service(&self) -> Service {
        let environment: Vec<_> = self.environment.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let service = Service::start("notifier", &environment);
        service.ready().await;
        service
    }

    /// Waits until so many rows say that they were sent.
    pub(crate) async fn all_sent(&self, mails: usize) {
        eventually_true("all are sent", Duration::from_secs(120), async || {
            let row = self.client.query_one("SELECT count(*) FROM notifications WHERE status = 'sent'", &[]).await;
            usize::try_from(row.unwrap().get::<_, i64>(0)).unwrap() >= mails
        })
        .await;
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The mean of `mail_render_seconds` so far, in microseconds.
pub(crate) async fn rendering_us(service: &Service) -> f64 {
    let text = testkit::http().get(format!("{}/metrics", service.ops())).send().await.unwrap().text().await.unwrap();
    let total = |name: &str| -> f64 {
        let values = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next());
        values.map(|value| value.parse::<f64>().unwrap()).sum()
    };
    1e6 * total("mail_render_seconds_sum") / total("mail_render_seconds_count")
}
