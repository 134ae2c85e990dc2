//! `make bench`: what the queue costs, beside what Redis alone would do and beside peers, measured in one run.
//!
//! One worker process drains; Redis is a process of its own. Figures depend on the machine and on what else it does, so the
//! ratios within a run are what to read.
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

mod cases;
mod peers;
mod raw;
mod table;
mod worker;

use config::{Environment, Reader};
use kv::Kv;

use crate::table::Table;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("worker") => return worker::run(),
        Some("listener") => return raw::listen(),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut reader = Reader::new(&Environment);
        let jobs: u64 = reader.default("BENCH_JOBS", 200_000, "jobs of a drain");
        let waiting: u64 = reader.default("BENCH_WAITING", 1_000_000, "jobs of the long backlog");
        let only: String = reader.default("BENCH_ONLY", String::new(), "ours: no peers");
        reader.finish(()).unwrap();
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!("{} cores, load before {load}", std::thread::available_parallelism().unwrap());
        let mut table = Table::default();
        cases::ours(&mut table, jobs, waiting).await;
        raw::limits(&mut table, jobs).await;
        if only != "ours" {
            peers::all(&mut table).await;
        }
        table.print();
    });
}

/// The way to a server.
fn connect(url: &str) -> Kv {
    let source = config::Map::from([("REDIS_URL", url), ("QUEUE_MAX_BYTES", "4000000000")]);
    let mut reader = Reader::new(&source);
    let settings = kv::Settings::read(&mut reader);
    Kv::connect(&reader.finish(settings).unwrap()).unwrap()
}

/// Microseconds of CPU that the server's main thread has used.
async fn redis_cpu(kv: &Kv) -> f64 {
    let text: String = kv::redis::cmd("INFO").arg("cpu").query_async(&mut kv.commands()).await.unwrap();
    let field = |name: &str| -> f64 {
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or_default()
    };
    (field("used_cpu_user_main_thread:") + field("used_cpu_sys_main_thread:")) * 1e6
}

/// Bytes that the server's data takes.
async fn redis_memory(kv: &Kv) -> u64 {
    let text: String = kv::redis::cmd("INFO").arg("memory").query_async(&mut kv.commands()).await.unwrap();
    text.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok()).unwrap()
}
