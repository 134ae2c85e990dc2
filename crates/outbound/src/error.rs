//! Why a provider did not do what was asked.

use std::time::Duration;

/// Why a provider did not do what was asked, by what may be done next.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It did not take the request; the same request may succeed later.
    #[error("{provider} cannot take requests now: {detail}")]
    TryLater {
        /// Who.
        provider: &'static str,
        /// What it said.
        detail: String,
        /// How long it asked us to wait.
        after: Option<Duration>,
    },
    /// It refused; the same request will be refused again.
    #[error("{provider} refused: {detail}")]
    Refused {
        /// Who.
        provider: &'static str,
        /// What it said.
        detail: String,
    },
    /// It does not let us in, or our account is out of order: nothing will succeed until a person acts.
    #[error("{provider} does not serve us: {detail}")]
    Locked {
        /// Who.
        provider: &'static str,
        /// What it said.
        detail: String,
    },
    /// The request was sent and no whole answer came: it may have had its effect.
    #[error("{provider} did not answer in time; whether it acted is unknown")]
    Unknown {
        /// Who.
        provider: &'static str,
        /// What happened on the wire.
        #[source]
        source: reqwest::Error,
    },
    /// It answered with something that is not its contract.
    #[error("{provider} answered with something unreadable: {detail}")]
    Unreadable {
        /// Who.
        provider: &'static str,
        /// What came.
        detail: String,
    },
}

impl ProviderError {
    /// Who did not do it.
    #[must_use]
    pub const fn provider(&self) -> &'static str {
        match self {
            Self::TryLater { provider, .. }
            | Self::Refused { provider, .. }
            | Self::Locked { provider, .. }
            | Self::Unknown { provider, .. }
            | Self::Unreadable { provider, .. } => provider,
        }
    }

    /// How long the provider asked us to wait.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TryLater { after, .. } => *after,
            _ => None,
        }
    }

    /// Whether asking again may help, for requests that may be repeated (reading).
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::TryLater { .. } | Self::Unknown { .. } | Self::Unreadable { .. })
    }
}
