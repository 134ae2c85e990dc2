//! Tokens of programs. Only their SHA-256 is stored.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::ApiTokenId;
use sha2::{Digest, Sha256};

use crate::statements::{execute, query, query_opt};
use crate::{StoreError, sql};

/// What a token allows.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The token's row.
    pub id: ApiTokenId,
    /// Whose program it is.
    pub name: String,
    /// What it may do, such as `queues:read`.
    pub scopes: Vec<String>,
}

/// Stores a token that holds until it is revoked, or renews its scopes.
pub async fn upsert(
    client: &impl GenericClient,
    name: &str,
    token: &str,
    scopes: &[String],
    created_by: &str,
) -> Result<(), StoreError> {
    upsert_until(client, name, token, scopes, created_by, None).await
}

/// Stores a token, or renews its scopes and its end. After `expires_at` it is void.
pub async fn upsert_until(
    client: &impl GenericClient,
    name: &str,
    token: &str,
    scopes: &[String],
    created_by: &str,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let hash = Sha256::digest(token.as_bytes()).to_vec();
    let id = ApiTokenId::generate();
    let params: [&(dyn postgres_types::ToSql + Sync); 6] = [&id, &name, &hash, &scopes, &created_by, &expires_at];
    execute(client, sql!("api_tokens/insert.sql"), &params).await?;
    Ok(())
}

/// What `token` allows; `None` when it is unknown, revoked or has run out.
pub async fn find(client: &impl GenericClient, token: &str) -> Result<Option<Grant>, StoreError> {
    let hash = Sha256::digest(token.as_bytes()).to_vec();
    let Some(row) = query_opt(client, sql!("api_tokens/find.sql"), &[&hash]).await? else { return Ok(None) };
    let grant = Grant { id: row.try_get(0)?, name: row.try_get(1)?, scopes: row.try_get(2)? };
    execute(client, sql!("api_tokens/note_use.sql"), &[&grant.id]).await?;
    Ok(Some(grant))
}

/// A token as people see it.
#[derive(Debug)]
pub struct Line {
    /// Its row.
    pub id: ApiTokenId,
    /// Whose program it is.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Until when it is good, if not for ever.
    pub expires_at: Option<DateTime<Utc>>,
    /// Since when it is void.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Every token.
pub async fn list(client: &impl GenericClient) -> Result<Vec<Line>, StoreError> {
    let rows = query(client, sql!("api_tokens/list.sql"), &[]).await?;
    rows.iter()
        .map(|row| {
            Ok(Line {
                id: row.try_get(0)?,
                name: row.try_get(1)?,
                scopes: row.try_get(2)?,
                created_by: row.try_get(3)?,
                created_at: row.try_get(4)?,
                last_used_at: row.try_get(5)?,
                expires_at: row.try_get(6)?,
                revoked_at: row.try_get(7)?,
            })
        })
        .collect()
}

/// Makes a token void; `false` when there is none or it was void.
pub async fn revoke(client: &impl GenericClient, id: ApiTokenId) -> Result<bool, StoreError> {
    Ok(execute(client, sql!("api_tokens/revoke.sql"), &[&id]).await? == 1)
}
