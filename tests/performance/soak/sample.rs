//! Looks at processes, Postgres and Redis, again and again.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use e2e::System;
use serde::Serialize;
use testkit::usage::{cpu_seconds, open_files, resident_mib};
use testkit::{Cluster, Redis};

use crate::plot::{Axis, Line, Panel, draw};

/// Names of what is measured, with the values seen.
#[derive(Default, Serialize)]
pub(crate) struct Samples {
    /// Minutes since the load began.
    pub(crate) minutes: Vec<f64>,
    /// Resident memory of each process, in MiB.
    pub(crate) resident_mib: BTreeMap<String, Vec<f64>>,
    /// Files and sockets that each process has open.
    pub(crate) open_files: BTreeMap<String, Vec<f64>>,
    /// Connections to Postgres.
    pub(crate) connections: Vec<f64>,
    /// Keys in Redis that stay until somebody takes them away.
    pub(crate) keys_that_stay: Vec<f64>,
    /// Keys in Redis that end by themselves, within a day: of each event that was accepted, so that it is not accepted twice.
    pub(crate) keys_that_end: Vec<f64>,
    /// Memory that Redis' data take, in MiB.
    pub(crate) redis_mib: Vec<f64>,
}

/// Keeps watch.
pub(crate) struct Watch {
    services: Vec<(String, u32)>,
    /// Those of the world around: what they take is load, and no figure of ours.
    others: Vec<u32>,
    postgres: Cluster,
    samples: Samples,
    begin: Instant,
    used_before: f64,
}

impl Watch {
    pub(crate) fn open(system: &mut System, redis: &Redis, postgres: Cluster) -> Self {
        let services = system.services().map(|(name, service)| (name.to_owned(), service.id())).collect();
        let others = vec![redis.id().unwrap(), system.sim.process().id(), std::process::id()];
        let (samples, begin) = (Samples::default(), Instant::now());
        let mut watch = Self { services, others, postgres, samples, begin, used_before: 0.0 };
        watch.used_before = watch.used();
        watch
    }

    /// Looks every so often, for as long.
    pub(crate) async fn look_for(&mut self, system: &System, lasts: Duration, every: Duration) {
        self.begin = Instant::now();
        let mut pace = tokio::time::interval(every);
        while self.begin.elapsed() < lasts {
            pace.tick().await;
            self.look(system).await;
        }
    }

    async fn look(&mut self, system: &System) {
        let samples = &mut self.samples;
        samples.minutes.push(self.begin.elapsed().as_secs_f64() / 60.0);
        for (name, process) in &self.services {
            samples.resident_mib.entry(name.clone()).or_default().push(resident_mib(*process));
            samples.open_files.entry(name.clone()).or_default().push(count(open_files(*process)));
        }
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
        let row = system.client().await.query_one(sql, &[]).await.unwrap();
        samples.connections.push(count(usize::try_from(row.get::<_, i64>(0)).unwrap()));
        let text: String = kv::redis::cmd("INFO").query_async(&mut system.kv.commands()).await.unwrap();
        let figure = |name: &str| -> f64 {
            let (_, rest) = text.split_once(name).unwrap();
            rest.split([',', '\r']).next().and_then(|figure| figure.parse().ok()).unwrap()
        };
        samples.keys_that_end.push(figure(",expires="));
        samples.keys_that_stay.push(figure("db0:keys=") - figure(",expires="));
        samples.redis_mib.push(figure("\nused_memory:") / 1_048_576.0);
    }

    /// Processor seconds of everything that takes part.
    fn used(&self) -> f64 {
        let services = self.services.iter().map(|(_, process)| *process);
        services.chain(self.others.iter().copied()).chain(self.postgres.processes()).map(cpu_seconds).sum()
    }

    /// How many cores were kept busy; connections that ended meanwhile are not counted.
    pub(crate) fn processor(&self) -> f64 {
        (self.used() - self.used_before) / self.begin.elapsed().as_secs_f64()
    }

    pub(crate) fn samples(&self) -> &Samples {
        &self.samples
    }

    pub(crate) fn draw(&self, path: &Path) {
        let samples = &self.samples;
        let line = |name: &str, values: &[f64]| Line {
            name: name.to_owned(),
            points: samples.minutes.iter().copied().zip(values.iter().copied()).collect(),
        };
        let of_each =
            |values: &BTreeMap<String, Vec<f64>>| values.iter().map(|(name, seen)| line(name, seen)).collect();
        let panel = |title, lines| Panel { title, x: "minutes", axis: Axis::Even, lines };
        draw(
            path,
            &[
                panel("resident memory, MiB", of_each(&samples.resident_mib)),
                panel("open files and sockets", of_each(&samples.open_files)),
                panel(
                    "Redis",
                    vec![
                        line("keys that stay", &samples.keys_that_stay),
                        line("memory of the data, MiB", &samples.redis_mib),
                    ],
                ),
                panel("connections to Postgres", vec![line("all services and the driver", &samples.connections)]),
            ],
        );
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}
