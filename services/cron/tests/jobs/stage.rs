//! A shop with its Postgres and Redis, and the real `cron` on it: run by hand, killed in the middle, and taken over.

use std::process::Command;
use std::time::Duration;

use domain::ids::{JobId, UserId};
use domain::jobs::Language;
use domain::money::Paise;
use domain::wallet::{Account, Transfer, TransferKind};
use kv::Kv;
use serde_json::{Value, json};
use store::Pool;
use testkit::{Database, Process, Redis, Service, binary, eventually, eventually_true};
use tokio_postgres::types::ToSql;

use crate::bucket::Bucket;

pub(crate) const SOON: Duration = Duration::from_secs(60);
/// They look at everything there is, so they run only where they are under test.
const BUSYBODIES: [&str; 5] =
    ["worker_watch", "sweep_outbox", "requeue_stale_webhooks", "expire_sessions", "sync_inventory"];

pub(crate) struct Stage {
    pub(crate) database: Database,
    pub(crate) redis: Redis,
    pub(crate) pool: Pool,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) environment: Vec<(String, String)>,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let (database, redis) = (Database::start().await, Redis::start());
        let pool = database.pool();
        let set = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let environment = vec![
            set("DATABASE_URL", &database.url()),
            set("REDIS_URL", &redis.url()),
            set("ALERT_EMAILS", "ops@shop.example"),
            set("CRON_LEASE_SECONDS", "3"),
        ];
        Self { database, redis, pool, folder: tempfile::tempdir().unwrap(), environment }
    }

    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    pub(crate) async fn client(&self) -> store::Client {
        self.pool.get().await.unwrap()
    }

    pub(crate) fn kv(&self) -> Kv {
        testkit::kv(&self.redis.url())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("cron"));
        command.env_clear().envs([("LOG_FORMAT", "json"), ("OPS_ADDR", "127.0.0.1:0")]);
        command.envs(self.environment.iter().cloned()).args(arguments);
        command
    }

    /// `cron` with these arguments to its end; gives whether it ended well, and what it said.
    pub(crate) fn say(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.command(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// `cron run JOB` to its end; gives its report as it stands in Postgres.
    pub(crate) async fn run(&self, job: &str) -> Value {
        let (well, said) = self.say(&["run", job]);
        assert!(well, "{said}");
        self.last_report(job).await
    }

    /// `cron run JOB`, which is expected to fail; gives what it said.
    pub(crate) fn run_and_fail(&self, job: &str) -> String {
        let (well, said) = self.say(&["run", job]);
        assert!(!well, "{job} did not fail: {said}");
        said
    }

    async fn last_report(&self, job: &str) -> Value {
        let sql =
            "SELECT report FROM cron_runs WHERE job = $1 AND status = 'succeeded' ORDER BY finished_at DESC LIMIT 1";
        self.client().await.query_one(sql, &[&job]).await.unwrap().get(0)
    }

    /// Kills `cron run JOB …` with SIGKILL while it waits for the lock that `lock` takes.
    pub(crate) async fn kill_in_the_middle(&self, job: &[&str], lock: &str) {
        let blocker = self.database.client().await;
        blocker.batch_execute(&format!("BEGIN; {lock}")).await.unwrap();
        let mut process = Process::start("cron", &mut self.command(&[&["run"], job].concat()));
        let watcher = self.database.client().await;
        let waiting =
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        eventually_true("the job is in its middle", SOON, async || {
            assert!(process.ended().is_none(), "it ended: {:?}", process.lines());
            watcher.query_one(waiting, &[]).await.unwrap().get(0)
        })
        .await;
        process.kill();
        blocker.batch_execute("ROLLBACK").await.unwrap();
    }

    /// Kills a run of `job` with SIGKILL while the bucket leaves its write of `file` without an answer.
    pub(crate) async fn kill_while_writing(&self, job: &str, bucket: &Bucket, file: &str) {
        let before = bucket.waiting();
        bucket.stick_at(Some(file));
        let mut process = Process::start("cron", &mut self.command(&["run", job]));
        eventually_true("the job writes the file", SOON, async || {
            assert!(process.ended().is_none(), "it ended: {:?}", process.lines());
            bucket.waiting() > before
        })
        .await;
        process.kill();
        bucket.stick_at(None);
    }

    /// A bucket, and the settings to reach it.
    pub(crate) fn with_bucket(self) -> (Self, Bucket) {
        let bucket = Bucket::open();
        let stage = self
            .with("S3_ENDPOINT", &bucket.url)
            .with("S3_ACCESS_KEY_ID", "synthetic")
            .with("S3_SECRET_ACCESS_KEY", "synthetic");
        (stage, bucket)
    }

    /// Starts a scheduler and waits until it has taken over and ended the run of `job`.
    pub(crate) async fn take_over(&self, job: &str) -> Value {
        let mut scheduler = self.scheduler(job);
        let sql = "SELECT report FROM cron_runs WHERE job = $1 AND status = 'succeeded' AND attempt = 2";
        let client = self.client().await;
        let report = eventually("the run is taken over", SOON, async || {
            client.query_opt(sql, &[&job]).await.unwrap().map(|row| row.get(0))
        })
        .await;
        assert_eq!(scheduler.process().terminate(SOON).0, Some(0));
        report
    }

    /// The service itself, in which of the jobs that look at everything only `job` runs.
    pub(crate) fn scheduler(&self, job: &str) -> Service {
        let mut environment = self.environment.clone();
        for other in BUSYBODIES.iter().filter(|other| **other != job) {
            environment.push((format!("CRON_SCHEDULE_{}", other.to_uppercase()), "never".to_owned()));
        }
        let environment: Vec<_> = environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        Service::start("cron", &environment)
    }

    pub(crate) async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) {
        self.database.client().await.execute(sql, params).await.unwrap();
    }

    pub(crate) async fn batch(&self, sql: &str) {
        self.database.client().await.batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn count(&self, from: &str) -> i64 {
        let client = self.client().await;
        client.query_one(format!("SELECT count(*) FROM {from}").as_str(), &[]).await.unwrap().get(0)
    }

    /// Mails to admins with this title, whatever became of them.
    pub(crate) async fn alerts(&self, title: &str) -> i64 {
        self.count(&format!("outbox WHERE payload #>> '{{message,title}}' = '{title}'")).await
    }

    /// A shopper with this much in the wallet.
    pub(crate) async fn shopper(&self, paise: i64) -> UserId {
        let id = UserId::generate();
        let client = self.client().await;
        let email = format!("s-{id}@example.in").parse().unwrap();
        store::users::insert(&client, id, "Asha", Some(&email), None, Language::En).await.unwrap();
        if paise > 0 {
            let gift = Transfer {
                debit: Account::Adjustments,
                credit: Account::User(id),
                amount: Paise::new(paise),
                kind: TransferKind::Goodwill,
                key: format!("gift:{}", JobId::generate()),
                reason: json!({}),
            };
            store::wallet::post(&client, &gift).await.unwrap();
        }
        id
    }
}
