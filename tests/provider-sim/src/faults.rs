//! Faults on request: which of the next requests fail, and how.

use crate::provider::Provider;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Answers properly after `ms`.
    Latency,
    /// Answers `status` (500 unless given) with `body`, or an error body in the provider's shape.
    Status,
    /// Says "too many requests" in the provider's own way, with its headers.
    RateLimit,
    /// Closes the connection before a byte of an answer. The request had no effect.
    Reset,
    /// Handles the request, then breaks off in the middle of the answer.
    CutBody,
    /// Handles the request, then keeps silent for `ms` (30 s unless given) and closes.
    AcceptThenTimeout,
    /// Answers with an HTML page, as a front proxy does, with `status` (502 unless given).
    Html,
}

impl Kind {
    /// The name in the control API and the journal.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Status => "status",
            Self::RateLimit => "rate_limit",
            Self::Reset => "reset",
            Self::CutBody => "cut_body",
            Self::AcceptThenTimeout => "accept_then_timeout",
            Self::Html => "html",
        }
    }
}

/// A fault as it was ordered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    #[serde(default)]
    pub(crate) id: u64,
    pub(crate) provider: Provider,
    #[serde(rename = "fault")]
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) ms: Option<u64>,
    #[serde(default)]
    pub(crate) status: Option<u16>,
    /// A text, or JSON that is sent as JSON.
    #[serde(default)]
    pub(crate) body: Option<Value>,
    /// The next so many requests that match; without it, until deleted.
    #[serde(default)]
    pub(crate) times: Option<u32>,
    /// Chance that a matching request is hit; 1 unless given.
    #[serde(default)]
    pub(crate) probability: Option<f64>,
    #[serde(default)]
    pub(crate) path_contains: Option<String>,
    /// How many requests it has hit.
    #[serde(default)]
    pub(crate) hits: u64,
}

/// The faults that are in force, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    next: u64,
    list: Vec<Fault>,
}

impl Faults {
    /// Puts a fault in force and returns its id.
    pub(crate) fn add(&mut self, mut fault: Fault) -> u64 {
        self.next += 1;
        fault.id = self.next;
        fault.hits = 0;
        self.list.push(fault);
        self.next
    }

    /// All of them, used-up ones left out.
    pub(crate) fn list(&self) -> Vec<Fault> {
        self.list.clone()
    }

    /// Lifts all faults, or those of one provider, or one by its id; returns how many.
    pub(crate) fn remove(&mut self, provider: Option<Provider>, id: Option<u64>) -> usize {
        let before = self.list.len();
        self.list.retain(|f| provider.is_some_and(|p| p != f.provider) || id.is_some_and(|i| i != f.id));
        before - self.list.len()
    }

    /// The fault a request meets. `chance` says whether a probability comes true.
    pub(crate) fn meet(
        &mut self,
        provider: Provider,
        path: &str,
        mut chance: impl FnMut(f64) -> bool,
    ) -> Option<Fault> {
        let position = self.list.iter().position(|f| {
            f.provider == provider
                && f.path_contains.as_deref().is_none_or(|part| path.contains(part))
                && f.probability.is_none_or(&mut chance)
        })?;
        let fault = self.list.get_mut(position)?;
        fault.hits += 1;
        let met = fault.clone();
        if let Some(times) = &mut fault.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.list.remove(position);
            }
        }
        Some(met)
    }
}
