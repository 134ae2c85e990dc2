//! The real binaries, as processes.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::Process;

/// A running service.
pub struct Service {
    process: Process,
    http: Option<String>,
    ops: String,
}

impl Service {
    /// Starts the binary `name` with `environment` and nothing else of ours, and waits until it listens.
    #[must_use]
    pub fn start(name: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary(name));
        command
            .env_clear()
            .envs(std::env::vars_os().filter(|(key, _)| key == "PATH" || key == "HOME" || key == "RUST_BACKTRACE"))
            .envs([("LOG_FORMAT", "json"), ("OPS_ADDR", "127.0.0.1:0"), ("HTTP_ADDR", "127.0.0.1:0")])
            .envs(environment.iter().copied());
        if name == "cashback-sync" {
            // As every deployment of it has it (ADR 37).
            command.env("MALLOC_ARENA_MAX", "1");
        }
        let mut process = Process::start(name, &mut command);
        let limit = Duration::from_secs(20);
        let ops = process.wait_for_line("the ops address", limit, |line| listening(line, "ops"));
        let serves_http = matches!(name, "redirector" | "webhooks" | "admin");
        let http =
            serves_http.then(|| process.wait_for_line("the HTTP address", limit, |line| listening(line, "http")));
        Self { process, http, ops }
    }

    /// `http://127.0.0.1:PORT` of its public side.
    #[must_use]
    pub fn http(&self) -> &str {
        self.http.as_deref().expect("a service that serves HTTP")
    }

    /// `http://127.0.0.1:PORT` of its ops side.
    #[must_use]
    pub fn ops(&self) -> &str {
        &self.ops
    }

    /// The process itself: signals, output, end.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Everything it logged.
    #[must_use]
    pub fn logs(&self) -> String {
        self.process.lines().join("\n")
    }

    /// Waits until `/readyz` says yes.
    pub async fn ready(&self) {
        let url = format!("{}/readyz", self.ops);
        let client = crate::http();
        crate::eventually_true("readiness", Duration::from_secs(20), async || {
            client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }
}

fn listening(line: &str, endpoint: &str) -> Option<String> {
    let entry: Value = serde_json::from_str(line).ok()?;
    (entry["message"] == "listening" && entry["endpoint"] == endpoint)
        .then(|| format!("http://{}", entry["address"].as_str().unwrap_or_default()))
}

/// The path of one of our binaries: in the folder that `BINARIES` names, or beside the test executable, where
/// `cargo build --workspace --bins` puts it.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let path = std::env::var_os("BINARIES").map_or_else(beside_this_executable, PathBuf::from).join(name);
    assert!(path.exists(), "{} is not there: run `cargo build --workspace --bins` first", path.display());
    path
}

fn beside_this_executable() -> PathBuf {
    let mut folder = std::env::current_exe().expect("the path of this executable");
    folder.pop();
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folder.pop();
    }
    folder
}
