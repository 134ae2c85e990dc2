//! The whole system under load while things around it and in it break, one after another: `make chaos`.
//!
//! Shoppers click and payments are reported all the time. Each fault lasts a while and ends; then everything that was accepted
//! (a click that was redirected, a webhook that was answered with 200) is looked for in Postgres and in the simulated
//! providers' inboxes. A line a fault: accepted, done, lost, doubled, and how long after the fault's end all was done.
//!
//! `CHAOS_SECONDS`: how long each fault lasts (8). `CHAOS_ONLY`: faults whose name contains this.

mod books;
mod servers;
mod traffic;

use std::time::{Duration, Instant};

use e2e::{Place, Ports, System};
use serde_json::json;

use crate::books::{Books, Counts};
use crate::servers::{Network, Postgres, REDIS_URL, Redis};
use crate::traffic::Traffic;

const SERVICES: [&str; 5] = ["redirector", "webhooks", "notifier", "cashback-sync", "cron"];

/// What breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Nothing,
    KillServices,
    TerminateServices,
    RedisKilled,
    RedisHangs,
    RedisCutOff,
    PostgresKilled,
    ProvidersFail,
    ProvidersSlow,
    ProvidersSilent,
}

const FAULTS: [(Fault, &str); 10] = [
    (Fault::Nothing, "none"),
    (Fault::KillServices, "kill -9 of each service in turn"),
    (Fault::TerminateServices, "SIGTERM of each service in turn"),
    (Fault::RedisKilled, "Redis killed, back after the fault"),
    (Fault::RedisHangs, "Redis stands still (SIGSTOP)"),
    (Fault::RedisCutOff, "network to Redis cut (namespace)"),
    (Fault::PostgresKilled, "Postgres killed, back after the fault"),
    (Fault::ProvidersFail, "mail and SMS providers answer 503"),
    (Fault::ProvidersSlow, "providers take 2 s for each answer"),
    (Fault::ProvidersSilent, "providers take messages, say nothing"),
];

/// Servers that can be broken.
struct World {
    redis: Redis,
    network: Network,
    postgres: Postgres,
    system: System,
}

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it can be built.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut reader = config::Reader::new(&config::Environment);
    let lasts = Duration::from_secs(reader.default("CHAOS_SECONDS", 8, "how long each fault lasts"));
    let only = reader.optional("CHAOS_ONLY", "faults whose name contains this").unwrap_or_default();
    reader.finish(()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let network = Network::open();
    let redis = Redis::start(folder.path(), &network);
    let postgres = Postgres::start();
    let system = System::start(Place {
        database_url: postgres.url(),
        redis_url: REDIS_URL.to_owned(),
        ports: Ports::From(28_400),
        folder: folder.path().to_owned(),
        people: Vec::new(),
        settings: [
            ("REDIRECT_LIMIT", "1000000"),
            ("EMAIL_PER_HOUR", "0"),
            ("EMAIL_PER_DAY", "0"),
            ("SMS_PER_HOUR", "0"),
            ("SMS_PER_DAY", "0"),
            ("OUTBOUND_TIMEOUT_MS", "3000"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec(),
    })
    .await;
    let mut world = World { redis, network, postgres, system };
    let books = Books::open(&world.system).await;

    println!(
        "{} cores; each fault lasts {} s under load",
        std::thread::available_parallelism().unwrap(),
        lasts.as_secs()
    );
    println!("{}", Counts::header());
    let mut is_right = true;
    for (fault, name) in FAULTS.into_iter().filter(|(_, name)| name.contains(&only)) {
        let counts = play(&mut world, &books, fault, lasts).await;
        println!("{}", counts.line(name));
        is_right &= counts.nothing_is_missing();
    }
    if !is_right {
        println!("something was lost or doubled");
        std::process::exit(1);
    }
}

/// Load before, during and after the fault; then the books.
async fn play(world: &mut World, books: &Books, fault: Fault, lasts: Duration) -> Counts {
    let calm = Duration::from_secs(2);
    let traffic = Traffic::start(books, &world.system);
    tokio::time::sleep(calm).await;
    let begin = Instant::now();
    world.strike(fault, lasts).await;
    tokio::time::sleep(lasts.saturating_sub(begin.elapsed())).await;
    world.mend(fault).await;
    let mended = Instant::now();
    tokio::time::sleep(calm).await;
    let sent = traffic.stop().await;
    books.settle(&world.system, sent, mended).await
}

impl World {
    async fn strike(&mut self, fault: Fault, lasts: Duration) {
        let each = lasts / u32::try_from(SERVICES.len()).unwrap();
        match fault {
            Fault::Nothing => {}
            Fault::KillServices | Fault::TerminateServices => {
                for name in SERVICES {
                    let begin = Instant::now();
                    if fault == Fault::TerminateServices {
                        self.system.service(name).process().terminate(Duration::from_secs(30));
                    }
                    self.system.kill(name);
                    self.system.launch(name).await;
                    tokio::time::sleep(each.saturating_sub(begin.elapsed())).await;
                }
            }
            Fault::RedisKilled => self.redis.kill(),
            Fault::RedisHangs => self.redis.signal("STOP"),
            Fault::RedisCutOff => self.network.cut(),
            Fault::PostgresKilled => self.postgres.kill(),
            Fault::ProvidersFail => self.providers("status", json!({"status": 503})).await,
            Fault::ProvidersSlow => self.providers("latency", json!({"ms": 2_000})).await,
            Fault::ProvidersSilent => self.providers("accept_then_timeout", json!({"ms": 10_000, "times": 40})).await,
        }
    }

    async fn mend(&mut self, fault: Fault) {
        match fault {
            Fault::Nothing | Fault::KillServices | Fault::TerminateServices => {}
            Fault::RedisKilled => self.redis.start_again(&self.network),
            Fault::RedisHangs => self.redis.signal("CONT"),
            Fault::RedisCutOff => self.network.mend(),
            Fault::PostgresKilled => self.postgres.start_again(),
            Fault::ProvidersFail | Fault::ProvidersSlow | Fault::ProvidersSilent => {
                self.system.sim.delete("/_sim/faults").await;
            }
        }
    }

    async fn providers(&self, fault: &str, more: serde_json::Value) {
        for provider in ["sendgrid", "msg91"] {
            let mut order = json!({"provider": provider, "fault": fault});
            order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            self.system.sim.post("/_sim/faults", &order).await;
        }
    }
}
