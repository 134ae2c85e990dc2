//! Jobs through the real binaries, by 1, 2 and 4 processes: `make load`.
//!
//! Mails through the notifier, whose provider is nginx and answers at once. Redirects by the redirector under `wrk`, and the
//! clicks that they left through cashback-sync. A burst says how many a second; a paced run says how long one takes from its
//! queue to its row in Postgres.
//!
//! `LOAD_ONLY`: `mails` or `clicks`. `LOAD_JOBS`: jobs of a burst (10000). `LOAD_PROCESSES`: how many (1,2,4).

mod clicks;
mod mails;
mod stage;

use serde::Serialize;
use serde_json::json;

use crate::record;

/// What one burst, or one paced run, showed.
#[derive(Serialize)]
pub(crate) struct Row {
    what: &'static str,
    jobs: usize,
    processes: usize,
    /// All processes together.
    per_second: f64,
    /// Milliseconds: half, 95 % and 99 % take no longer.
    took_ms: [f64; 3],
    /// Processor time a job, in microseconds: of the service, of Postgres, of Redis.
    processor_us: [f64; 3],
    /// Memory of the largest process, in MiB.
    resident_mib: f64,
}

/// Measures what is asked for.
pub(crate) async fn run() -> bool {
    let mut reader = config::Reader::new(&config::Environment);
    let only = reader.optional("LOAD_ONLY", "mails or clicks").unwrap_or_default();
    let jobs: usize = reader.default("LOAD_JOBS", 10_000, "jobs of a burst");
    let processes: String = reader.default("LOAD_PROCESSES", "1,2,4".to_owned(), "how many processes");
    reader.finish(()).unwrap();
    let processes: Vec<usize> = processes.split(',').map(|count| count.trim().parse().unwrap()).collect();
    println!(
        "| | jobs | processes | jobs/s | a process | p50, p95, p99 ms | us a job: service, Postgres, Redis | MiB |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for name in ["mails", "clicks"].into_iter().filter(|name| only.is_empty() || only == *name) {
        let mut rows = Vec::new();
        for count in &processes {
            let measured = match name {
                "mails" => mails::measure(jobs, *count).await,
                _ => clicks::measure(jobs, *count).await,
            };
            measured.iter().for_each(Row::print);
            rows.extend(measured);
        }
        record::write(&format!("load-{name}-{jobs}.json"), json!({"rows": rows}));
    }
    true
}

impl Row {
    fn print(&self) {
        let [half, most, nearly_all] = self.took_ms;
        let [service, postgres, redis] = self.processor_us;
        println!(
            "| {} | {} | {} | {:.0} | {:.0} | {half:.1}, {most:.1}, {nearly_all:.1} | {service:.0}, {postgres:.0}, {redis:.1} | {:.0} |",
            self.what,
            self.jobs,
            self.processes,
            self.per_second,
            self.per_second / number(self.processes),
            self.resident_mib
        );
    }
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}
