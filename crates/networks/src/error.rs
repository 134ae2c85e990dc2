//! Why a network could not be asked.

use std::time::Duration;

use domain::network::Network;
use outbound::ProviderError;

/// Why a network could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// It did not answer as it should.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// It offers no such question.
    #[error("{network} cannot be asked {question}")]
    Unsupported {
        /// Which network.
        network: Network,
        /// What was to be asked.
        question: &'static str,
    },
    /// The cursor is not one of this network and window. The window has to be read from its start.
    #[error("the cursor of {network} cannot be read")]
    BadCursor {
        /// Which network.
        network: Network,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl NetworkError {
    /// Whether the same question may be answered later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Provider(error) if error.is_transient())
    }

    /// How long the network asked us to wait.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Provider(error) => error.retry_after(),
            _ => None,
        }
    }
}
