//! The whole system under steady mixed load for a long time, and whether memory, open files, connections and Redis' keys stay
//! where they are: `make soak`.
//!
//! Shoppers click, payments are reported (a webhook, an order, a mail, a text, their reports), purchases are reported and
//! approved by their network (a postback, a question to the network, cashback, mails), and networks are pulled each minute. The
//! load is small on purpose: what creeps up does so at any load, and others work on the machine too.
//!
//! `SOAK_MINUTES`: how long (30). `SOAK_EVERY`: seconds between two looks (10).

mod sample;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2e::{Orders, Pace, Place, Ports, Sent, Story, System, Traffic, unfinished};
use serde_json::json;
use testkit::{Cluster, Redis};

use crate::record;
use crate::soak::sample::Watch;

/// Clicks: about five a second. Payments: one in two seconds.
const PACE: Pace =
    Pace { clickers: 2, click_rest: Duration::from_millis(400), payers: 1, payment_rest: Duration::from_secs(2) };
/// Between two purchases that the network reports.
const PURCHASE_REST: Duration = Duration::from_secs(4);

/// What the network has to report before the first purchase.
const REPORTS: usize = 2_000;

/// Plays it; says whether everything stayed flat and nothing is missing.
pub(crate) async fn run() -> bool {
    let mut reader = config::Reader::new(&config::Environment);
    let minutes: u64 = reader.default("SOAK_MINUTES", 30, "how long the load lasts");
    let every: u64 = reader.default("SOAK_EVERY", 10, "seconds between two looks");
    reader.finish(()).unwrap();
    let (lasts, every) = (Duration::from_secs(60 * minutes), Duration::from_secs(every));

    let folder = tempfile::tempdir().unwrap();
    let (redis, postgres) = (Redis::durable(), Cluster::start(&["max_connections=200"]));
    let mut system = System::start(place(&redis, &postgres, folder.path())).await;
    let orders = Orders::open(&system, usize::try_from(60 * minutes + 60).unwrap()).await;
    // A pull takes whole pages of reports, and as many at the beginning as at the end.
    let reports = json!({"network": "admitad", "count": REPORTS, "days": 20});
    system.sim.post("/_sim/transactions/bulk", &reports).await;
    let mut watch = Watch::open(&mut system, &redis, postgres);

    let traffic = Traffic::start(&system, &orders, PACE);
    let (purchases, is_over) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    tokio::join!(buy(&system, &purchases, &is_over), async {
        watch.look_for(&system, lasts, every).await;
        is_over.store(true, Ordering::Relaxed);
    });
    let sent = traffic.stop().await;
    let is_done = is_done(&system, &sent).await;

    let processor = watch.processor();
    println!(
        "{minutes} minutes: {} clicks ({} refused), {} payments, {} purchases; {:.0} % of one core",
        sent.clicks.len(),
        sent.not_redirected,
        sent.payments.len(),
        purchases.load(Ordering::Relaxed),
        100.0 * processor
    );
    let load = json!({
        "minutes": minutes, "clicks": sent.clicks.len(), "payments": sent.payments.len(),
        "purchases": purchases.load(Ordering::Relaxed), "cores": processor, "nothing_missing": is_done,
    });
    record::write("soak.json", json!({"load": load, "samples": watch.samples()}));
    watch.draw(&record::file("soak.svg"));
    let flat = verdict::tell(watch.samples());
    println!("everything accepted was done: {}", if is_done { "yes" } else { "NO" });
    flat && is_done
}

fn place(redis: &Redis, postgres: &Cluster, folder: &std::path::Path) -> Place {
    let settings = [
        ("REDIRECT_LIMIT", "1000000"),
        // One shopper buys again and again, and each time means it.
        ("REDIRECT_REPEAT_SECONDS", "1"),
        ("EMAIL_PER_HOUR", "0"),
        ("EMAIL_PER_DAY", "0"),
        ("SMS_PER_HOUR", "0"),
        ("SMS_PER_DAY", "0"),
        ("CRON_SCHEDULE_SYNC_NETWORKS", "* * * * *"),
    ];
    // Each job runs early and again: what is taken by its first run, once an hour or a night, would look as if it crept up.
    let jobs = [
        "SYNC_INVENTORY",
        "EXPIRE_SESSIONS",
        "ENSURE_PARTITIONS",
        "EXPIRE_OFFERS",
        "VERIFY_WALLETS",
        "CLEAN_SPOOL",
        "SITEMAP",
        "REMIND_PENDING",
        "CLEAN_LOGS",
    ];
    let often = jobs.map(|job| (format!("CRON_SCHEDULE_{job}"), "*/3 * * * *".to_owned()));
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().chain(often);
    Place {
        database_url: postgres.url("postgres"),
        redis_url: redis.url(),
        ports: Ports::Free,
        folder: folder.to_owned(),
        people: Vec::new(),
        settings: settings.collect(),
    }
}

/// A shopper who buys, and a network that approves each purchase a while later.
async fn buy(system: &System, count: &AtomicUsize, is_over: &AtomicBool) {
    let mut last: Option<Story> = None;
    while !is_over.load(Ordering::Relaxed) {
        let mut story = Story::new();
        story.click(system).await;
        story.report_purchase(system).await;
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(before) = last.replace(story) {
            before.report_approval(system).await;
        }
        tokio::time::sleep(PURCHASE_REST).await;
    }
}

/// Whether all that was accepted is done within a minute.
async fn is_done(system: &System, sent: &Sent) -> bool {
    let begin = Instant::now();
    while !unfinished(system, sent).await.is_empty() {
        if begin.elapsed() > Duration::from_secs(60) {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    true
}
