//! Sleeping until a list has something in it.

use std::sync::Arc;
use std::time::Duration;

use kv::{Kv, redis};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const BLOCK: Duration = Duration::from_secs(2);

/// Watches lists for a lane. A watch is armed only while the lane is idle, so a busy lane costs nothing.
pub(crate) struct Wake {
    arms: Vec<Arc<Notify>>,
    woke: Arc<Notify>,
}

impl Wake {
    /// Watches `lists`, each on a connection of its own, until `shutdown`.
    pub(crate) fn watch(kv: &Kv, lists: Vec<String>, tasks: &TaskTracker, shutdown: &CancellationToken) -> Self {
        let woke = Arc::new(Notify::new());
        let arms = lists
            .into_iter()
            .map(|list| {
                let arm = Arc::new(Notify::new());
                let watch = watch(kv.clone(), list, arm.clone(), woke.clone());
                let shutdown = shutdown.clone();
                tasks.spawn(async move {
                    tokio::select! { () = watch => {}, () = shutdown.cancelled() => {} }
                });
                arm
            })
            .collect();
        Self { arms, woke }
    }

    /// Ends when a list has something, or a watch cannot tell.
    pub(crate) async fn woken(&self) {
        self.arms.iter().for_each(|arm| arm.notify_one());
        self.woke.notified().await;
    }
}

async fn watch(kv: Kv, list: String, arm: Arc<Notify>, woke: Arc<Notify>) {
    let mut connection = None;
    loop {
        arm.notified().await;
        let redis = match &mut connection {
            Some(redis) => redis,
            None => match kv.blocking(BLOCK).await {
                Ok(redis) => connection.insert(redis),
                Err(_down) => {
                    // The lane meets the same trouble in its turn, and says so.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    arm.notify_one();
                    continue;
                }
            },
        };
        // Head to head of the same list: it ends when there is an element, and moves nothing.
        let answer: Result<Option<Vec<u8>>, _> = redis::cmd("BLMOVE")
            .arg(&list)
            .arg(&list)
            .arg("LEFT")
            .arg("LEFT")
            .arg(BLOCK.as_secs_f64())
            .query_async(redis)
            .await;
        match answer {
            Ok(Some(_element)) => woke.notify_one(),
            Ok(None) => arm.notify_one(),
            Err(_broken) => {
                connection = None;
                arm.notify_one();
            }
        }
    }
}
