//! What the parts of a running service share: its end, its tasks, its readiness, its life.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, TryFutureExt};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::pulse::Pulse;

/// How long a loop may take to go round once before the service counts as stuck. Above what any of them waits for, also while
/// Redis and Postgres are away.
const STILL: Duration = Duration::from_secs(20);

type Sign = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;
type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Handed to a service when it starts. Cheap to clone.
#[derive(Clone, Default)]
pub struct Life {
    shutdown: CancellationToken,
    tasks: TaskTracker,
    checks: Arc<Mutex<Vec<(&'static str, Check)>>>,
    signs: Arc<Mutex<Vec<(&'static str, Sign)>>>,
}

impl Life {
    /// Cancelled when the service must end.
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Where background tasks are spawned, so that the end waits for them.
    #[must_use]
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Adds a condition of readiness. The text of a failure is shown at `/readyz`, so it must hold no secret.
    pub fn ready<F, Fut>(&self, name: &'static str, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        let check: Check = Arc::new(move || check().boxed());
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).push((name, check));
    }

    /// Adds that a part of the service answers to `ask` as a condition of readiness.
    pub fn answers<P, Fut, E>(&self, name: &'static str, part: &P, ask: impl Fn(P) -> Fut + Send + Sync + 'static)
    where
        P: Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display + 'static,
    {
        let part = part.clone();
        self.ready(name, move || ask(part.clone()).map_err(|error| error.to_string()));
    }

    /// Adds a condition of life. A service of which one fails is stuck and gets killed, so it may only fail where a new start
    /// helps: never because Redis or Postgres is away. It must answer at once.
    pub fn alive(&self, name: &'static str, sign: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.signs.lock().unwrap_or_else(PoisonError::into_inner).push((name, Arc::new(sign)));
    }

    /// A pulse for a loop to beat; a loop that does not for twenty seconds is a failed condition of life. One that ended, and
    /// with it its pulse, is not missed.
    #[must_use]
    pub fn pulse(&self, name: &'static str) -> Pulse {
        let pulse = Pulse::new();
        let beaten = pulse.watched();
        self.alive(name, move || beaten.check(STILL));
        pulse
    }

    /// The loops that stand still, with how long. Nobody is stuck who is ending: that has a limit of its own.
    pub(crate) fn stuck(&self) -> Vec<String> {
        if self.shutdown.is_cancelled() {
            return Vec::new();
        }
        let signs = self.signs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        signs.iter().filter_map(|(name, sign)| Some(format!("{name}: {}", sign().err()?))).collect()
    }

    /// The result of every readiness check, each with two seconds at most.
    pub(crate) async fn readiness(&self) -> Vec<(&'static str, Result<(), String>)> {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let results = checks.into_iter().map(|(name, check)| async move {
            let result = tokio::time::timeout(Duration::from_secs(2), check()).await;
            (name, result.unwrap_or_else(|_elapsed| Err("no answer within 2 s".to_owned())))
        });
        futures_util::future::join_all(results).await
    }
}
