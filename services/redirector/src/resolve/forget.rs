//! What is done when the catalogue has changed, or may have: what memory and Redis hold is forgotten, or doubted.

use std::sync::atomic::Ordering;

use domain::ids::{MerchantId, OfferId};
use kv::keys;

use super::{Catalogue, REDIS_LIMIT};

/// How many entries one round trip to Redis forgets after a time in which changes were not heard: an import may have changed
/// every offer.
const DOUBTED_AT_ONCE: usize = 500;

impl Catalogue {
    /// How many changes have been heard of.
    pub(super) fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Acquire)
    }

    /// Has every thread forget what it holds of its own, and what is read now count as of before; called before Redis forgets what
    /// changed, and when memory has forgotten or doubts it.
    fn changed(&self) {
        self.0.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether Redis is away, so that it forgets nothing now.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.0.health.is_down()
    }

    /// Forgets an offer in memory and in Redis; says whether Redis did.
    pub(crate) async fn forget_offer(&self, id: OfferId) -> bool {
        self.0.offers.invalidate(&id).await;
        self.changed();
        let is_dropped = self.drop_keys([keys::redirect_url(id)]).await;
        // Until then Redis may have told what was.
        self.0.offers.invalidate(&id).await;
        self.changed();
        is_dropped
    }

    /// Forgets a merchant, and with it all of its offers, in memory and in Redis; says whether Redis did.
    pub(crate) async fn forget_merchant(&self, id: MerchantId) -> bool {
        self.changed();
        let is_dropped = self.drop_keys([keys::redirect_merchant(id)]).await;
        if let Some(held) = self.0.merchants.get(&id).await {
            held.mark.forget();
        }
        self.0.merchants.invalidate(&id).await;
        self.changed();
        is_dropped
    }

    /// Has offers that may have changed unheard looked up again; what memory holds is served if that fails. Says whether Redis
    /// has forgotten them.
    pub(crate) async fn doubt_offers(&self, ids: &[OfferId]) -> bool {
        let mut are_dropped = true;
        self.changed();
        for ids in ids.chunks(DOUBTED_AT_ONCE) {
            are_dropped &= self.drop_keys(ids.iter().copied().map(keys::redirect_url)).await;
            for id in ids {
                if let Some(entry) = self.0.offers.get(id).await {
                    entry.own.doubt();
                }
            }
            self.changed();
        }
        are_dropped
    }

    /// The same for merchants and all of their offers.
    pub(crate) async fn doubt_merchants(&self, ids: &[MerchantId]) -> bool {
        let mut are_dropped = true;
        self.changed();
        for ids in ids.chunks(DOUBTED_AT_ONCE) {
            are_dropped &= self.drop_keys(ids.iter().copied().map(keys::redirect_merchant)).await;
            for id in ids {
                if let Some(held) = self.0.merchants.get(id).await {
                    held.mark.doubt();
                }
            }
            self.changed();
        }
        are_dropped
    }

    /// Forgets everything in memory.
    pub(crate) fn forget_all(&self) {
        for (_, held) in &self.0.merchants {
            held.mark.forget();
        }
        self.0.merchants.invalidate_all();
        self.0.offers.invalidate_all();
        self.changed();
    }

    /// Has Redis forget; says whether it did.
    pub(super) async fn drop_keys(&self, keys: impl IntoIterator<Item = String>) -> bool {
        let keys: Vec<_> = keys.into_iter().collect();
        matches!(tokio::time::timeout(REDIS_LIMIT, kv::cache::forget(&self.0.kv, &keys)).await, Ok(Ok(())))
    }
}
