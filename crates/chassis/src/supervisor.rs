//! Tells systemd how the service is, where systemd asked for it (`Type=notify`, `WatchdogSec=`). Elsewhere nothing happens.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use config::Source;
use tokio_util::sync::CancellationToken;

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

    /// Says that we are up, then at a third of the limit that we still are, and in the end that we are going. It runs on the
    /// same runtime as everything else: when that is stuck, systemd hears nothing and starts us anew.
    pub(crate) async fn keep_told(self, shutdown: CancellationToken) {
        if let Err(error) = self.tell("READY=1\nSTATUS=serving") {
            tracing::warn!(%error, "systemd cannot be told that the service is up");
            return;
        }
        let pause = self.watchdog.map_or(Duration::from_hours(24), |limit| limit / 3);
        while tokio::time::timeout(pause, shutdown.cancelled()).await.is_err() {
            // A message that is lost is followed by another one in time.
            let _lost = self.tell("WATCHDOG=1");
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
