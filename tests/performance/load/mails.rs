//! Mails through notifiers.

use std::process::Command;
use std::time::Duration;

use domain::job::Queue;
use domain::jobs::Language;
use domain::jobs::email::{EmailMessage, SendEmail};
use domain::money::Paise;
use queue::{Producer, admin};
use testkit::{Process, eventually_true, free_port, http};

use super::stage::{Stage, largest};
use super::{Row, number};

/// Mails a second of the paced run, and for how long.
const PACE: usize = 300;
const SECONDS: usize = 15;
/// Mails that are pushed together then.
const TOGETHER: usize = 3;
const SENT: &str = "SELECT count(*) FROM notifications WHERE status = 'sent'";

pub(crate) async fn measure(jobs: usize, processes: usize) -> Vec<Row> {
    let (stage, folder) = (Stage::open().await, tempfile::tempdir().unwrap());
    let (_provider, url) = provider(folder.path()).await;
    let producer = Producer::new(stage.kv.clone());
    admin::pause(&stage.kv, Queue::Email, "until all are there").await.unwrap();
    for part in (0..jobs).collect::<Vec<_>>().chunks(5_000) {
        let mails: Vec<_> = part.iter().map(|id| mail("burst", *id)).collect();
        producer.enqueue_many(&mails).await.unwrap();
    }
    let notifiers = stage.start("notifier", processes, &settings(&url)).await;
    let before = stage.used(&notifiers);
    admin::resume(&stage.kv, Queue::Email).await.unwrap();
    stage.until(SENT, jobs).await;
    let used = stage.used(&notifiers);
    let burst = Row {
        what: "mails, a burst",
        jobs,
        processes,
        per_second: number(jobs) / seconds(&stage).await,
        took_ms: stage.percentiles("sent_at - queued_at", "notifications").await,
        processor_us: used.a_job(&before, jobs),
        resident_mib: largest(&notifiers),
    };

    let paced = PACE * SECONDS;
    let before = stage.used(&notifiers);
    let mut pace = tokio::time::interval(Duration::from_secs(1) / u32::try_from(PACE / TOGETHER).unwrap());
    for part in (0..paced).collect::<Vec<_>>().chunks(TOGETHER) {
        pace.tick().await;
        let mails: Vec<_> = part.iter().map(|id| mail("paced", *id)).collect();
        producer.enqueue_many(&mails).await.unwrap();
    }
    stage.until(SENT, jobs + paced).await;
    let used = stage.used(&notifiers);
    let paced = Row {
        what: "mails, 300 a second",
        jobs: paced,
        processes,
        per_second: number(PACE),
        took_ms: stage.percentiles("sent_at - queued_at", "notifications WHERE event_key LIKE 'paced:%'").await,
        processor_us: used.a_job(&before, paced),
        resident_mib: largest(&notifiers),
    };
    vec![burst, paced]
}

/// From the first mail that was sent to the last.
async fn seconds(stage: &Stage) -> f64 {
    let sql = "SELECT extract(epoch FROM max(sent_at) - min(claimed_at))::float8 FROM notifications";
    stage.pool.get().await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
}

fn mail(run: &str, id: usize) -> SendEmail {
    SendEmail {
        event_key: format!("{run}:{id}").parse().unwrap(),
        to: format!("shopper{id}@example.in").parse().unwrap(),
        name: Some("Asha Rao".to_owned()),
        user_id: None,
        lang: if id.is_multiple_of(4) { Language::Hi } else { Language::En },
        message: EmailMessage::CashbackCredited {
            merchant: format!("Shop {}", id % 50),
            amount: Paise::new(12_000),
            balance: Paise::new(12_345_650),
        },
    }
}

fn settings(provider: &str) -> [(&str, &str); 11] {
    [
        ("VOUCHER_KEY", "ZGVtby12b3VjaGVyLWtleS0wMTIzNDU2Nzg5YWJjZGU="),
        ("SHOP_URL", "https://shop.example.in"),
        ("FROM_EMAIL", "hello@shop.example.in"),
        ("SENDGRID_API_KEY", "SG.bench"),
        ("SENDGRID_BASE_URL", provider),
        ("MSG91_AUTH_KEY", "bench"),
        ("MSG91_SENDER_ID", "DEMOCB"),
        ("MSG91_TEMPLATE_ID_OTP", "flow-otp"),
        ("MSG91_TEMPLATE_ID_ORDER_CONFIRMATION", "flow-order"),
        ("MSG91_TEMPLATE_ID_CASHBACK_CREDITED", "flow-cashback"),
        ("MSG91_TEMPLATE_ID_WITHDRAWAL_PROCESSED", "flow-withdrawal"),
    ]
}

/// nginx, which takes every mail at once and costs next to nothing.
async fn provider(folder: &std::path::Path) -> (Process, String) {
    let (port, place) = (free_port(), folder.display());
    let conf = format!(
        "daemon off; worker_processes 1; error_log stderr; pid {place}/nginx.pid;
         events {{ worker_connections 2048; }}
         http {{ access_log off; keepalive_requests 10000000; client_body_temp_path {place}/body; client_body_buffer_size 64k;
                 proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
                 server {{ listen 127.0.0.1:{port}; location / {{ add_header x-message-id $request_id always; return 202; }} }} }}"
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, conf).unwrap();
    let process = Process::start("nginx", Command::new("nginx").arg("-c").arg(&file).arg("-p").arg(folder));
    let url = format!("http://127.0.0.1:{port}");
    eventually_true("the provider listens", Duration::from_secs(10), async || http().get(&url).send().await.is_ok())
        .await;
    (process, url)
}
