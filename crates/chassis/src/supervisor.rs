//! Tells systemd how the service is, where systemd asked for it (`Type=notify`, `WatchdogSec=`). Elsewhere nothing happens.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use config::Source;

use crate::Life;

/// The supervisor's ear.
#[derive(Debug, Clone)]
pub(crate) struct Supervisor {
    address: SocketAddr,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The one that started us, if it wants to be told. An address that cannot be used counts as none: systemd then ends
    /// the start by its own time limit and says why.
    pub(crate) fn find(source: &dyn Source) -> Option<Self> {
        let address = source.get("NOTIFY_SOCKET")?;
        let address = match address.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(&address),
        };
        let watchdog = source.get("WATCHDOG_USEC").and_then(|text| text.parse().ok()).map(Duration::from_micros);
        Some(Self { address: address.ok()?, watchdog: watchdog.filter(|limit| !limit.is_zero()) })
    }

    fn tell(&self, state: &str) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(state.as_bytes(), &self.address)?;
        Ok(())
    }

    /// Says that we are up, then at a third of the limit that we still are, and in the end that we are going. When a loop of
    /// the service stands still, or the runtime that all of them share, systemd hears nothing and starts us anew.
    pub(crate) async fn keep_told(self, life: Life) {
        let shutdown = life.shutdown();
        if let Err(error) = self.tell("READY=1\nSTATUS=serving") {
            tracing::warn!(%error, "systemd cannot be told that the service is up");
            return;
        }
        let pause = self.watchdog.map_or(Duration::from_hours(24), |limit| limit / 3);
        while tokio::time::timeout(pause, shutdown.cancelled()).await.is_err() {
            let stuck = life.stuck();
            if stuck.is_empty() {
                // A message that is lost is followed by another one in time.
                let _lost = self.tell("WATCHDOG=1");
            } else {
                tracing::error!(stuck = stuck.join("; "), "a loop stands still; systemd is not told that we live");
            }
        }
        let _lost = self.tell("STOPPING=1\nSTATUS=finishing what runs");
        // The drain may take longer than the watchdog's limit.
        if let Some(limit) = self.watchdog {
            loop {
                tokio::time::sleep(limit / 3).await;
                let _lost = self.tell("WATCHDOG=1");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Ear(tokio::net::UnixDatagram);

    impl Ear {
        /// The next message, if there is one within twenty times the pause between two.
        async fn hear(&self) -> Option<String> {
            let mut bytes = [0; 200];
            let heard = tokio::time::timeout(Duration::from_millis(200), self.0.recv(&mut bytes)).await;
            let length = heard.ok()?.unwrap();
            Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
        }
    }

    #[tokio::test]
    async fn systemd_hears_nothing_while_a_loop_stands_still() {
        let name = format!("shop-supervisor-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let ear = Ear(tokio::net::UnixDatagram::from_std(socket).unwrap());
        let source = config::Map::from([("NOTIFY_SOCKET", &*format!("@{name}")), ("WATCHDOG_USEC", "30000")]);
        let life = Life::default();
        let turns = Arc::new(AtomicBool::new(true));
        let seen = turns.clone();
        life.alive("loop", move || if seen.load(Ordering::Relaxed) { Ok(()) } else { Err("stands".to_owned()) });
        let supervisor = Supervisor::find(&source).unwrap();
        life.tasks().spawn(supervisor.keep_told(life.clone()));

        assert!(ear.hear().await.unwrap().starts_with("READY=1"));
        assert_eq!(ear.hear().await.as_deref(), Some("WATCHDOG=1"));
        turns.store(false, Ordering::Relaxed);
        // One may be under way.
        let _last = ear.hear().await;
        assert_eq!(ear.hear().await, None);
        turns.store(true, Ordering::Relaxed);
        assert_eq!(ear.hear().await.as_deref(), Some("WATCHDOG=1"));
        turns.store(false, Ordering::Relaxed);
        let _last = ear.hear().await;
        life.shutdown().cancel();
        assert!(ear.hear().await.unwrap().starts_with("STOPPING=1"));
        assert_eq!(ear.hear().await.as_deref(), Some("WATCHDOG=1"), "the drain has a limit of its own");
    }
}
