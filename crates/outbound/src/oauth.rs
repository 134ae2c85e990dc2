//! An access token that is renewed before it ends, once for all replicas.
//!
//! Providers limit how many tokens live at a time, so replicas share one: it lies in a [`TokenStore`], and who renews
//! it holds the store's lock meanwhile. A token is renewed after four fifths of its life, and when the provider
//! refuses it; while a renewal fails, the old token serves until it ends.

mod store;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use config::{ExposeSecret, SecretString};
use domain::clock::Clock;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::ProviderError;
pub use store::{Fence, MemoryTokenStore, TokenStore, TokenStoreError};

/// How long a renewal may hold the lock: longer than a call with its time-out takes, short enough that a replica that
/// died while renewing is soon replaced.
const LOCK_LIFE: Duration = Duration::from_secs(40);
/// How long a replica waits for another's renewal.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often a replica that waits for another's renewal looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What a provider granted.
pub struct Granted {
    /// Opens the provider's doors.
    pub access: SecretString,
    /// Gets the next token without our own credentials, where the provider gives one.
    pub refresh: Option<SecretString>,
    /// How long the access token lives from now.
    pub life: Duration,
}

/// Asks a provider for a token.
#[async_trait]
pub trait Grant: Send + Sync {
    /// Asks with the refresh token if there is one, else with our own credentials.
    async fn grant(&self, refresh: Option<&SecretString>) -> Result<Granted, ProviderError>;
}

#[async_trait]
impl<G: Grant + ?Sized> Grant for Arc<G> {
    async fn grant(&self, refresh: Option<&SecretString>) -> Result<Granted, ProviderError> {
        self.as_ref().grant(refresh).await
    }
}

/// A token as it lies in the store.
#[derive(Clone)]
struct Token {
    access: SecretString,
    refresh: Option<SecretString>,
    renew_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    access: String,
    refresh: Option<String>,
    renew_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl Token {
    fn of(granted: Granted, now: DateTime<Utc>) -> Self {
        let seconds = i64::try_from(granted.life.as_secs()).unwrap_or(i64::MAX).min(366 * 86_400);
        Self {
            access: granted.access,
            refresh: granted.refresh,
            renew_at: now + TimeDelta::seconds(seconds - seconds / 5),
            expires_at: now + TimeDelta::seconds(seconds),
        }
    }

    fn seal(&self) -> Result<SecretString, serde_json::Error> {
        let stored = Stored {
            access: self.access.expose_secret().to_owned(),
            refresh: self.refresh.as_ref().map(|refresh| refresh.expose_secret().to_owned()),
            renew_at: self.renew_at,
            expires_at: self.expires_at,
        };
        Ok(SecretString::from(serde_json::to_string(&stored)?))
    }

    /// Reads a stored token; what is not one (an older form, say) counts as none, and a new one is granted.
    fn open(sealed: &SecretString) -> Option<Self> {
        let stored: Stored = serde_json::from_str(sealed.expose_secret()).ok()?;
        Some(Self {
            access: SecretString::from(stored.access),
            refresh: stored.refresh.map(SecretString::from),
            renew_at: stored.renew_at,
            expires_at: stored.expires_at,
        })
    }

    /// Whether it serves at `now` and is not the one that was refused.
    fn serves(&self, now: DateTime<Utc>, refused: Option<&SecretString>) -> bool {
        now < self.renew_at && !self.is(refused)
    }

    fn is(&self, refused: Option<&SecretString>) -> bool {
        refused.is_some_and(|refused| refused.expose_secret() == self.access.expose_secret())
    }
}

/// Hands out the access token of one account.
pub struct TokenHolder<G> {
    grant: G,
    store: Arc<dyn TokenStore>,
    clock: Arc<dyn Clock>,
    provider: &'static str,
    key: String,
    first_refresh: Option<SecretString>,
    cached: Mutex<Option<Token>>,
}

impl<G: Grant> TokenHolder<G> {
    /// Holds the token of `account` at `provider`. `first_refresh` is tried when the store has no token yet.
    pub fn new(
        provider: &'static str,
        account: &str,
        grant: G,
        first_refresh: Option<SecretString>,
        store: Arc<dyn TokenStore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let key = format!("{provider}:{account}");
        Self { grant, store, clock, provider, key, first_refresh, cached: Mutex::new(None) }
    }

