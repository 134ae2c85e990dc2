//! From an offer's id to its terms: memory, then Redis, then Postgres.
//!
//! What is in memory is served at once for some seconds. After that it is looked at again (see `again`) while requests
//! still get it, and what cannot be loaded because Redis and Postgres are away is served for as long as memory keeps it.
//! A change in the catalogue is heard (see `changes`) and forgets the entry at once, wherever it is held.

mod again;
mod first;
mod forget;
mod looked;
mod mark;
mod near;

use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::ids::{MerchantId, OfferId};
use domain::offer::{Link, Schemes};
use foldhash::fast::RandomState;
use kv::{Kv, keys};
use moka::future::Cache;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Pool, StoreError};
use tokio_util::task::TaskTracker;

use self::again::Due;
use self::first::First;
use self::looked::{Looked, Print};
use self::mark::{DOUBTED, FORGOTTEN, Mark};
pub(crate) use self::near::Near;
use crate::record::{Fragment, Terms};
use crate::ship::Health;
use crate::terms::{Merchant, MerchantTerms, OfferTerms, Unusable};

/// How long an entry lives in Redis.
const REDIS_TTL: Duration = Duration::from_mins(5);
/// How long Redis remembers that something does not exist.
const REDIS_NEGATIVE_TTL: Duration = Duration::from_secs(30);
/// How long a cache or Postgres may take, so that a request never waits for long.
const REDIS_LIMIT: Duration = Duration::from_millis(200);
const POSTGRES_LIMIT: Duration = Duration::from_secs(1);
/// How long a failed reload of an entry is not tried again.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);
/// How long entries are kept in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeping {
    /// How many offers at most.
    pub(crate) entries: u64,
    /// For how long one is served without a second look.
    pub(crate) fresh: Duration,
    /// For how long one is served when nothing newer can be had.
    pub(crate) stale: Duration,
}

/// An offer that can be clicked.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) id: OfferId,
    pub(crate) merchant: Arc<Merchant>,
    /// What it promises, as its clicks say it.
    pub(crate) terms: Fragment,
    /// Milliseconds since the Unix epoch.
    pub(crate) expires_ms: Option<i64>,
    pub(crate) link: Link,
}

/// What an id leads to.
#[derive(Debug)]
pub(crate) enum Found {
    Offer(Box<Offer>),
    /// There is no such offer.
    Unknown,
    /// It or its merchant has been switched off.
    Inactive,
    /// Our catalogue holds something that cannot be used; it is in the log.
    Broken,
}

/// What memory holds of an id.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) found: Found,
    print: Print,
    looked: Looked,
    /// Whether somebody looks at it now.
    reloading: AtomicBool,
    own: Mark,
    merchant: Option<Arc<Mark>>,
}

