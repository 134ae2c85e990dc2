//! Where the replicas' common token lies.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use config::SecretString;

/// The store did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the token store does not answer")]
pub struct TokenStoreError(#[source] Box<dyn Error + Send + Sync>);

impl TokenStoreError {
    /// Wraps what the store said.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }

    pub(super) fn cause(&self) -> &(dyn Error + Send + Sync) {
        self.0.as_ref()
    }
}

/// Shows that a lock is ours; only with it can the lock be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence(pub String);

/// Keeps tokens for all replicas. The values are secrets.
#[async_trait]
pub trait TokenStore: Send + Sync + 'static {
    /// The value, unless its life ended.
    async fn get(&self, key: &str) -> Result<Option<SecretString>, TokenStoreError>;

    /// Keeps a value for `life`.
    async fn set(&self, key: &str, value: &SecretString, life: Duration) -> Result<(), TokenStoreError>;

    /// Takes the lock of `key` for `life` at most; `None` when another holds it.
    async fn lock(&self, key: &str, life: Duration) -> Result<Option<Fence>, TokenStoreError>;

    /// Gives the lock back, if it is still ours.
    async fn unlock(&self, key: &str, fence: &Fence) -> Result<(), TokenStoreError>;
}

/// A store for one process.
#[derive(Debug, Default)]
pub struct MemoryTokenStore(Mutex<Shelves>);

#[derive(Debug, Default)]
struct Shelves {
    values: HashMap<String, (SecretString, Instant)>,
    locks: HashMap<String, (Fence, Instant)>,
    fences: u64,
}

impl MemoryTokenStore {
    fn shelves(&self) -> std::sync::MutexGuard<'_, Shelves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenStore for MemoryTokenStore {
    async fn get(&self, key: &str) -> Result<Option<SecretString>, TokenStoreError> {
        let shelves = self.shelves();
        Ok(shelves.values.get(key).filter(|(_, end)| Instant::now() < *end).map(|(value, _)| value.clone()))
    }

    async fn set(&self, key: &str, value: &SecretString, life: Duration) -> Result<(), TokenStoreError> {
        self.shelves().values.insert(key.to_owned(), (value.clone(), Instant::now() + life));
        Ok(())
    }

    async fn lock(&self, key: &str, life: Duration) -> Result<Option<Fence>, TokenStoreError> {
        let mut shelves = self.shelves();
        if shelves.locks.get(key).is_some_and(|(_, end)| Instant::now() < *end) {
            return Ok(None);
        }
        shelves.fences += 1;
        let fence = Fence(shelves.fences.to_string());
        shelves.locks.insert(key.to_owned(), (fence.clone(), Instant::now() + life));
        Ok(Some(fence))
    }

    async fn unlock(&self, key: &str, fence: &Fence) -> Result<(), TokenStoreError> {
        let mut shelves = self.shelves();
        if shelves.locks.get(key).is_some_and(|(held, _)| held == fence) {
            shelves.locks.remove(key);
        }
        Ok(())
    }
}
