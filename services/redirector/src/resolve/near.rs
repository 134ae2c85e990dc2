//! What one HTTP thread has just looked up, so that a known offer costs no lock and no wait.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use domain::ids::OfferId;

use super::{Catalogue, Entry, ResolveError};

/// How many offers a thread remembers.
const REMEMBERED: usize = 10_000;

/// A thread's part of the catalogue. It holds for as long as memory's own entry would, and until the next change of any offer.
#[derive(Default)]
pub(crate) struct Near {
    entries: RefCell<HashMap<OfferId, Arc<Entry>, foldhash::fast::RandomState>>,
    /// How many changes the catalogue had heard of when the first of these was looked up.
    changes: Cell<u64>,
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
        // What was looked up while a change came in may be of before it.
        if catalogue.changes() == changes {
            self.keep(id, entry.clone());
        }
        Ok(entry)
    }

    fn get(&self, catalogue: &Catalogue, id: OfferId, changes: u64) -> Option<Arc<Entry>> {
        if self.changes.replace(changes) != changes {
            self.entries.borrow_mut().clear();
        }
        let entry = self.entries.borrow().get(&id).filter(|entry| catalogue.is_fresh(entry))?.clone();
        catalogue.hits().memory.fetch_add(1, Ordering::Relaxed);
        Some(entry)
    }

    fn keep(&self, id: OfferId, entry: Arc<Entry>) {
        let mut entries = self.entries.borrow_mut();
        if entries.len() >= REMEMBERED {
            entries.clear();
        }
        entries.insert(id, entry);
    }
}