/// Why nothing can be said about an offer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("Postgres could not be asked for the offer")]
    Store(#[from] StoreError),
    #[error("Postgres did not answer within {} ms", POSTGRES_LIMIT.as_millis())]
    Slow,
    /// Another request's load failed with this.
    #[error("the look-up that this request shared failed")]
    Shared(#[source] Arc<ResolveError>),
}

struct HeldMerchant {
    checked: Option<Arc<Merchant>>,
    print: Print,
    mark: Arc<Mark>,
    looked: Looked,
}

/// How often each tier knew the answer.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    pub(crate) memory: AtomicU64,
    pub(crate) stale: AtomicU64,
    pub(crate) redis: AtomicU64,
    pub(crate) postgres: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// Knows offers. One for all threads; cheap to clone.
#[derive(Clone)]
pub(crate) struct Catalogue(Arc<Inner>);

struct Inner {
    pool: Pool,
    kv: Kv,
    offers: Cache<OfferId, Arc<Entry>, RandomState>,
    merchants: Cache<MerchantId, Arc<HeldMerchant>, RandomState>,
    keeping: Keeping,
    schemes: Schemes,
    hits: Hits,
    changes: AtomicU64,
    first: First,
    due: Due,
    tasks: TaskTracker,
    health: Arc<Health>,
}

impl Catalogue {
    pub(crate) fn new(
        pool: Pool,
        kv: Kv,
        keeping: Keeping,
        schemes: Schemes,
        health: Arc<Health>,
        tasks: TaskTracker,
    ) -> Self {
        let offers = Cache::builder().max_capacity(keeping.entries).time_to_live(keeping.stale);
        let offers = offers.build_with_hasher(RandomState::default());
        let merchants = Cache::builder().max_capacity(keeping.entries).time_to_live(keeping.stale);
        let merchants = merchants.build_with_hasher(RandomState::default());
        let (hits, changes) = (Hits::default(), AtomicU64::new(0));
        let (first, due) = (First::default(), Due::default());
        Self(Arc::new(Inner {
            pool,
            kv,
            offers,
            merchants,
            keeping,
            schemes,
            hits,
            changes,
            first,
            due,
            tasks,
            health,
        }))
    }

    /// What `id` leads to.
    pub(crate) async fn find(&self, id: OfferId) -> Result<Arc<Entry>, ResolveError> {
        let inner = &*self.0;
        let Some(entry) = inner.offers.get(&id).await else {
            return inner.offers.try_get_with(id, Box::pin(self.load(id))).await.map_err(ResolveError::Shared);
        };
        if self.is_fresh(&entry) {
            inner.hits.memory.fetch_add(1, Ordering::Relaxed);
            return Ok(entry);
        }
        let (mark, age) = (entry.mark(), entry.looked.age());
        if mark == FORGOTTEN {
            inner.offers.invalidate(&id).await;
            return inner.offers.try_get_with(id, Box::pin(self.load(id))).await.map_err(ResolveError::Shared);
        }
        let is_reloading = entry.reloading.swap(true, Ordering::Relaxed);
        if !is_reloading && (mark == DOUBTED || age >= inner.keeping.fresh * 2) {
            return Ok(self.reload(id, entry).await);
        }
        if !is_reloading {
            inner.due.add(id, entry.clone());
        }
        inner.hits.stale.fetch_add(1, Ordering::Relaxed);
        Ok(entry)
    }

    /// Whether an entry can be served without a second look.
    fn is_fresh(&self, entry: &Entry) -> bool {
        entry.mark() == 0 && entry.looked.age() < self.0.keeping.fresh
    }

    /// Loads an entry anew; when that fails, the one held goes on for another fresh time.
    async fn reload(&self, id: OfferId, held: Arc<Entry>) -> Arc<Entry> {
        match self.load(id).await {
            Ok(entry) => {
                self.0.offers.insert(id, entry.clone()).await;
                entry
            }
            Err(_counted) => {
                let again = held.clone();
                self.0.tasks.spawn(async move {
                    tokio::time::sleep(RELOAD_PAUSE).await;
                    again.reloading.store(false, Ordering::Relaxed);
                });
                self.0.hits.stale.fetch_add(1, Ordering::Relaxed);
                held
            }
        }
    }

    async fn load(&self, id: OfferId) -> Result<Arc<Entry>, ResolveError> {
        let (looked, changes) = (Looked::at(Instant::now()), self.changes());
        let (terms, print) = self.first_look(id).await?;
        let Some(terms) = terms else {
            return Ok(self.seen(Entry::new(Found::Unknown, print, looked, None), changes));
        };
        let held = self.merchant(terms.merchant_id).await?;
        let found = match &held.checked {
            None => Found::Broken,
            Some(merchant) if !terms.active || !merchant.active => Found::Inactive,
            Some(merchant) => match offer(id, &terms, merchant) {
                Ok(offer) => Found::Offer(Box::new(offer)),
                Err(unusable) => {
                    tracing::error!(offer.id = %id, error.chain = telemetry::chain(&unusable), "the offer cannot be used; shoppers get an error page");
                    Found::Broken
                }
            },
        };
        Ok(self.seen(Entry::new(found, print, looked, Some(held.mark.clone())), changes))
    }

    /// An entry that was loaded since the catalogue had heard of so many changes. If it has heard of one meanwhile, the entry may be of
    /// before that.
    fn seen(&self, entry: Entry, changes: u64) -> Arc<Entry> {
        if self.changes() != changes {
            entry.own.doubt();
        }
        Arc::new(entry)
    }

    async fn merchant(&self, id: MerchantId) -> Result<Arc<HeldMerchant>, ResolveError> {
        let merchants = &self.0.merchants;
        if let Some(held) = merchants.get(&id).await {
            let mark = held.mark.get();
            if mark == 0 && held.looked.age() < self.0.keeping.fresh {
                return Ok(held);
            }
            return match self.load_merchant(id).await {
                // As it was: its offers need not be made anew.
                Ok(loaded) if loaded.print == held.print && held.mark.get() == 0 => {
                    held.looked.renew(&loaded.looked);
                    merchants.insert(id, held.clone()).await;
                    Ok(held)
                }
                Ok(loaded) => {
                    merchants.insert(id, loaded.clone()).await;
                    Ok(loaded)
                }
                Err(_counted) if mark != FORGOTTEN => Ok(held),
                Err(error) => Err(error),
            };
        }
        merchants.try_get_with(id, self.load_merchant(id)).await.map_err(ResolveError::Shared)
    }

    async fn load_merchant(&self, id: MerchantId) -> Result<Arc<HeldMerchant>, ResolveError> {
        let (looked, changes) = (Looked::at(Instant::now()), self.changes());
        let key = keys::redirect_merchant(id);
        let cached = self.texts(slice::from_ref(&key)).await.pop().flatten();
        let cached = cached.and_then(|text| self.understood::<MerchantTerms>(&key, &text));
        let (terms, print) = if let Some(known) = cached {
            known
        } else {
            let read = async {
                let client = self.0.pool.get().await?;
                store::catalogue::find_merchant(&client, id).await
            };
            let terms = self.ask(1, read).await?.map(MerchantTerms::from);
            let text = text_of(terms.as_ref());
            let print = Print::of(&text);
            self.keep(&[(key, text, lives(terms.is_some()))], changes).await;
            (terms, print)
        };
        let checked = terms.ok_or(Unusable::NoMerchant).and_then(|terms| Merchant::check(id, &terms, self.0.schemes));
        let checked = checked.map(Arc::new).inspect_err(|error| error.tell(id));
        Ok(Arc::new(HeldMerchant { checked: checked.ok(), print, mark: Arc::default(), looked }))
    }

    /// Asks Postgres for so many.
    async fn ask<T>(&self, count: usize, read: impl Future<Output = Result<T, StoreError>>) -> Result<T, ResolveError> {
        let answer = match tokio::time::timeout(POSTGRES_LIMIT, read).await {
            Ok(answer) => answer.map_err(ResolveError::from),
            Err(_elapsed) => Err(ResolveError::Slow),
        };
        let counter = if answer.is_ok() { &self.0.hits.postgres } else { &self.0.hits.failed };
        counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        answer
    }

    /// What Redis holds under each of the keys. Trouble is a miss.
    async fn texts(&self, keys: &[String]) -> Vec<Option<String>> {
        let nothing = || vec![None; keys.len()];
        if self.0.health.is_down() {
            return nothing();
        }
        match tokio::time::timeout(REDIS_LIMIT, kv::cache::get_many(&self.0.kv, keys)).await {
            Ok(Ok(texts)) => texts,
            Ok(Err(_)) | Err(_) => nothing(),
        }
    }

    /// What a text of Redis says: `None` in it when it knows that there is nothing. One that cannot be read is a miss.
    fn understood<T: DeserializeOwned>(&self, key: &str, text: &str) -> Option<(Option<T>, Print)> {
        let terms = serde_json::from_str(text)
            .inspect_err(|error| tracing::warn!(key, %error, "a cached entry cannot be read"))
            .ok()?;
        self.0.hits.redis.fetch_add(1, Ordering::Relaxed);
        Some((terms, Print::of(text)))
    }

    /// Puts texts into Redis that were read since the catalogue had heard of so many changes. They are only a shortcut, so trouble is
    /// passed over; but what may be of before a change does not stay there.
    async fn keep(&self, texts: &[(String, String, Duration)], changes: u64) {
        if self.0.health.is_down() {
            return;
        }
        let _not_kept = tokio::time::timeout(REDIS_LIMIT, kv::cache::set_many(&self.0.kv, texts)).await;
        if self.changes() != changes {
            self.drop_keys(texts.iter().map(|(key, ..)| key.clone())).await;
        }
    }

    /// How often each tier knew the answer.
    pub(crate) fn hits(&self) -> &Hits {
        &self.0.hits
    }
}

/// What is put into Redis of something, or of its absence.
fn text_of<T: Serialize>(terms: Option<&T>) -> String {
    serde_json::to_string(&terms).unwrap_or_default()
}

/// How long Redis holds it.
const fn lives(exists: bool) -> Duration {
    if exists { REDIS_TTL } else { REDIS_NEGATIVE_TTL }
}

fn offer(id: OfferId, terms: &OfferTerms, merchant: &Arc<Merchant>) -> Result<Offer, Unusable> {
    let promise = Terms {
        offer_id: id,
        merchant_id: merchant.id,
        network: merchant.network,
        rate: terms.rate.unwrap_or(merchant.rate),
        cap: terms.cap.or(merchant.cap),
        offer_version: terms.version,
    };
    Ok(Offer {
        id,
        merchant: merchant.clone(),
        terms: Fragment::of_terms(&promise)?,
        expires_ms: terms.expires_at.map(|time| time.timestamp_millis()),
        link: merchant.link_to(id, &terms.target_url)?,
    })
}

impl Entry {
    fn new(found: Found, print: Print, looked: Looked, merchant: Option<Arc<Mark>>) -> Self {
        Self { found, print, looked, reloading: AtomicBool::new(false), own: Mark::default(), merchant }
    }

    fn mark(&self) -> u8 {
        self.own.get().max(self.merchant.as_ref().map_or(0, |mark| mark.get()))
    }
}
