//! A primary, a replica and a Sentinel in a network of their own: fail-over.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use e2e::System;
use tempfile::TempDir;
use testkit::Process;

use crate::servers::{Network, Postgres, THERE, run};
use crate::{World, place};

const PORTS: [u16; 2] = [6379, 6380];
const SENTINEL: u16 = 26_379;
/// A second without a sign of life and the primary is down.
const WATCH: &str = "sentinel down-after-milliseconds mymaster 1000\nsentinel failover-timeout mymaster 5000\n";

/// How the primary changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    PrimaryKilled,
    FailOverOrdered,
}

pub(crate) struct Sentinel {
    system: System,
    pair: Pair,
    _postgres: Postgres,
    _folder: TempDir,
}

impl World for Sentinel {
    type Fault = Fault;

    const FAULTS: &'static [(Fault, &'static str)] = &[
        (Fault::FailOverOrdered, "Redis fail-over, ordered of Sentinel"),
        (Fault::PrimaryKilled, "Redis fail-over, the primary killed"),
    ];

    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (pair, postgres) = (Pair::start(folder.path(), Network::open()), Postgres::start());
        let url = format!("redis://{THERE}:{SENTINEL}");
        let system = System::start(place(&postgres, &url, folder.path(), &[("REDIS_MODE", "sentinel")])).await;
        Self { system, pair, _postgres: postgres, _folder: folder }
    }

    fn system(&self) -> &System {
        &self.system
    }

    async fn strike(&mut self, fault: Fault, _lasts: Duration) {
        match fault {
            Fault::PrimaryKilled => self.pair.kill_primary(),
            Fault::FailOverOrdered => drop(ask(SENTINEL, &["sentinel", "failover", "mymaster"])),
        }
    }

    async fn mend(&mut self, _fault: Fault) {
        self.pair.start_missing();
    }

    async fn recover(&mut self) {
        is_whole().await;
    }
}

/// Two servers and who watches them.
struct Pair {
    servers: [Option<Process>; 2],
    _sentinel: Process,
    network: Network,
    folder: PathBuf,
}

impl Pair {
    fn start(folder: &Path, network: Network) -> Self {
        let servers = [server(&network, folder, 0, &[]), server(&network, folder, 1, &["--replicaof", THERE, "6379"])];
        let conf = folder.join("sentinel.conf");
        let text = format!(
            "port {SENTINEL}\nbind {THERE}\nprotected-mode no\nsentinel monitor mymaster {THERE} {} 1\n{WATCH}",
            PORTS[0]
        );
        std::fs::write(&conf, text).unwrap();
        let mut command = network.inside(&["redis-server", &conf.display().to_string(), "--sentinel"]);
        let mut sentinel = Process::start("sentinel", &mut command);
        sentinel.wait_for_line("the replica", Duration::from_secs(30), |line| line.contains("+slave ").then_some(()));
        Self { servers: servers.map(Some), _sentinel: sentinel, network, folder: folder.to_owned() }
    }

    fn kill_primary(&mut self) {
        self.servers[primary()] = None;
    }

    /// It comes back as what it was; Sentinel tells it what it is now.
    fn start_missing(&mut self) {
        for place in [0, 1] {
            if self.servers[place].is_none() {
                self.servers[place] = Some(server(&self.network, &self.folder, place, &[]));
            }
        }
    }
}

/// What a server of the network says.
fn ask(port: u16, words: &[&str]) -> String {
    let port = port.to_string();
    run("redis-cli", &[&["-h", THERE, "-p", &port], words].concat())
}

/// Which of the two Sentinel takes for the primary.
fn primary() -> usize {
    let address = ask(SENTINEL, &["sentinel", "get-master-addr-by-name", "mymaster"]);
    usize::from(address.contains(&PORTS[1].to_string()))
}

/// Waits until the other one follows the primary again.
async fn is_whole() {
    testkit::eventually_true("a replica follows", Duration::from_secs(60), async || {
        let port = PORTS[primary()];
        ask(port, &["info", "replication"]).contains("state=online")
    })
    .await;
}

fn server(network: &Network, folder: &Path, place: usize, more: &[&str]) -> Process {
    let folder = folder.join(format!("redis-{place}"));
    std::fs::create_dir_all(&folder).unwrap();
    let (port, folder) = (PORTS[place].to_string(), folder.display().to_string());
    let words = ["redis-server", "--bind", THERE, "--port", &port, "--protected-mode", "no", "--dir", &folder];
    let kept = ["--save", "", "--appendonly", "yes", "--repl-diskless-sync-delay", "0"];
    let mut command: Command = network.inside(&[&words[..], &kept, more].concat());
    let mut process = Process::start("redis-server", &mut command);
    process.wait_for_line("its start", Duration::from_secs(20), |line| {
        line.contains("eady to accept connections").then_some(())
    });
    process
}
