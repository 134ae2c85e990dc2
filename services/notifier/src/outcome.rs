//! What came of asking a provider, by what may be done next.

use std::time::Duration;

use anyhow::anyhow;
use outbound::ProviderError;
use queue::{Circuit, JobError};

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
    /// Nobody was asked: it is known to be down, and may be asked after this long.
    NotAsked(Duration),
    /// It was asked and no answer came: it may have the message.
    Unknown {
        /// What happened on the wire.
        reason: String,
    },
}

impl Outcome {
    /// Nobody was asked: when it came to that, too little of the job's time was left.
    pub(crate) fn too_late() -> Self {
        Self::TryLater { reason: "too little time was left to ask".to_owned(), after: None, surely: true }
    }

    /// It was asked, and the time for its answer is over.
    pub(crate) fn no_answer() -> Self {
        Self::Unknown { reason: "no answer in time".to_owned() }
    }

    /// The word in metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Refused { .. } => "refused",
            Self::TryLater { .. } => "try_later",
            Self::Locked { .. } => "locked",
            Self::NotAsked(_) => "not_asked",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// What it says of the provider's health.
    fn verdict(&self) -> queue::Outcome {
        match self {
            // It answers, and knows us: a refusal is about the message.
            Self::Accepted(_) | Self::Refused { .. } => Ok(()),
            Self::NotAsked(wait) => Err(JobError::Defer(*wait, anyhow!("not asked"))),
            Self::TryLater { reason, .. } | Self::Locked { reason } | Self::Unknown { reason } => {
                Err(JobError::Retry(anyhow!("{reason}")))
            }
        }
    }

    /// Whether it said itself that it will take mails again within a minute, so that nobody else need be troubled. If it goes
    /// on saying so, its circuit opens.
    pub(crate) fn is_soon_over(&self) -> bool {
        matches!(self, Self::TryLater { after: Some(wait), .. } if *wait <= Duration::from_mins(1))
    }

    /// Whether the provider may have the message although it did not say so.
    pub(crate) const fn is_in_doubt(&self) -> bool {
        matches!(self, Self::TryLater { surely: false, .. } | Self::Unknown { .. })
    }

    /// Whether another provider may be asked without a risk of two messages.
    pub(crate) const fn surely_not_taken(&self) -> bool {
        matches!(self, Self::TryLater { surely: true, .. } | Self::Locked { .. } | Self::NotAsked(_))
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

/// Asks a provider behind its circuit, which all replicas share: while it is open, nobody is asked.
pub(crate) async fn guarded(circuit: &Circuit, call: impl Future<Output = Outcome>) -> Outcome {
    let mut answered = None;
    let verdict = circuit
        .guard(async {
            let outcome = call.await;
            let verdict = outcome.verdict();
            answered = Some(outcome);
            verdict
        })
        .await;
    match (answered, verdict) {
        (Some(outcome), _) => outcome,
        (None, Err(JobError::Defer(wait, _open))) => Outcome::NotAsked(wait),
        (None, _) => Outcome::NotAsked(Duration::from_secs(1)),
    }
}
