//! Servers in company: Sentinels that watch a primary and its replica, and a cluster of three.

use std::process::Command;
use std::time::Duration;

use testkit::{Process, Redis, ask_redis, eventually_true, free_port};

use crate::stage::SOON;

/// A primary, a replica, and three Sentinels.
pub(crate) struct Watched {
    pub(crate) primary: Redis,
    pub(crate) replica: Redis,
    sentinels: Vec<u16>,
    _processes: Vec<Process>,
    _folder: tempfile::TempDir,
}

impl Watched {
    pub(crate) async fn start() -> Self {
        let primary = Redis::durable();
        let port = primary.port().to_string();
        let replica = Redis::durable_with(&["--replicaof", "127.0.0.1", &port]);
        eventually_true("the replica follows", SOON, async || {
            ask_redis(replica.port(), &["info", "replication"]).contains("master_link_status:up")
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let (mut sentinels, mut processes) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let own = free_port();
            let file = folder.path().join(format!("{own}.conf"));
            let text = format!(
                "port {own}\nbind 127.0.0.1\ndir {}\nsentinel monitor mymaster 127.0.0.1 {port} 2\n\
                 sentinel down-after-milliseconds mymaster 1000\nsentinel failover-timeout mymaster 5000\n",
                folder.path().display()
            );
            std::fs::write(&file, text).unwrap();
            let mut process = Process::start("sentinel", Command::new("redis-server").arg(&file).arg("--sentinel"));
            process.wait_for_line("its watch", SOON, |line| line.contains("+monitor master").then_some(()));
            sentinels.push(own);
            processes.push(process);
        }
        let all = Self { primary, replica, sentinels, _processes: processes, _folder: folder };
        eventually_true("the Sentinels know each other and the replica", SOON, async || {
            all.sentinels.iter().all(|own| {
                let known = ask_redis(*own, &["sentinel", "master", "mymaster"]);
                known.contains("num-other-sentinels\n2") && known.contains("num-slaves\n1")
            })
        })
        .await;
        all
    }

    /// `REDIS_URL` for `REDIS_MODE=sentinel`.
    pub(crate) fn url(&self) -> String {
        self.sentinels.iter().map(|port| format!("redis://127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    }

    /// Whom the Sentinels name.
    pub(crate) fn named(&self) -> u16 {
        let answer = ask_redis(self.sentinels[0], &["sentinel", "get-master-addr-by-name", "mymaster"]);
        answer.lines().last().unwrap().parse().unwrap()
    }
}

/// A cluster of three, each with a third of the slots.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Redis>,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let buses: Vec<_> = (0..3).map(|_| free_port()).collect();
        let node = |bus: &u16| {
            Redis::durable_with(&[
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus.to_string(),
                "--cluster-node-timeout",
                "3000",
            ])
        };
        let nodes: Vec<_> = buses.iter().map(node).collect();
        for (index, (first, last)) in [("0", "5460"), ("5461", "10922"), ("10923", "16383")].into_iter().enumerate() {
            let port = nodes[index].port();
            assert_eq!(ask_redis(port, &["cluster", "set-config-epoch", &(index + 1).to_string()]), "OK");
            assert_eq!(ask_redis(port, &["cluster", "addslotsrange", first, last]), "OK");
            let (other, bus) = (nodes[0].port().to_string(), buses[0].to_string());
            assert_eq!(ask_redis(port, &["cluster", "meet", "127.0.0.1", &other, &bus]), "OK");
        }
        let cluster = Self { nodes };
        eventually_true("the cluster is whole", Duration::from_secs(60), async || cluster.is_whole()).await;
        cluster
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.nodes.iter().all(|node| {
            let info = ask_redis(node.port(), &["cluster", "info"]);
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        })
    }

    /// `REDIS_URL` for `REDIS_MODE=cluster`.
    pub(crate) fn url(&self) -> String {
        self.nodes.iter().map(Redis::url).collect::<Vec<_>>().join(",")
    }

    /// The node that has `key`.
    pub(crate) fn home(&mut self, key: &str) -> &mut Redis {
        let slot: u16 = ask_redis(self.nodes[0].port(), &["cluster", "keyslot", key]).parse().unwrap();
        &mut self.nodes[usize::from(slot > 5_460) + usize::from(slot > 10_922)]
    }
}
