//! How the shop stands, as figures that Prometheus reads: what waits in Postgres and Redis, who works, what runs out. Read by every
//! replica, so they are there as long as one of them lives, also when no worker does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::clock::{Clock as _, SystemClock};
use domain::job::Queue;
use kv::Kv;
use queue::admin;
use store::standing::{self, Waiting};
use store::{Pool, StoreError};
use telemetry::metrics::{Gauge, KeyValue, meter};
use tokio_util::sync::CancellationToken;

use crate::certificates;
use crate::settings::Settings;

const EVERY: Duration = Duration::from_secs(15);
/// Tokens that are shown, the next to run out first: names are given by people, and each is a series.
const TOKENS: i64 = 20;

/// Shows how things stand until `shutdown`.
pub(crate) async fn show(pool: Pool, kv: Kv, settings: Arc<Settings>, shutdown: CancellationToken) {
    let gauges = Gauges::new();
    // A service without a sign of life is a figure, and not a series that is missing or stays as it was.
    let mut services: BTreeSet<String> = settings.watch.expected_services.iter().cloned().collect();
    while !shutdown.is_cancelled() {
        if let Err(error) = gauges.of_postgres(&pool).await {
            tracing::warn!(error.chain = telemetry::chain(&error), "how things stand in Postgres could not be read");
        }
        if let Err(error) = gauges.of_redis(&kv, &mut services).await {
            tracing::warn!(error.chain = telemetry::chain(&error), "how things stand in Redis could not be read");
        }
        gauges.of_certificates(&settings.certificates);
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

struct Gauges {
    waiting: Gauge<i64>,
    waiting_age: Gauge<i64>,
    unmatched: Gauge<i64>,
    recent: Gauge<i64>,
    jobs: Gauge<u64>,
    oldest: Gauge<i64>,
    paused: Gauge<u64>,
    workers: Gauge<u64>,
    sync_age: Roster,
    drifting: Gauge<i64>,
    token: Roster,
    certificate: Roster,
}

/// A gauge that shows what was told last and nothing else: the series of what is gone goes with it.
struct Roster(Arc<Mutex<Vec<(i64, KeyValue)>>>);

impl Roster {
    fn new(name: &'static str, about: &'static str) -> Self {
        let told: Arc<Mutex<Vec<(i64, KeyValue)>>> = Arc::default();
        let shown = told.clone();
        let _kept_by_the_meter = meter()
            .i64_observable_gauge(name)
            .with_description(about)
            .with_callback(move |observer| {
                for (figure, label) in shown.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    observer.observe(*figure, std::slice::from_ref(label));
                }
            })
            .build();
        Self(told)
    }

    fn tell(&self, figures: Vec<(i64, KeyValue)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }
}

impl Gauges {
    fn new() -> Self {
        let meter = meter();
        let whole = |name, about| meter.i64_gauge(name).with_description(about).build();
        let count = |name, about| meter.u64_gauge(name).with_description(about).build();
        Self {
            waiting: whole("unpushed_jobs", "Jobs that are promised in Postgres and not pushed, by where they are"),
            waiting_age: whole("unpushed_age_seconds", "Since when the oldest of them waits, by where they are"),
            unmatched: whole("transactions_unmatched", "Transactions without a click that nobody has dealt with"),
            recent: whole("transactions_recent", "Transactions of the last 7 days, by whether they have their click"),
            jobs: count("queue_jobs", "Jobs of a queue, by where they are"),
            oldest: whole("queue_oldest_age_seconds", "Since when the job at the head of a queue waits"),
            paused: count("queue_paused", "1 while a queue is paused by an operator"),
            workers: count("service_workers", "Workers that show a sign of life, by service"),
            sync_age: Roster::new(
                "network_sync_age_seconds",
                "How long ago the moment is up to which a network has been read",
            ),
            drifting: whole(
                "wallets_drifting",
                "Wallets that do not hold what their entries come to, as the last check found",
            ),
            token: Roster::new("api_token_expires_seconds", "How long a program's token is still good, by its name"),
            certificate: Roster::new(
                "certificate_expires_seconds",
                "How long a certificate is still good, by its file",
            ),
        }
    }

    async fn of_postgres(&self, pool: &Pool) -> Result<(), StoreError> {
        let client = pool.get().await?;
        let now = SystemClock.now();
        let standing = standing::read(&client).await?;
        for (place, Waiting { count, since }) in [("outbox", standing.outbox), ("webhooks", standing.webhooks)] {
            let labels = [KeyValue::new("place", place)];
            self.waiting.record(count, &labels);
            self.waiting_age.record(since.map_or(0, |since| seconds(now, since)), &labels);
        }
        self.unmatched.record(standing.unmatched, &[]);
        self.recent.record(standing.recent_matched, &[KeyValue::new("matched", "true")]);
        self.recent.record(standing.recent_unmatched, &[KeyValue::new("matched", "false")]);
        let synced = standing::synced(&client).await?.into_iter();
        let ages = synced.map(|(network, until)| (seconds(now, until), KeyValue::new("network", network)));
        self.sync_age.tell(ages.collect());
        self.drifting.record(store::drifts::count_open(&client).await?, &[]);
        let tokens = standing::expiring_tokens(&client, TOKENS).await?.into_iter();
        self.token.tell(tokens.map(|(name, end)| (seconds(end, now), KeyValue::new("token", name))).collect());
        Ok(())
    }

    async fn of_redis(&self, kv: &Kv, services: &mut BTreeSet<String>) -> Result<(), kv::KvError> {
        for queue in Queue::ALL {
            let stats = admin::stats(kv, queue).await?;
            let of_queue = KeyValue::new("queue", queue.name());
            for (state, count) in [
                ("waiting", stats.waiting),
                ("urgent", stats.urgent),
                ("delayed", stats.delayed),
                ("suspects", stats.suspects),
                ("dead", stats.dead),
                ("in_flight", stats.in_flight),
            ] {
                self.jobs.record(count, &[of_queue.clone(), KeyValue::new("state", state)]);
            }
            self.oldest.record(stats.oldest_age_s.unwrap_or(0), std::slice::from_ref(&of_queue));
            self.paused.record(u64::from(stats.paused), &[of_queue]);
        }
        let mut workers: BTreeMap<String, u64> = BTreeMap::new();
        for worker in admin::workers(kv).await? {
            *workers.entry(worker.service).or_default() += 1;
        }
        services.extend(workers.keys().cloned());
        for service in &*services {
            let count = workers.get(service).copied().unwrap_or_default();
            self.workers.record(count, &[KeyValue::new("service", service.clone())]);
        }
        Ok(())
    }

    fn of_certificates(&self, files: &[String]) {
        let mut figures = Vec::new();
        for file in files {
            match certificates::expiry(file) {
                Ok(expires_at) => {
                    figures.push((seconds(expires_at, SystemClock.now()), KeyValue::new("file", file.clone())));
                }
                Err(error) => {
                    tracing::warn!(file, error.chain = telemetry::chain(&error), "a certificate could not be read");
                }
            }
        }
        self.certificate.tell(figures);
    }
}

fn seconds(later: DateTime<Utc>, earlier: DateTime<Utc>) -> i64 {
    (later - earlier).num_seconds()
}
