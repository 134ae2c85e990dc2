//! A circuit breaker that all replicas share: when a provider is down, jobs wait instead of trying in turn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kv::redis::RedisError;
use kv::{Connection, Kv, keys};
use telemetry::metrics::{Gauge, KeyValue, meter};

use crate::handler::{JobError, Outcome};
use crate::scripts::{CIRCUIT, call, run};
use crate::verdict::millis;

/// When a circuit opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct CircuitPolicy {
    /// This many failures within `window`, at least, open it…
    pub failures: u32,
    /// …when they are this share of all outcomes, in percent.
    pub percent: u8,
    /// How long outcomes are added up.
    pub window: Duration,
    /// How long it stays open before one job may try.
    pub open_for: Duration,
}

impl Default for CircuitPolicy {
    fn default() -> Self {
        Self { failures: 10, percent: 50, window: Duration::from_secs(10), open_for: Duration::from_secs(15) }
    }
}

/// Whether the way is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    Closed,
    /// It may be probed after this long.
    Open(Duration),
    /// This caller probes it.
    Probe,
}

/// How long an answer is good for before Redis is asked again.
const FRESH: Duration = Duration::from_millis(200);

/// A named circuit. Clones share what they know; replicas share through Redis.
///
/// Give it to a queue ([`crate::WorkerBuilder::circuit`]) and the queue's jobs wait while it is open; or wrap single calls in
/// [`Circuit::guard`] when one queue talks to several providers.
#[derive(Clone)]
pub struct Circuit {
    kv: Kv,
    key: String,
    policy: CircuitPolicy,
    known: Arc<Mutex<Option<(Instant, Passage)>>>,
    /// When this process was given a probe that no call has used yet.
    granted: Arc<Mutex<Option<Instant>>>,
    failures: Arc<AtomicU64>,
    open: Gauge<u64>,
    name: KeyValue,
}

impl Circuit {
    /// The circuit `name`, such as a provider's.
    #[must_use]
    pub fn new(kv: Kv, name: &str, policy: CircuitPolicy) -> Self {
        let open =
            meter().u64_gauge("circuit_open").with_description("1 while a provider is not asked, by circuit").build();
        let name_of = KeyValue::new("circuit", name.to_owned());
        open.record(0, std::slice::from_ref(&name_of));
        let key = keys::circuit(name);
        Self {
            key,
            kv,
            policy,
            known: Arc::default(),
            granted: Arc::default(),
            failures: Arc::default(),
            open,
            name: name_of,
        }
    }

    /// Runs `call` if the circuit lets it, and reports how it ended: [`JobError::Retry`] and [`JobError::RetryAfter`] are the
    /// provider's failures, [`JobError::Fail`] and success show that it answers, [`JobError::Defer`] says nothing. While it is
    /// open the answer is [`JobError::Defer`]: no attempt is burnt.
    pub async fn guard(&self, call: impl Future<Output = Outcome>) -> Outcome {
        // When Redis cannot be asked, the provider is.
        let passage = self.passage().await.unwrap_or(Passage::Closed);
        if let Passage::Open(wait) = passage {
            let wait = wait.max(Duration::from_secs(1));
            return Err(JobError::Defer(wait, anyhow::anyhow!("the circuit is open")));
        }
        let outcome = call.await;
        let (ok, bad) = match &outcome {
            Ok(()) | Err(JobError::Fail(_)) => (1, 0),
            Err(JobError::Retry(_) | JobError::RetryAfter(..)) => (0, 1),
            Err(JobError::Defer(..)) => (0, 0),
        };
        let had_failures = if bad > 0 {
            self.failures.fetch_add(1, Ordering::Relaxed);
            true
        } else {
            // Successes matter only against failures: without any, they are not worth a call.
            self.failures.load(Ordering::Relaxed) > 0
        };
        if had_failures || passage == Passage::Probe {
            let mut redis = self.kv.commands();
            match self.settle(&mut redis, ok, bad, false).await {
                Ok(Passage::Closed) if bad == 0 => self.failures.store(0, Ordering::Relaxed),
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "an outcome could not be reported to its circuit"),
            }
        }
        outcome
    }

    async fn passage(&self) -> Result<Passage, RedisError> {
        if self.take_grant() {
            return Ok(Passage::Probe);
        }
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some((when, passage)) if when.elapsed() < FRESH && passage != Passage::Probe => Ok(passage),
            _ => {
                let passage = self.settle(&mut self.kv.commands(), 0, 0, true).await?;
                if passage == Passage::Probe {
                    self.take_grant();
                }
                Ok(passage)
            }
        }
    }

    /// The queue's loop asks for the probe before it claims the job that is to use it. That job's call has it then: it must not
    /// ask again, since Redis would tell it that somebody else is at it.
    fn take_grant(&self) -> bool {
        let granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner).take();
        granted.is_some_and(|when| when.elapsed() < self.policy.open_for)
    }

    /// Reports outcomes, and hears whether the way is open; `may_probe` when the caller would use a probe at once.
    pub(crate) async fn settle(
        &self,
        redis: &mut Connection,
        ok: u64,
        bad: u64,
        may_probe: bool,
    ) -> Result<Passage, RedisError> {
        let mut cmd = call(&CIRCUIT, &[&self.key]);
        cmd.arg(ok).arg(bad).arg(self.policy.failures).arg(self.policy.percent);
        cmd.arg(millis(self.policy.window)).arg(millis(self.policy.open_for)).arg(u8::from(may_probe));
        let (state, wait): (i64, u64) = run(redis, &CIRCUIT, &cmd).await?;
        let passage = match state {
            0 => Passage::Closed,
            2 => Passage::Probe,
            _ => Passage::Open(Duration::from_millis(wait)),
        };
        self.open.record(u64::from(passage != Passage::Closed), std::slice::from_ref(&self.name));
        let now = Instant::now();
        match passage {
            Passage::Probe => *self.granted.lock().unwrap_or_else(PoisonError::into_inner) = Some(now),
            Passage::Closed => *self.granted.lock().unwrap_or_else(PoisonError::into_inner) = None,
            Passage::Open(_) => {}
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, passage));
        Ok(passage)
    }
}
