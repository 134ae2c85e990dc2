//! The two jobs that read everything, by the real binary: the wallets' check over 100,000 and 1,000,000 entries, sitemaps of
//! 20,000 and 200,000 addresses. How long each takes from start to end of the process, and the most memory it had.
//!
//! `cargo build --workspace --bins --profile ci && cargo bench --workspace --profile ci --bench nightly`

mod world;

use std::time::Duration;

use crate::world::{Ran, World};

/// What was asked for.
const WITHIN: Duration = Duration::from_secs(60);
/// Ten times the data may take this much more memory and is still called flat.
const FLAT_MIB: f64 = 16.0;

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it can be built.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{} cores, load before {}", std::thread::available_parallelism().unwrap(), load.trim());
    let world = World::start().await;
    world.entries(100_000).await;
    let small = world.run("verify_wallets", r#""drifting":0"#);
    world.entries(900_000).await;
    let large = world.run("verify_wallets", r#""drifting":0"#);
    told("wallets' check", &[("100,000 entries", &small), ("1,000,000 entries", &large)]);

    world.offers(20_000).await;
    let small = world.run("sitemap", r#""urls":20002"#);
    world.offers(180_000).await;
    let large = world.run("sitemap", r#""urls":200002"#);
    told("sitemap", &[("20,000 addresses", &small), ("200,000 addresses", &large)]);
}

fn told(job: &str, runs: &[(&str, &Ran); 2]) {
    for (what, ran) in runs {
        println!("{job:<16} {what:<18} {:>6.2} s   {:>6.1} MiB at most", ran.took.as_secs_f64(), ran.peak_mib);
    }
    let [(_, small), (_, large)] = runs;
    let more = large.peak_mib - small.peak_mib;
    println!("  {}", verdict(large.took <= WITHIN, "within a minute"));
    println!("  {}", verdict(more <= FLAT_MIB, &format!("flat memory: {more:+.1} MiB for ten times as much")));
}

fn verdict(holds: bool, what: &str) -> String {
    format!("{what}: {}", if holds { "holds" } else { "DOES NOT HOLD" })
}
