//! A Postgres server of one's own, for what breaks it or measures with it. Tests that only need a database share one:
//! [`crate::Database`].

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A Postgres server on a socket, which syncs its commits to disk and ends with this process.
pub struct Cluster {
    url: String,
}

impl Cluster {
    /// Starts it with options such as `max_connections=300`.
    #[must_use]
    pub fn start(options: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let process = std::process::id();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/setup/cluster.sh");
        let output = Command::new("bash")
            .args([script, &process.to_string()])
            .arg(std::env::temp_dir().join(format!("shop-pg-{process}-{number}")))
            .args(options.iter().flat_map(|option| ["-c", option]))
            .stderr(Stdio::inherit())
            .output()
            .expect("bash can be run");
        assert!(output.status.success(), "Postgres did not start; the lines above say why");
        Self { url: String::from_utf8(output.stdout).expect("an address").trim().to_owned() }
    }

    /// Address of the database of this name; `postgres` is always there.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.url)
    }

    /// The folder of its socket; its data lie in `data` there.
    #[must_use]
    pub fn folder(&self) -> String {
        self.url.rsplit('@').next().unwrap_or_default().replace("%2F", "/")
    }

    /// The server's processes: the one that was started, and one for each connection and chore.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let path = format!("{}/data/postmaster.pid", self.folder());
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let first = text.lines().next().and_then(|line| line.trim().parse().ok()).expect("the number of its process");
        crate::usage::children(first).into_iter().chain([first]).collect()
    }
}
