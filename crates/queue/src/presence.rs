//! Signs of life of services that work on no queue, in the same form as those of workers.

use std::time::Duration;

use domain::ids::WorkerId;
use kv::Kv;
use tokio_util::sync::CancellationToken;

use crate::heartbeat::Heartbeat;

const BEAT: Duration = Duration::from_secs(2);
/// A sign that is not renewed is gone after this long.
const LIFE: Duration = Duration::from_secs(10);

/// Shows until `end` that one process of `service` lives, beside the workers in [`crate::admin::workers`].
pub async fn show(kv: Kv, service: &'static str, end: CancellationToken) {
    let mut sign = Heartbeat::begin(WorkerId::generate(), service, Vec::new());
    loop {
        if let Err(error) = sign.beat(&mut kv.commands(), LIFE).await {
            tracing::debug!(%error, "the sign of life could not be written");
        }
        tokio::select! {
            () = end.cancelled() => break,
            () = tokio::time::sleep(BEAT) => {}
        }
    }
    sign.end(&mut kv.commands()).await;
}
