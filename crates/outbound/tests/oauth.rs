//! One token for all replicas, renewed in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{TimeDelta, TimeZone, Utc};
use config::{ExposeSecret, SecretString};
use domain::clock::{Clock, ManualClock};
use futures_util::future::join_all;
use outbound::ProviderError;
use outbound::oauth::{Grant, Granted, MemoryTokenStore, TokenHolder, TokenStore};
use tokio::sync::Mutex;

/// A provider whose tokens live 1,000 s, and which can be told to fail.
#[derive(Default)]
struct Provider {
    granted: AtomicUsize,
    asked: Mutex<Vec<Option<String>>>,
    refresh_is_dead: bool,
    down: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Grant for Provider {
    async fn grant(&self, refresh: Option<&SecretString>) -> Result<Granted, ProviderError> {
        self.asked.lock().await.push(refresh.map(|refresh| refresh.expose_secret().to_owned()));
        // Give others the chance to ask at the same time.
        tokio::task::yield_now().await;
        if self.down.load(Ordering::SeqCst) {
            return Err(ProviderError::TryLater { provider: "example", detail: "down".to_owned(), after: None });
        }
        if refresh.is_some() && self.refresh_is_dead {
            return Err(ProviderError::Refused { provider: "example", detail: "dead".to_owned() });
        }
        let number = self.granted.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(Granted {
            access: SecretString::from(format!("access-{number}")),
            refresh: Some(SecretString::from(format!("refresh-{number}"))),
            life: Duration::from_secs(1_000),
        })
    }
}

struct Scene {
    provider: Arc<Provider>,
    store: Arc<dyn TokenStore>,
    clock: Arc<ManualClock>,
}

impl Scene {
    fn new(provider: Provider) -> Self {
        let start = Utc.with_ymd_and_hms(2026, 9, 1, 0, 0, 0).single().expect("a time");
        Self {
            provider: Arc::new(provider),
            store: Arc::new(MemoryTokenStore::default()),
            clock: Arc::new(ManualClock::new(start)),
        }
    }

    /// Another replica.
    fn holder(&self, first_refresh: Option<&str>) -> TokenHolder<Arc<Provider>> {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let refresh = first_refresh.map(SecretString::from);
        TokenHolder::new("example", "us", Arc::clone(&self.provider), refresh, Arc::clone(&self.store), clock)
    }
}

async fn access(holder: &TokenHolder<Arc<Provider>>) -> String {
    holder.access().await.expect("a token").expose_secret().to_owned()
}

#[tokio::test]
async fn many_replicas_at_once_ask_the_provider_once() {
    let scene = Scene::new(Provider::default());
    let replicas: Vec<_> = (0..16).map(|_| scene.holder(None)).collect();
    let tokens = join_all(replicas.iter().flat_map(|replica| [access(replica), access(replica)])).await;
    assert!(tokens.iter().all(|token| token == "access-1"), "{tokens:?}");
    assert_eq!(scene.provider.granted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_token_is_renewed_by_its_refresh_token_before_it_ends() {
    let scene = Scene::new(Provider::default());
    let holder = scene.holder(None);
    assert_eq!(access(&holder).await, "access-1");
    scene.clock.advance(TimeDelta::seconds(799));
    assert_eq!(access(&holder).await, "access-1");
    scene.clock.advance(TimeDelta::seconds(1));
    assert_eq!(access(&holder).await, "access-2");
    assert_eq!(*scene.provider.asked.lock().await, [None, Some("refresh-1".to_owned())]);
}

#[tokio::test]
async fn a_configured_refresh_token_is_used_first_and_a_dead_one_does_no_harm() {
    let scene = Scene::new(Provider { refresh_is_dead: true, ..Provider::default() });
    assert_eq!(access(&scene.holder(Some("from-settings"))).await, "access-1");
    assert_eq!(*scene.provider.asked.lock().await, [Some("from-settings".to_owned()), None]);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_for_all() {
    let scene = Scene::new(Provider::default());
    let (one, other) = (scene.holder(None), scene.holder(None));
    let refused = one.access().await.expect("a token");
    other.access().await.expect("a token");
    let renewed =
        join_all([one.after_refusal(&refused), other.after_refusal(&refused), one.after_refusal(&refused)]).await;
    for token in renewed {
        assert_eq!(token.expect("a token").expose_secret(), "access-2");
    }
    assert_eq!(scene.provider.granted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_old_token_serves_while_the_provider_cannot_renew_it() {
    let scene = Scene::new(Provider::default());
    access(&scene.holder(None)).await;
    scene.provider.down.store(true, Ordering::SeqCst);
    scene.clock.advance(TimeDelta::seconds(900));
    // A replica that starts now knows the token from the store only.
    let late = scene.holder(None);
    assert_eq!(access(&late).await, "access-1");
    scene.clock.advance(TimeDelta::seconds(100));
    assert!(late.access().await.is_err(), "its life is over");
}

#[tokio::test]
async fn the_lock_of_a_replica_that_died_ends_by_itself() {
    let store = MemoryTokenStore::default();
    let dead = store.lock("k", Duration::ZERO).await.expect("answers").expect("free");
    let alive = store.lock("k", Duration::from_secs(9)).await.expect("answers").expect("free again");
    store.unlock("k", &dead).await.expect("answers");
    assert_eq!(store.lock("k", Duration::from_secs(9)).await.expect("answers"), None, "the dead one cannot give back");
    store.unlock("k", &alive).await.expect("answers");
    assert!(store.lock("k", Duration::from_secs(9)).await.expect("answers").is_some());
}
