//! Redirects under `wrk`, and the clicks that they left through cashback-sync.

use std::process::{Command, Stdio};
use std::time::Duration;

use domain::ids::OfferId;
use domain::job::Queue;
use queue::admin;
use testkit::{Service, eventually_true, http, seed};

use super::stage::{Stage, largest};
use super::{Row, number};

const OFFERS: usize = 1_000;
/// Addresses that click, so that nobody comes near the limit.
const CLIENTS: &str = "262144";
/// Connections of each `wrk`.
const CONNECTIONS: &str = "32";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/redirector/click.lua");
const WRITTEN: &str = "SELECT count(*) FROM affiliate_clicks";
/// How long a batch that is not full waits, so that a burst's last one does not stand for all.
const FLUSH_MS: &str = "500";
/// Clicks of the paced run, one each 5 ms.
const PACED: usize = 3_000;
const PACE: Duration = Duration::from_millis(5);

pub(crate) async fn measure(jobs: usize, processes: usize) -> Vec<Row> {
    let (stage, folder) = (Stage::open().await, tempfile::tempdir().unwrap());
    seed::offers(&stage.pool.get().await.unwrap(), OFFERS).await;
    let spool = folder.path().display().to_string();
    let settings = [
        ("JWT_SECRET", "synthetic-session-secret-of-the-bench"),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
        ("REDIRECT_SPOOL_DIR", spool.as_str()),
        ("HTTP_WORKERS", "1"),
    ];
    let redirectors = stage.start("redirector", processes, &settings).await;
    let offers = stage.pool.get().await.unwrap().query("SELECT id FROM offers", &[]).await.unwrap();
    let offers: Vec<_> = offers.iter().map(|row| row.get::<_, OfferId>(0).to_string()).collect();
    let file = folder.path().join("offers");
    std::fs::write(&file, offers.join("\n")).unwrap();

    let before = stage.used(&redirectors);
    let loads: Vec<_> = redirectors.iter().map(|each| wrk(each, &file)).collect();
    eventually_true("so many redirects", Duration::from_secs(500), async || waiting(&stage).await >= jobs).await;
    loads.iter().for_each(interrupt);
    let mut answered = Vec::new();
    for load in loads {
        answered.push(tokio::task::spawn_blocking(move || figures(load)).await.unwrap());
    }
    let (done, waiting): (f64, usize) = (answered.iter().map(|run| run[0]).sum(), waiting(&stage).await);
    assert!(number(waiting) >= done, "each redirect left its click");
    let redirects = Row {
        what: "redirects",
        jobs: waiting,
        processes,
        per_second: answered.iter().map(|run| run[0] / run[1] * 1e6).sum(),
        // Of the slowest process.
        took_ms: [2, 6, 3].map(|place| answered.iter().map(|run| run[place] / 1e3).fold(0.0, f64::max)),
        processor_us: stage.used(&redirectors).a_job(&before, waiting),
        resident_mib: largest(&redirectors),
    };

    admin::pause(&stage.kv, Queue::Clicks, "until all are there").await.unwrap();
    let writers = stage.start("cashback-sync", processes, &[("CLICK_FLUSH_INTERVAL_MS", FLUSH_MS)]).await;
    let before = stage.used(&writers);
    admin::resume(&stage.kv, Queue::Clicks).await.unwrap();
    let seconds = stage.until(WRITTEN, waiting).await;
    let flushed = Row {
        what: "clicks, a burst",
        jobs: waiting,
        processes,
        per_second: number(waiting) / seconds,
        took_ms: stage.percentiles("recorded_at - clicked_at", "affiliate_clicks").await,
        processor_us: stage.used(&writers).a_job(&before, waiting),
        resident_mib: largest(&writers),
    };
    vec![redirects, flushed, paced(&stage, &redirectors, &writers, &offers).await]
}

/// One click after the other, at a pace that leaves the machine idle.
async fn paced(stage: &Stage, redirectors: &[Service], writers: &[Service], offers: &[String]) -> Row {
    let client = stage.pool.get().await.unwrap();
    let before: i64 = client.query_one(WRITTEN, &[]).await.unwrap().get(0);
    let from: chrono::DateTime<chrono::Utc> = client.query_one("SELECT now()", &[]).await.unwrap().get(0);
    let (used, caller, mut pace) = (stage.used(writers), http(), tokio::time::interval(PACE));
    for id in 0..PACED {
        pace.tick().await;
        let url = format!("{}/out/{}", redirectors[id % redirectors.len()].http(), offers[id % offers.len()]);
        let request = caller.get(url).header("user-agent", "Mozilla/5.0 (X11)");
        let request = request.header("x-forwarded-for", format!("10.9.{}.{}", id / 250, id % 250));
        assert_eq!(request.send().await.unwrap().status(), 302);
    }
    stage.until(WRITTEN, usize::try_from(before).unwrap() + PACED).await;
    Row {
        what: "clicks, at most 200 a second",
        jobs: PACED,
        processes: writers.len(),
        per_second: 1.0 / PACE.as_secs_f64(),
        took_ms: stage
            .percentiles("recorded_at - clicked_at", &format!("affiliate_clicks WHERE clicked_at >= '{from}'"))
            .await,
        processor_us: stage.used(writers).a_job(&used, PACED),
        resident_mib: largest(writers),
    }
}

/// Clicks that nobody has taken yet.
async fn waiting(stage: &Stage) -> usize {
    usize::try_from(admin::stats(&stage.kv, Queue::Clicks).await.unwrap().waiting).unwrap()
}

/// It says what it measured so far.
fn interrupt(load: &std::process::Child) {
    let status = Command::new("kill").args(["-INT", &load.id().to_string()]).status();
    assert!(status.unwrap().success(), "wrk runs until it is stopped");
}

fn wrk(redirector: &Service, offers: &std::path::Path) -> std::process::Child {
    let mut command = Command::new("wrk");
    command.args(["-t", "1", "-c", CONNECTIONS, "-d", "500s", "-s", SCRIPT, redirector.http(), "--"]);
    command.arg(offers).arg(CLIENTS).stdout(Stdio::piped()).spawn().expect("wrk (Debian: apt-get install wrk)")
}

/// Requests, microseconds, then microseconds of p50, p99, failures, the longest, p95.
fn figures(load: std::process::Child) -> [f64; 7] {
    let output = load.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let (_, line) = said.split_once("FIGURES ").unwrap_or_else(|| panic!("wrk said: {said}"));
    let figures: Vec<f64> = line.split_whitespace().take(7).map(|figure| figure.parse().unwrap()).collect();
    assert!(figures[4] < 1.0, "all were redirected: {said}");
    figures.try_into().unwrap()
}
