//! The second look at offers that memory has served for their time.
//!
//! Nearly always nothing has changed. So many of them share a round trip to Redis, and what has the same text there, and the same
//! merchant, is served on as it is; only what differs, or is not there, is loaded anew. Loading each by itself is more work than
//! the click that it was for.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use domain::ids::OfferId;
use kv::keys;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::looked::{Looked, Print};
use super::{Catalogue, Entry, Found};

/// How many share a round trip.
const AT_ONCE: usize = 500;

/// Offers whose second look is due; each of them once, so there are no more than memory holds.
#[derive(Default)]
pub(super) struct Due {
    waiting: Mutex<Vec<(OfferId, Arc<Entry>)>>,
    wake: Notify,
}

impl Due {
    pub(super) fn add(&self, id: OfferId, entry: Arc<Entry>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push((id, entry));
        if waiting.len() == 1 {
            self.wake.notify_one();
        }
    }

    fn take(&self) -> Vec<(OfferId, Arc<Entry>)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(AT_ONCE);
        waiting.drain(..count).collect()
    }
}

impl Catalogue {
    /// Looks again at what is due, until `end`.
    pub(crate) async fn look_again(self, end: CancellationToken) {
        loop {
            let due = self.0.due.take();
            if due.is_empty() {
                tokio::select! {
                    () = end.cancelled() => return,
                    () = self.0.due.wake.notified() => {}
                }
            } else {
                self.look_at(due).await;
            }
        }
    }

    async fn look_at(&self, due: Vec<(OfferId, Arc<Entry>)>) {
        let looked = Looked::at(Instant::now());
        let keys: Vec<_> = due.iter().map(|(id, _)| keys::redirect_url(*id)).collect();
        for ((id, entry), text) in due.into_iter().zip(self.texts(&keys).await) {
            if text.is_some_and(|text| Print::of(&text) == entry.print) && self.has_its_merchant(&entry).await {
                self.0.hits.redis.fetch_add(1, Ordering::Relaxed);
                entry.looked.renew(&looked);
                // From now on it is kept for its time again.
                self.0.offers.insert(id, entry.clone()).await;
                entry.reloading.store(false, Ordering::Relaxed);
            } else {
                let catalogue = self.clone();
                self.0.tasks.spawn(async move { catalogue.reload(id, entry).await });
            }
        }
    }

    /// Whether the merchant of an offer is still the one that it was made with.
    async fn has_its_merchant(&self, entry: &Entry) -> bool {
        let is_same = match &entry.found {
            Found::Unknown => true,
            Found::Offer(offer) => self
                .merchant(offer.merchant.id)
                .await
                .is_ok_and(|held| held.checked.as_ref().is_some_and(|merchant| Arc::ptr_eq(merchant, &offer.merchant))),
            Found::Inactive | Found::Broken => false,
        };
        is_same && entry.mark() == 0
    }
}
