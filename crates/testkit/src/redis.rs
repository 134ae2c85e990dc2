//! A Redis of one's own.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use config::{Map, Reader};
use kv::Kv;

use crate::{Process, eventually_true};

/// A private `redis-server` on a free port. Its data goes when this value is dropped.
pub struct Redis {
    folder: tempfile::TempDir,
    port: u16,
    options: Vec<String>,
    process: Option<Process>,
}

impl Redis {
    /// A server that keeps nothing on disk.
    #[must_use]
    pub fn start() -> Self {
        Self::with_options(&["--save", "", "--appendonly", "no"])
    }

    /// A server with an append-only file, synced every second, so that it can be restarted.
    #[must_use]
    pub fn durable() -> Self {
        Self::durable_with(&[])
    }

    /// The same, with more options.
    #[must_use]
    pub fn durable_with(options: &[&str]) -> Self {
        let durable = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"];
        Self::with_options(&[&durable, options].concat())
    }

    /// A server with options of one's own.
    #[must_use]
    pub fn with_options(options: &[&str]) -> Self {
        Self::in_folder(&std::env::temp_dir(), options)
    }

    /// The same, with its data in a folder made under this one.
    #[must_use]
    pub fn in_folder(parent: &std::path::Path, options: &[&str]) -> Self {
        let options: Vec<_> = options.iter().map(ToString::to_string).collect();
        // Between finding a free port and binding it somebody else may take it.
        for _ in 0..5 {
            let folder = tempfile::tempdir_in(parent).expect("a folder");
            let mut redis = Self { folder, port: free_port(), options: options.clone(), process: None };
            if redis.launch() {
                return redis;
            }
        }
        panic!("no redis-server could be started (Debian: apt-get install redis-server)");
    }

    /// A durable server that is a cluster by itself (`REDIS_MODE=cluster`): to its clients keys lie in slots, as in any other.
    pub async fn cluster_of_one() -> Self {
        let bus = free_port().to_string();
        let redis = Self::durable_with(&[
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            bus.as_str(),
            "--cluster-announce-ip",
            "127.0.0.1",
        ]);
        assert!(
            ask_redis(redis.port, &["cluster", "addslotsrange", "0", "16383"]).starts_with("OK"),
            "the slots were not taken"
        );
        eventually_true("the cluster is whole", Duration::from_secs(30), async || {
            ask_redis(redis.port, &["cluster", "info"]).contains("cluster_state:ok")
        })
        .await;
        redis
    }

    fn launch(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(self.folder.path())
            .args(["--loglevel", "notice", "--logfile", ""])
            .args(&self.options);
        let mut process = Process::start("redis-server", &mut command);
        let ready = process.wait_for_line("its start", Duration::from_secs(10), |line| {
            if line.contains("eady to accept connections") {
                Some(true)
            } else if line.contains("Address already in use") || line.contains("Failed listening") {
                Some(false)
            } else {
                None
            }
        });
        self.process = Some(process);
        ready
    }

    /// `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Sends a signal by name to its process, such as `STOP` and `CONT`.
    pub fn signal(&self, name: &str) {
        self.process.as_ref().expect("it runs").signal(name);
    }

    /// Ends it politely (what is in the append-only file is kept).
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate(Duration::from_secs(10));
        }
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port and data.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "stop it first");
        assert!(self.launch(), "the port {} was taken meanwhile", self.port);
    }
}

/// The way to the server with this URL, as services have it.
#[must_use]
pub fn kv(url: &str) -> Kv {
    let source = Map::from([("REDIS_URL", url)]);
    let mut reader = Reader::new(&source);
    let settings = kv::Settings::read(&mut reader);
    Kv::connect(&reader.finish(settings).expect("a good URL")).expect("a way to Redis")
}

/// Asks the server at `port`, as people do.
#[must_use]
pub fn ask_redis(port: u16, words: &[&str]) -> String {
    let answer = Command::new("redis-cli").args(["-p", &port.to_string()]).args(words).output().expect("redis-cli");
    String::from_utf8_lossy(&answer.stdout).trim().to_owned()
}

/// A port that nobody listens at now.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).expect("a free port").local_addr().expect("an address").port()
}
