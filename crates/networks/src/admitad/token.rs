//! Admitad's access token: by refresh token, else by client credentials.

use std::time::Duration;

use async_trait::async_trait;
use config::{ExposeSecret, SecretString};
use outbound::oauth::{Grant, Granted};
use outbound::{Client, Method, ProviderError};
use serde::Deserialize;

use super::{Refusal, Settings};

/// Gets tokens.
pub(super) struct Credentials {
    settings: Settings,
    client: Client,
}

#[derive(Deserialize)]
struct Token {
    #[serde(rename = "access_token")]
    access: String,
    #[serde(rename = "refresh_token")]
    refresh: Option<String>,
    /// Seconds, as a number or a text.
    expires_in: serde_json::Value,
}

impl Credentials {
    pub(super) fn new(settings: Settings, client: Client) -> Self {
        Self { settings, client }
    }
}

#[async_trait]
impl Grant for Credentials {
    async fn grant(&self, refresh: Option<&SecretString>) -> Result<Granted, ProviderError> {
        let provider = self.client.provider();
        let settings = &self.settings;
        // The slash at the end matters: without it a redirect drops the header.
        let request = self.client.request(Method::POST, &format!("{}/token/", settings.base_url));
        let (id, secret) = (settings.client_id.as_str(), settings.client_secret.expose_secret());
        let request = match refresh {
            Some(refresh) => request.form(&[
                ("grant_type", "refresh_token"),
                ("client_id", id),
                ("client_secret", secret),
                ("refresh_token", refresh.expose_secret()),
            ]),
            None => request.basic_auth(id, Some(secret)).form(&[
                ("grant_type", "client_credentials"),
                ("client_id", id),
                ("scope", &settings.scope),
            ]),
        };
        let answer = self.client.send(request).await?;
        if !answer.status.is_success() {
            let refusal: Refusal = serde_json::from_str(&answer.body).unwrap_or_default();
            let said = refusal.error_description.or(refusal.error).unwrap_or_default();
            let said: String = said.chars().take(200).collect();
            let detail = format!("no token: HTTP {}, {said}", answer.status.as_u16());
            return Err(match (answer.status.as_u16(), refusal.error_code) {
                (429 | 503, _) | (_, Some(4 | 6)) => {
                    let after = Some(answer.retry_after().unwrap_or(settings.rate_limit_wait));
                    ProviderError::TryLater { provider, detail, after }
                }
                (500..=599, _) => ProviderError::TryLater { provider, detail, after: None },
                _ => ProviderError::Locked { provider, detail },
            });
        }
        // The error of serde would tell what stands there, which is a secret.
        let token: Token = serde_json::from_str(&answer.body).map_err(|_secret| ProviderError::Unreadable {
            provider,
            detail: "the answer to the request for a token has another shape".to_owned(),
        })?;
        let seconds = match &token.expires_in {
            serde_json::Value::Number(number) => number.as_u64(),
            serde_json::Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let seconds = seconds.filter(|seconds| *seconds > 0).ok_or_else(|| ProviderError::Unreadable {
            provider,
            detail: "the token's life cannot be read".to_owned(),
        })?;
        Ok(Granted {
            access: SecretString::from(token.access),
            refresh: token.refresh.map(SecretString::from),
            life: Duration::from_secs(seconds),
        })
    }
}
