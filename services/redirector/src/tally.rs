//! What the redirector counts of itself, for `/metrics` and `/stats`.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::click::ClickClass;
use telemetry::metrics::{Counter, KeyValue, meter};

use crate::pages::Notice;
use crate::resolve::ResolveError;

/// Counters of this process since its start.
pub(crate) struct Tally {
    classes: [AtomicU64; 6],
    refused: Counter<u64>,
    unrecorded: AtomicU64,
    unresolved: AtomicU64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        let refused = meter()
            .u64_counter("redirects_refused")
            .with_description("Requests that got a page instead of a redirect")
            .build();
        Self { classes: Default::default(), refused, unrecorded: AtomicU64::new(0), unresolved: AtomicU64::new(0) }
    }

    /// A click is safe.
    pub(crate) fn recorded(&self, class: ClickClass) {
        if let Some(counter) =
            ClickClass::ALL.iter().position(|other| *other == class).and_then(|index| self.classes.get(index))
        {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many clicks of each class.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (ClickClass, u64)> {
        ClickClass::ALL.into_iter().zip(&self.classes).map(|(class, counter)| (class, counter.load(Ordering::Relaxed)))
    }

    /// A request got a page.
    pub(crate) fn refused(&self, notice: Notice) {
        self.refused.add(1, &[KeyValue::new("reason", notice.reason())]);
    }

    /// A click far beyond the limit was only counted.
    pub(crate) fn unrecorded(&self) {
        self.unrecorded.fetch_add(1, Ordering::Relaxed);
    }

    /// How many clicks beyond the limit were only counted.
    pub(crate) fn unrecorded_count(&self) -> u64 {
        self.unrecorded.load(Ordering::Relaxed)
    }

    /// An offer could not be looked up. Logged at the 1st, 2nd, 4th, 8th … time: an outage is one story, not a flood.
    pub(crate) fn unresolved(&self, error: &ResolveError) {
        let count = self.unresolved.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            tracing::error!(error.chain = telemetry::chain(error), count, "an offer cannot be looked up");
        }
    }
}
