//! What is heard of something that memory holds.

use std::sync::atomic::{AtomicU8, Ordering};

/// What has been heard of an offer or a merchant since it was loaded.
#[derive(Debug, Default)]
pub(super) struct Mark(AtomicU8);

pub(super) const DOUBTED: u8 = 1;
pub(super) const FORGOTTEN: u8 = 2;

impl Mark {
    /// It may have changed: it is loaded anew, and served if that fails.
    pub(super) fn doubt(&self) {
        self.0.fetch_max(DOUBTED, Ordering::AcqRel);
    }

    /// It has changed: it is not served any more.
    pub(super) fn forget(&self) {
        self.0.fetch_max(FORGOTTEN, Ordering::AcqRel);
    }

    pub(super) fn get(&self) -> u8 {
        self.0.load(Ordering::Acquire)
    }
}
