//! What came of asking a provider, by what may be done next.

use std::time::Duration;

use outbound::ProviderError;

/// The answer of a provider to one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has the message, under this id.
    Accepted(Option<String>),
    /// It refuses this message, now and always.
    Refused {
        /// Why; it does not repeat the address.
        reason: String,
        /// Whether the address itself is what is wrong.
        bad_address: bool,
    },
    /// It did not take the message; it may take it later.
    TryLater {
        /// Why.
        reason: String,
        /// How long it asked us to wait.
        after: Option<Duration>,
        /// Whether it is certain that the message was not taken, so that another provider may be asked.
        surely: bool,
    },
    /// It does not serve us at all: key, credit or account. Nothing was taken.
    Locked {
        /// Why.
        reason: String,
    },
    /// It was asked and no answer came: it may have the message.
    Unknown {
        /// What happened on the wire.
        reason: String,
    },
}

impl Outcome {
    /// The word in metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Refused { .. } => "refused",
            Self::TryLater { .. } => "try_later",
            Self::Locked { .. } => "locked",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// Whether another provider may be asked without a risk of two messages.
    pub(crate) const fn surely_not_taken(&self) -> bool {
        matches!(self, Self::TryLater { surely: true, .. } | Self::Locked { .. })
    }
}

impl From<ProviderError> for Outcome {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::TryLater { detail, after, .. } => Self::TryLater { reason: detail, after, surely: true },
            ProviderError::Refused { detail, .. } => Self::Refused { reason: detail, bad_address: false },
            ProviderError::Locked { detail, .. } => Self::Locked { reason: detail },
            ProviderError::Unknown { source, .. } => {
                let reason = if source.is_timeout() { "no answer in time" } else { "the answer broke off" };
                Self::Unknown { reason: reason.to_owned() }
            }
            ProviderError::Unreadable { detail, .. } => Self::Unknown { reason: detail },
        }
    }
}
