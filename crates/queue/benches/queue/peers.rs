//! Peers, installed by name into a folder outside the repository and measured in the same run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::{Process, Redis};

use crate::table::{Row, Table};
use crate::worker::Told;
use crate::{connect, redis_cpu};

/// `BullMQ` needs this many to warm up.
const BULLMQ_JOBS: u64 = 20_000;
/// apalis-redis ends with an error when more than about 8,000 jobs wait.
const APALIS_JOBS: u64 = 7_000;

pub(crate) async fn all(table: &mut Table) {
    let sources = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    let folder = std::env::temp_dir().join("queue-bench-peers");
    match bullmq(&sources, &folder.join("bullmq")) {
        Ok(program) => {
            measure(table, "BullMQ 6", BULLMQ_JOBS, "push", "drain", &|mode, redis, jobs| {
                let mut command = Command::new("node");
                command.arg(&program).args([mode, &redis.port().to_string(), &jobs.to_string()]);
                command
            })
            .await;
            latency(table, &program);
        }
        Err(why) => table.note(format!("BullMQ skipped: {why}")),
    }
    match apalis(&sources, &folder.join("apalis")) {
        Ok(program) => {
            let command = |mode: &str, redis: &Redis, jobs: u64| {
                let mut command = Command::new(&program);
                command.args([mode, &redis.url(), &jobs.to_string()]);
                command
            };
            measure(table, "apalis-redis 1, lock off", APALIS_JOBS, "push", "drain", &command).await;
            measure(table, "apalis-redis 1, lock on", APALIS_JOBS, "push", "locked", &command).await;
        }
        Err(why) => table.note(format!("apalis-redis skipped: {why}")),
    }
}

/// A command that must succeed; what it said last, if not.
fn done(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {last}")) }
}

fn bullmq(sources: &Path, folder: &Path) -> Result<PathBuf, String> {
    done(Command::new("npm").arg("--version")).map_err(|_why| "npm is not installed".to_owned())?;
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    if !folder.join("node_modules/ioredis").exists() {
        done(Command::new("npm").current_dir(folder).args(["init", "-y"]))?;
        done(Command::new("npm").current_dir(folder).args([
            "install",
            "--no-audit",
            "--no-fund",
            "bullmq@6",
            "ioredis@5",
        ]))?;
    }
    let program = folder.join("bullmq.js");
    std::fs::copy(sources.join("bullmq.js"), &program).map_err(|error| error.to_string())?;
    Ok(program)
}

fn apalis(sources: &Path, folder: &Path) -> Result<PathBuf, String> {
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    for (from, to) in [("apalis.rs", "apalis.rs"), ("apalis.toml", "Cargo.toml")] {
        let text = std::fs::read(sources.join(from)).map_err(|error| error.to_string())?;
        if std::fs::read(folder.join(to)).ok() != Some(text.clone()) {
            std::fs::write(folder.join(to), text).map_err(|error| error.to_string())?;
        }
    }
    let target = folder.join("target");
    let mut build = Command::new("cargo");
    done(build.current_dir(folder).env("CARGO_TARGET_DIR", &target).args(["build", "--release"]))?;
    Ok(target.join("release/apalis-peer"))
}

/// Runs a peer's program and hears what it took.
fn told(name: &str, command: &mut Command) -> Result<Told, String> {
    let mut process = Process::start(name, command);
    process.wait_for_line("what it took", Duration::from_secs(120), |line| {
        let told = line.strip_prefix("told ").map(|text| serde_json::from_str(text).map_err(|error| error.to_string()));
        told.or_else(|| line.starts_with("failed").then(|| Err(line.to_owned())))
    })
}

/// Bulk enqueue and drain; the better of three.
async fn measure(
    table: &mut Table,
    name: &str,
    jobs: u64,
    push: &str,
    drain: &str,
    command: &dyn Fn(&str, &Redis, u64) -> Command,
) {
    let (mut pushes, mut drains) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let redis = Redis::start();
        let kv = connect(&redis.url());
        match told(name, &mut command(push, &redis, jobs)) {
            Ok(said) => pushes.push(jobs as f64 / said.seconds),
            Err(why) => return table.note(format!("{name} failed: {why}")),
        }
        let before = redis_cpu(&kv).await;
        match told(name, &mut command(drain, &redis, jobs)) {
            Ok(said) => drains.push(Row {
                rate: Some(jobs as f64 / said.seconds),
                redis_us: Some((redis_cpu(&kv).await - before) / jobs as f64),
                worker_us: Some(said.cpu_us / jobs as f64),
                waits_us: None,
            }),
            Err(why) => return table.note(format!("{name} failed: {why}")),
        }
    }
    pushes.sort_by(f64::total_cmp);
    drains.sort_by(|a, b| a.rate.unwrap().total_cmp(&b.rate.unwrap()));
    table.add(&format!("{name}: drain of {jobs}"), "", drains[2]);
    table.add(&format!("{name}: bulk enqueue"), "", Row { rate: Some(pushes[2]), ..Row::default() });
}

fn latency(table: &mut Table, program: &Path) {
    let redis = Redis::start();
    let node = |mode: &str| {
        let mut command = Command::new("node");
        command.arg(program).args([mode, &redis.port().to_string(), "4000"]);
        command
    };
    let mut worker = Process::start("bullmq", &mut node("latency"));
    worker.wait_for_line("its start", Duration::from_secs(30), |line| (line == "ready").then_some(()));
    let mut offer = Process::start("bullmq", &mut node("offer"));
    let told: Told = worker.wait_for_line("what it took", Duration::from_secs(60), |line| {
        serde_json::from_str(line.strip_prefix("told ")?).ok()
    });
    offer.wait(Duration::from_secs(10));
    let mut waits = told.waits_us;
    waits.drain(..250);
    waits.sort_unstable();
    let waits_us = Some((waits[waits.len() / 2], waits[waits.len() * 99 / 100]));
    table.add("BullMQ 6: push to handler, 500 jobs/s", "", Row { waits_us, ..Row::default() });
}
