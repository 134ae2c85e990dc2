//! Whether a provider is to be asked at all. All replicas share what one of them learned, through Redis; each looks at its
//! own copy, so asking costs nothing.
//!
//! closed → (five failures in ten seconds, or the provider's own word) → open for a while → one probe a replica → closed

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use domain::clock::{Clock, SystemClock};
use kv::{Kv, KvError, keys, redis, tried};
use telemetry::metrics::{Gauge, KeyValue, meter};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::outcome::Outcome;

/// Failures within [`WINDOW`] that open the circuit.
const FAILURES: u64 = 5;
const WINDOW: Duration = Duration::from_secs(10);
/// The first time it opens; doubled each time it opens again without a success between.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long it stays open when the provider does not serve us: a person has to act.
const LOCKED_PAUSE: Duration = Duration::from_secs(60);
/// How often each replica looks at what the others learned.
const LOOK: Duration = Duration::from_millis(250);
/// What a message waits when another one is the probe.
const PROBE_WAIT: Duration = Duration::from_millis(500);

/// The circuit of one provider. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Circuit {
    kv: Kv,
    provider: &'static str,
    state: Arc<State>,
    open: Gauge<u64>,
}

#[derive(Default)]
struct State {
    open_until_ms: AtomicI64,
    /// It was open and nothing has succeeded since.
    recovering: AtomicBool,
    probing: AtomicBool,
    openings: AtomicU64,
}

/// Leave to ask the provider once.
pub(crate) struct Permit {
    state: Arc<State>,
    probe: bool,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.probe {
            self.state.probing.store(false, Ordering::Release);
        }
    }
}

fn now_ms() -> i64 {
    SystemClock.now().timestamp_millis()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Circuit {
    /// The circuit of `provider`, watched until `shutdown`.
    pub(crate) fn new(kv: Kv, provider: &'static str, tasks: &TaskTracker, shutdown: CancellationToken) -> Self {
        let open = meter()
            .u64_gauge("provider_circuit_open")
            .with_description("1 while a provider is not asked because it fails or refuses")
            .build();
        let circuit = Self { kv, provider, state: Arc::default(), open };
        let watched = circuit.clone();
        tasks.spawn(async move {
            tokio::select! { () = watched.watch() => {}, () = shutdown.cancelled() => {} }
        });
        circuit
    }

    /// Leave to ask, or how long to wait.
    pub(crate) fn admit(&self) -> Result<Permit, Duration> {
        let left = self.state.open_until_ms.load(Ordering::Acquire).saturating_sub(now_ms());
        if let Ok(left @ 1..) = u64::try_from(left) {
            return Err(Duration::from_millis(left));
        }
        let probe = self.state.recovering.load(Ordering::Acquire);
        if probe && self.state.probing.swap(true, Ordering::AcqRel) {
            return Err(PROBE_WAIT);
        }
        Ok(Permit { state: self.state.clone(), probe })
    }

    /// Learns from an answer.
    pub(crate) async fn learn(&self, permit: Permit, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted(_) | Outcome::Refused { .. } => {
                if self.state.recovering.swap(false, Ordering::AcqRel) {
                    self.close().await;
                }
            }
            Outcome::TryLater { after: Some(after), reason, .. } => self.trip(*after, reason).await,
            Outcome::Locked { reason } => {
                tracing::error!(provider = self.provider, reason, "the provider does not serve us: a person must act");
                self.trip(LOCKED_PAUSE, reason).await;
            }
            Outcome::TryLater { reason, .. } | Outcome::Unknown { reason } => {
                if permit.probe || self.failed_too_often().await {
                    let openings = self.state.openings.fetch_add(1, Ordering::AcqRel).min(5);
                    let factor = 2_u32.saturating_pow(u32::try_from(openings).unwrap_or(5));
                    self.trip(FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE), reason).await;
                }
            }
        }
        drop(permit);
    }

    fn key(&self) -> String {
        keys::provider(self.provider, "circuit")
    }

    async fn failed_too_often(&self) -> bool {
        let key = keys::provider(self.provider, "failures");
        match kv::rate_limit::count(&self.kv, &key, WINDOW).await {
            Ok(count) => count.used >= FAILURES,
            // Without Redis there are no jobs either; the provider is spared meanwhile.
            Err(_down) => true,
        }
    }

    /// Opens it for all replicas; never shortens an opening.
    async fn trip(&self, pause: Duration, reason: &str) {
        let pause = pause.max(Duration::from_millis(100));
        let until = now_ms().saturating_add(millis(pause));
        let before = self.state.open_until_ms.fetch_max(until, Ordering::AcqRel);
        self.state.recovering.store(true, Ordering::Release);
        if before < now_ms() {
            tracing::warn!(provider = self.provider, pause_ms = millis(pause), reason, "provider circuit opened");
        }
        self.open.record(1, &[KeyValue::new("provider", self.provider)]);
        if let Err(error) = self.share(pause).await {
            tracing::warn!(provider = self.provider, error.chain = format!("{error:?}"), "other replicas were not told");
        }
    }

    async fn share(&self, pause: Duration) -> Result<(), KvError> {
        // `GT` would need a key that exists; a shorter opening than the one in force changes nothing that matters.
        redis::cmd("SET")
            .arg(self.key())
            .arg("open")
            .arg("PX")
            .arg(millis(pause))
            .query_async(&mut self.kv.commands())
            .await
            .map_err(tried("opening a circuit"))
    }

    async fn close(&self) {
        self.state.openings.store(0, Ordering::Release);
        self.open.record(0, &[KeyValue::new("provider", self.provider)]);
        tracing::info!(provider = self.provider, "provider circuit closed");
        // What cannot be deleted runs out by itself.
        let _runs_out = kv::cache::forget(&self.kv, &keys::provider(self.provider, "failures")).await;
    }

    async fn watch(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let left: Result<i64, _> =
                redis::cmd("PTTL").arg(self.key()).query_async(&mut self.kv.commands()).await;
            if let Ok(left @ 1..) = left {
                let until = now_ms().saturating_add(left);
                if self.state.open_until_ms.fetch_max(until, Ordering::AcqRel) < now_ms() {
                    self.state.recovering.store(true, Ordering::Release);
                }
            }
        }
    }
}
