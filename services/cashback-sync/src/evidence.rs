//! What networks refused, in the audit log.

use domain::network::Network;
use networks::NetworkError;
use serde_json::json;
use store::audit::{self, Action};

use crate::parts::Parts;

/// Writes down that a network did not answer as it should, after all attempts of a call. The log is evidence for later
/// talks with the network; that it cannot be written is no reason to fail the work itself.
pub(crate) async fn note_error(parts: &Parts, network: Network, asked_for_by: &str, error: &NetworkError) {
    let target = format!("network:{network}");
    let action = Action {
        actor: "cashback-sync",
        role: "service",
        action: "network.error",
        target: &target,
        reason: asked_for_by,
        after: Some(json!({
            "error": error.to_string(),
            "transient": error.is_transient(),
            "retry_after_ms": error.retry_after().map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        })),
        ..Action::default()
    };
    let written = async { audit::insert(&parts.pool.get().await?, &action).await };
    if let Err(error) = written.await {
        let chain = format!("{:#}", anyhow::Error::from(error));
        tracing::warn!(%network, error.chain = chain, "a network's refusal could not be written down");
    }
}
