//! The simulated providers.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::{Process, binary, http};

/// A running `provider-sim`. Its control API is described in its README.
pub struct Sim {
    process: Process,
    base: String,
}

impl Sim {
    /// Starts it on a free port.
    #[must_use]
    pub fn start() -> Self {
        Self::with_arguments(&["--port", "0"])
    }

    /// Starts it with arguments of one's own.
    #[must_use]
    pub fn with_arguments(arguments: &[&str]) -> Self {
        let mut process = Process::start("provider-sim", Command::new(binary("provider-sim")).args(arguments));
        let base = process.wait_for_line("its address", Duration::from_secs(10), |line| {
            line.strip_prefix("listening on ").map(|address| format!("http://{address}"))
        });
        Self { process, base }
    }

    /// Its address with a path, such as `/sendgrid`.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Port of its mail server, when it was started with `--smtp-port`.
    pub fn smtp_port(&mut self) -> u16 {
        self.process.wait_for_line("the port of its mail server", Duration::from_secs(10), |line| {
            line.strip_prefix("smtp on ")?.rsplit_once(':')?.1.parse().ok()
        })
    }

    /// The process itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Posts to its control API and gives its answer; panics unless it is a success.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = http().post(self.at(path)).json(body).send().await.expect("provider-sim answers");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "provider-sim refused {path} {body}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Gets from its control API.
    pub async fn get(&self, path: &str) -> Value {
        let answer = http().get(self.at(path)).send().await.expect("provider-sim answers");
        answer.json().await.expect("JSON")
    }

    /// Deletes at its control API.
    pub async fn delete(&self, path: &str) {
        let answer = http().delete(self.at(path)).send().await.expect("provider-sim answers");
        assert!(answer.status().is_success(), "provider-sim refused to delete {path}: {}", answer.status());
    }
}
