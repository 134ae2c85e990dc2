//! A Postgres of its own with as much in it as is asked for, and runs of the real binary that are measured.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::{Cluster, Redis, binary, seed};
use tokio_postgres::{Client, NoTls};

/// How a run went.
pub(crate) struct Ran {
    pub(crate) took: Duration,
    pub(crate) peak_mib: f64,
}

pub(crate) struct World {
    client: Client,
    environment: Vec<(&'static str, String)>,
    _redis: Redis,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        let cluster = Cluster::start(&["shared_buffers=256MB"]);
        connect(&cluster.url("postgres")).await.batch_execute("CREATE DATABASE bench").await.unwrap();
        let url = cluster.url("bench");
        store::migrate::run(&testkit::pool(&url)).await.unwrap();
        let (redis, folder) = (Redis::start(), tempfile::tempdir().unwrap());
        let environment = vec![
            ("DATABASE_URL", url.clone()),
            ("REDIS_URL", redis.url()),
            ("SITEMAP_STORE", folder.path().display().to_string()),
            ("SITEMAP_BASE_URL", "https://shop.example".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
        ];
        Self { client: connect(&url).await, environment, _redis: redis, _folder: folder }
    }

    /// Adds so many ledger entries, twenty a shopper, and the balances that they leave.
    pub(crate) async fn entries(&self, count: usize) {
        seed::entries(&self.client, count / 20, 20).await;
        let row = self.client.query_one("SELECT count(*) FROM wallet_transactions", &[]).await.unwrap();
        println!("({} entries)", row.get::<_, i64>(0));
    }

    /// Adds so many offers of one merchant.
    pub(crate) async fn offers(&self, count: usize) {
        seed::offers(&self.client, count).await;
    }

    /// `cron run JOB`, whose report must hold `expected`.
    pub(crate) fn run(&self, job: &str, expected: &str) -> Ran {
        let mut command = Command::new(binary("cron"));
        command.env_clear().envs(self.environment.iter().map(|(key, value)| (*key, value.as_str())));
        let begin = Instant::now();
        let child = command.args(["run", job]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let id = child.id();
        // The kernel keeps the peak itself; it is read until the process has gone.
        let watch = std::thread::spawn(move || {
            let mut peak = 0.0_f64;
            while let Some(now) = peak_mib(id) {
                peak = peak.max(now);
                std::thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        let output = child.wait_with_output().unwrap();
        let took = begin.elapsed();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(expected), "{said}");
        Ran { took, peak_mib: watch.join().unwrap() }
    }
}

fn peak_mib(id: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
