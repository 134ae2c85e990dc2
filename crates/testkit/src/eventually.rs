//! Waiting for a state, with a bound.

use std::time::{Duration, Instant};

/// Asks until `look` gives a value, and panics with `what` after `limit`.
pub async fn eventually<T, F>(what: &str, limit: Duration, mut look: F) -> T
where
    F: AsyncFnMut() -> Option<T>,
{
    let begin = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(begin.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Asks until `look` says yes, and panics with `what` after `limit`.
pub async fn eventually_true<F>(what: &str, limit: Duration, mut look: F)
where
    F: AsyncFnMut() -> bool,
{
    eventually(what, limit, async || look().await.then_some(())).await;
}
