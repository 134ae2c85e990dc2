//! What the parts of a running service share: its end, its tasks, its readiness.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Handed to a service when it starts. Cheap to clone.
#[derive(Clone, Default)]
pub struct Life {
    shutdown: CancellationToken,
    tasks: TaskTracker,
    checks: Arc<Mutex<Vec<(&'static str, Check)>>>,
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

    /// The result of every readiness check, each with two seconds at most.
    pub(crate) async fn readiness(&self) -> Vec<(&'static str, Result<(), String>)> {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let results = checks.into_iter().map(|(name, check)| async move {
            let result = tokio::time::timeout(std::time::Duration::from_secs(2), check()).await;
            (name, result.unwrap_or_else(|_elapsed| Err("no answer within 2 s".to_owned())))
        });
        futures_util::future::join_all(results).await
    }
}