    /// A token that serves now.
    pub async fn access(&self) -> Result<SecretString, ProviderError> {
        self.serving(None).await
    }

    /// Another token, after the provider refused this one. If another task or replica has renewed it meanwhile,
    /// theirs is given.
    pub async fn after_refusal(&self, refused: &SecretString) -> Result<SecretString, ProviderError> {
        self.serving(Some(refused)).await
    }

    async fn serving(&self, refused: Option<&SecretString>) -> Result<SecretString, ProviderError> {
        // Held over the renewal: this process asks once.
        let mut cached = self.cached.lock().await;
        let now = self.clock.now();
        if let Some(token) = cached.as_ref().filter(|token| token.serves(now, refused)) {
            return Ok(token.access.clone());
        }
        let token = match self.shared(refused).await {
            Ok(token) => token,
            Err(error) if error.is_transient() => {
                let known = match cached.as_ref() {
                    Some(token) => Some(token.clone()),
                    None => self.stored().await.ok().flatten(),
                };
                let old = known.filter(|token| now < token.expires_at && !token.is(refused)).ok_or(error)?;
                tracing::warn!(provider = self.provider, "the token could not be renewed; the old one still serves");
                return Ok(old.access);
            }
            Err(error) => return Err(error),
        };
        let access = token.access.clone();
        *cached = Some(token);
        Ok(access)
    }

    /// The token of the store, renewed by us if nobody else does.
    async fn shared(&self, refused: Option<&SecretString>) -> Result<Token, ProviderError> {
        let begin = Instant::now();
        let fence = loop {
            if let Some(token) = self.stored().await?.filter(|token| token.serves(self.clock.now(), refused)) {
                return Ok(token);
            }
            if let Some(fence) = self.store.lock(&self.key, LOCK_LIFE).await.map_err(|error| self.lost(&error))? {
                break fence;
            }
            if begin.elapsed() > PATIENCE {
                let detail = "another replica renews the token and does not end".to_owned();
                return Err(ProviderError::TryLater { provider: self.provider, detail, after: None });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        let renewed = self.renew(refused).await;
        if let Err(error) = self.store.unlock(&self.key, &fence).await {
            // It ends by itself.
            let cause = telemetry::chain(&error);
            tracing::warn!(provider = self.provider, error.chain = cause, "the token's lock could not be given back");
        }
        renewed
    }

    async fn renew(&self, refused: Option<&SecretString>) -> Result<Token, ProviderError> {
        let stored = self.stored().await?;
        // Between our look and our lock another replica may have renewed it.
        if let Some(token) = stored.as_ref().filter(|token| token.serves(self.clock.now(), refused)) {
            return Ok(token.clone());
        }
        let refresh = match &stored {
            Some(token) => token.refresh.as_ref(),
            None => self.first_refresh.as_ref(),
        };
        let granted = match self.grant.grant(refresh).await {
            // A dead refresh token is no harm: our own credentials always serve.
            Err(ProviderError::Refused { detail, .. } | ProviderError::Locked { detail, .. }) if refresh.is_some() => {
                tracing::info!(provider = self.provider, detail, "the refresh token is dead; the credentials are used");
                self.grant.grant(None).await?
            }
            other => other?,
        };
        let token = Token::of(granted, self.clock.now());
        let sealed = token.seal().map_err(|error| ProviderError::Unreadable {
            provider: self.provider,
            detail: format!("the token cannot be stored: {error}"),
        })?;
        let life = (token.expires_at - self.clock.now()).to_std().unwrap_or_default();
        self.store.set(&self.key, &sealed, life).await.map_err(|error| self.lost(&error))?;
        Ok(token)
    }

    async fn stored(&self) -> Result<Option<Token>, ProviderError> {
        let sealed = self.store.get(&self.key).await.map_err(|error| self.lost(&error))?;
        Ok(sealed.as_ref().and_then(Token::open))
    }

    fn lost(&self, error: &TokenStoreError) -> ProviderError {
        let detail = format!("the store of its token does not answer ({})", error.cause());
        ProviderError::TryLater { provider: self.provider, detail, after: None }
    }
}
