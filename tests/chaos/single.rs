//! One Redis in a network of its own, one Postgres, and a small disk for the spool: most faults.

use std::time::{Duration, Instant};

use e2e::System;
use serde_json::json;
use tempfile::TempDir;

use crate::disk::Disk;
use crate::servers::{Network, Postgres, REDIS_URL, Redis};
use crate::{SERVICES, World, place};

/// What breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    KillServices,
    TerminateServices,
    RedisKilled,
    RedisHangs,
    RedisCutOff,
    SpoolFull,
    PostgresKilled,
    ProvidersFail,
    ProvidersSlow,
    ProvidersSilent,
}

/// The order is the one in which they end: the disk outlives what is on it.
pub(crate) struct Single {
    system: System,
    redis: Redis,
    network: Network,
    postgres: Postgres,
    disk: Disk,
    _folder: TempDir,
}

impl World for Single {
    type Fault = Fault;

    const FAULTS: &'static [(Fault, &'static str)] = &[
        (Fault::Nothing, "none"),
        (Fault::KillServices, "kill -9 of each service in turn"),
        (Fault::TerminateServices, "SIGTERM of each service in turn"),
        (Fault::RedisKilled, "Redis killed, back after the fault"),
        (Fault::RedisHangs, "Redis stands still (SIGSTOP)"),
        (Fault::RedisCutOff, "network to Redis cut (namespace)"),
        (Fault::SpoolFull, "Redis killed, the spool's disk full"),
        (Fault::PostgresKilled, "Postgres killed, back after the fault"),
        (Fault::ProvidersFail, "mail and SMS providers answer 503"),
        (Fault::ProvidersSlow, "providers take 2 s for each answer"),
        (Fault::ProvidersSilent, "providers take messages, say nothing"),
    ];

    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::mount(&folder.path().join("spool"));
        let network = Network::open();
        let redis = Redis::start(folder.path(), &network);
        let postgres = Postgres::start();
        let system = System::start(place(&postgres, REDIS_URL, folder.path(), &[])).await;
        Self { system, redis, network, postgres, disk, _folder: folder }
    }

    fn system(&self) -> &System {
        &self.system
    }

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
            Fault::SpoolFull => {
                self.disk.fill();
                self.redis.kill();
            }
            Fault::PostgresKilled => self.postgres.kill(),
            Fault::ProvidersFail => self.providers("status", json!({"status": 503})).await,
            Fault::ProvidersSlow => self.providers("latency", json!({"ms": 2_000})).await,
            Fault::ProvidersSilent => self.providers("accept_then_timeout", json!({"ms": 10_000, "times": 40})).await,
        }
    }

    async fn mend(&mut self, fault: Fault) {
        match fault {
            Fault::Nothing | Fault::KillServices | Fault::TerminateServices => {}
            // The disk stays full: what is in the spool must find its way without more room.
            Fault::RedisKilled | Fault::SpoolFull => self.redis.start_again(&self.network),
            Fault::RedisHangs => self.redis.signal("CONT"),
            Fault::RedisCutOff => self.network.mend(),
            Fault::PostgresKilled => self.postgres.start_again(),
            Fault::ProvidersFail | Fault::ProvidersSlow | Fault::ProvidersSilent => {
                self.system.sim.delete("/_sim/faults").await;
            }
        }
    }

    async fn recover(&mut self) {
        self.disk.free();
    }
}

impl Single {
    async fn providers(&self, fault: &str, more: serde_json::Value) {
        for provider in ["sendgrid", "msg91"] {
            let mut order = json!({"provider": provider, "fault": fault});
            order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            self.system.sim.post("/_sim/faults", &order).await;
        }
    }
}
