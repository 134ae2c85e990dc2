//! A Postgres, and a Redis in a network of its own, that can be broken in every way.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::{Cluster, Process};

/// Runs a command; panics with what it said unless it succeeds.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {said}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A network namespace with one cable to this one. Needs root.
pub(crate) struct Network {
    name: String,
    cable: String,
}

const HERE: &str = "10.213.77.1";
pub(crate) const THERE: &str = "10.213.77.2";
/// Redis in that network.
pub(crate) const REDIS_URL: &str = "redis://10.213.77.2:6379";

impl Network {
    pub(crate) fn open() -> Self {
        let known = run("ip", &["-brief", "address"]);
        assert!(!known.contains(HERE), "a run that was cut off left its network and servers behind:\n{known}");
        let number = std::process::id();
        let network = Self { name: format!("chaos{number}"), cable: format!("chaos{}", number % 100_000) };
        let (name, cable) = (network.name.as_str(), network.cable.as_str());
        run("ip", &["netns", "add", name]);
        run("ip", &["link", "add", cable, "type", "veth", "peer", "name", "redis0", "netns", name]);
        run("ip", &["addr", "add", &format!("{HERE}/30"), "dev", cable]);
        run("ip", &["-n", name, "addr", "add", &format!("{THERE}/30"), "dev", "redis0"]);
        // Servers there speak to each other by the same address.
        run("ip", &["-n", name, "link", "set", "lo", "up"]);
        run("ip", &["-n", name, "link", "set", "redis0", "up"]);
        network.mend();
        network
    }

    /// A command that runs in it.
    pub(crate) fn inside(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).args(words);
        command
    }

    /// Packets are lost without a word: nobody is told that a connection is gone.
    pub(crate) fn cut(&self) {
        run("ip", &["-n", &self.name, "link", "set", "redis0", "down"]);
    }

    pub(crate) fn mend(&self) {
        run("ip", &["link", "set", &self.cable, "up"]);
        run("ip", &["-n", &self.name, "link", "set", "redis0", "up"]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _gone = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// A Redis that keeps its data over a restart.
pub(crate) struct Redis {
    folder: String,
    process: Option<Process>,
}

impl Redis {
    pub(crate) fn start(folder: &Path, network: &Network) -> Self {
        let mut redis = Self { folder: folder.display().to_string(), process: None };
        redis.start_again(network);
        redis
    }

    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    pub(crate) fn signal(&self, name: &str) {
        self.process.as_ref().unwrap().signal(name);
    }

    /// In the network, with every write synced: what it acknowledged it still has after a kill.
    pub(crate) fn start_again(&mut self, network: &Network) {
        let mut command = network.inside(&["redis-server", "--bind", THERE, "--protected-mode", "no"]);
        command.args(["--dir", &self.folder, "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        let mut process = Process::start("redis-server", &mut command);
        process.wait_for_line("its start", Duration::from_secs(20), |line| {
            line.contains("eady to accept connections").then_some(())
        });
        self.process = Some(process);
    }
}

/// A Postgres that can be killed and started again.
pub(crate) struct Postgres(Cluster);

impl Postgres {
    pub(crate) fn start() -> Self {
        Self(Cluster::start(&["max_connections=300"]))
    }

    pub(crate) fn url(&self) -> String {
        self.0.url("postgres")
    }

    fn control(&self, arguments: &[&str]) {
        let control = run("bash", &["-c", "ls /usr/lib/postgresql/*/bin/pg_ctl | sort -V | tail -n 1"]);
        let data = format!("{}/data", self.0.folder());
        let mut all =
            vec!["--reuid", "postgres", "--regid", "postgres", "--clear-groups", &control, "-D", &data, "-s", "-w"];
        all.extend(arguments);
        let status = Command::new("setpriv").args(&all).current_dir("/").stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "pg_ctl {arguments:?}");
    }

    /// At once, as a crash would: no connection is told, nothing is flushed.
    pub(crate) fn kill(&self) {
        self.control(&["-m", "immediate", "stop"]);
    }

    pub(crate) fn start_again(&self) {
        let options = std::fs::read_to_string(format!("{}/data/postmaster.opts", self.0.folder())).unwrap();
        // The file holds the whole command line; what follows the data folder are the options.
        let (_, options) = options.trim().split_once("\"-D\"").unwrap();
        let options = options.split('"').skip(3).filter(|part| !part.trim().is_empty()).collect::<Vec<_>>().join(" ");
        self.control(&["-l", &format!("{}/data/log", self.0.folder()), "-o", &options, "start"]);
    }
}
