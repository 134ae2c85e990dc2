//! What one HTTP thread has just looked up, so that a known offer costs no lock and no wait.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use domain::ids::OfferId;

use super::{Catalogue, Entry, ResolveError};
use crate::recent::Recent;

/// How many offers a thread remembers.
const REMEMBERED: usize = 10_000;

/// A thread's part of the catalogue. It holds for as long as memory's own entry would, and until the next change of any offer.
pub(crate) struct Near(RefCell<Recent<OfferId, Seen>>);

struct Seen {
    entry: Arc<Entry>,
    /// How many changes the catalogue had heard of when it was looked up.
    changes: u64,
}

impl Default for Near {
    fn default() -> Self {
        Self(RefCell::new(Recent::new(REMEMBERED)))
    }
}

impl Near {
    /// What `id` leads to.
    pub(crate) async fn find(&self, catalogue: &Catalogue, id: OfferId) -> Result<Arc<Entry>, ResolveError> {
        let changes = catalogue.changes();
        if let Some(entry) = self.get(catalogue, id, changes) {
            return Ok(entry);
        }
        // Boxed: the longer way must not make every click's future large.
        let entry = Box::pin(catalogue.find(id)).await?;
        // What was looked up while a change came in may be of before it: it counts as of before.
        self.0.borrow_mut().put(id, Seen { entry: entry.clone(), changes });
        Ok(entry)
    }

    fn get(&self, catalogue: &Catalogue, id: OfferId, changes: u64) -> Option<Arc<Entry>> {
        let mut recent = self.0.borrow_mut();
        let seen = recent.get(&id).filter(|seen| seen.changes == changes && catalogue.is_fresh(&seen.entry))?;
        catalogue.hits().memory.fetch_add(1, Ordering::Relaxed);
        Some(seen.entry.clone())
    }
}
