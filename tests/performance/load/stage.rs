//! A Postgres that syncs its commits, a Redis, and processes of a service.

use std::time::{Duration, Instant};

use kv::Kv;
use store::Pool;
use testkit::usage::{cpu_seconds, resident_mib};
use testkit::{Cluster, Redis, Service, eventually_true};

use super::number;

/// The longest that a burst may take.
const PATIENCE: Duration = Duration::from_secs(580);

pub(crate) struct Stage {
    pub(crate) kv: Kv,
    pub(crate) pool: Pool,
    pub(crate) redis: Redis,
    postgres: Cluster,
}

/// Processor seconds so far: of the service, of Postgres, of Redis.
pub(crate) struct Used([f64; 3]);

impl Stage {
    pub(crate) async fn open() -> Self {
        let redis = Redis::start();
        let postgres = Cluster::start(&["max_connections=300", "shared_buffers=512MB", "max_wal_size=8GB"]);
        let (database, server) = (postgres.url("postgres"), redis.url());
        let source = config::Map::from([
            ("DATABASE_URL", database.as_str()),
            ("REDIS_URL", server.as_str()),
            ("QUEUE_MAX_BYTES", "8000000000"),
        ]);
        let mut reader = config::Reader::new(&source);
        let settings = (store::Settings::read(&mut reader), kv::Settings::read(&mut reader));
        let (store, kv) = reader.finish(settings).unwrap();
        let pool = Pool::connect(&store).unwrap();
        store::migrate::run(&pool).await.unwrap();
        Self { kv: Kv::connect(&kv).unwrap(), pool, redis, postgres }
    }

    /// So many processes of a service, all ready.
    pub(crate) async fn start(&self, name: &str, count: usize, settings: &[(&str, &str)]) -> Vec<Service> {
        let (database, server) = (self.postgres.url("postgres"), self.redis.url());
        let mut environment = vec![
            ("DATABASE_URL", database.as_str()),
            ("REDIS_URL", server.as_str()),
            ("QUEUE_MAX_BYTES", "8000000000"),
        ];
        environment.extend(settings);
        let mut services = Vec::new();
        for _ in 0..count {
            services.push(Service::start(name, &environment));
        }
        for service in &services {
            service.ready().await;
        }
        services
    }

    /// Waits until the statement counts so many; gives how long that took.
    pub(crate) async fn until(&self, sql: &str, count: usize) -> f64 {
        let (begin, client) = (Instant::now(), self.pool.get().await.unwrap());
        eventually_true("all are done", PATIENCE, async || {
            let row = client.query_one(sql, &[]).await.unwrap();
            usize::try_from(row.get::<_, i64>(0)).unwrap() >= count
        })
        .await;
        begin.elapsed().as_secs_f64()
    }

    /// Three percentiles of what the expression says of the rows of `from`, in milliseconds.
    pub(crate) async fn percentiles(&self, interval: &str, from: &str) -> [f64; 3] {
        let sql = format!(
            "SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM {interval})::float8 * 1000) FROM {from}"
        );
        let row = self.pool.get().await.unwrap().query_one(&sql, &[]).await.unwrap();
        row.get::<_, Vec<f64>>(0).try_into().unwrap()
    }

    pub(crate) fn used(&self, services: &[Service]) -> Used {
        Used([
            services.iter().map(|service| cpu_seconds(service.id())).sum(),
            self.postgres.processes().into_iter().map(cpu_seconds).sum(),
            cpu_seconds(self.redis.id().unwrap()),
        ])
    }
}

impl Used {
    /// Microseconds a job since then.
    pub(crate) fn a_job(&self, before: &Self, jobs: usize) -> [f64; 3] {
        [0, 1, 2].map(|place| 1e6 * (self.0[place] - before.0[place]) / number(jobs))
    }
}

/// Memory of the largest, in MiB.
pub(crate) fn largest(services: &[Service]) -> f64 {
    services.iter().map(|service| resident_mib(service.id())).fold(0.0, f64::max)
}
