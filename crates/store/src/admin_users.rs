//! Who works the console, and their sessions.

use chrono::{DateTime, TimeDelta, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::AdminId;
use domain::redacted::Redacted;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;

use crate::statements::{execute, query, query_one, query_opt};
use crate::{StoreError, sql};

/// Somebody who may use the console.
#[derive(Debug)]
pub struct AdminUser {
    /// The person.
    pub id: AdminId,
    /// The mail address, in lower case; it is the name to log in with.
    pub email: String,
    /// The person's name.
    pub name: String,
    /// `viewer`, `operator` or `finance`.
    pub role: String,
    /// Argon2id, in PHC form.
    pub password_hash: Redacted<String>,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// The last login.
    pub last_login_at: Option<DateTime<Utc>>,
    /// Since when the person may not log in.
    pub disabled_at: Option<DateTime<Utc>>,
}

/// Adds a person, or gives the person with this address a new name, password and role, also when the person was kept out.
pub async fn upsert(
    client: &impl GenericClient,
    email: &str,
    name: &str,
    password_hash: &str,
    role: &str,
) -> Result<AdminId, StoreError> {
    let id = AdminId::generate();
    let email = email.to_lowercase();
    let row = query_one(client, sql!("admin_users/insert.sql"), &[&id, &email, &name, &password_hash, &role]).await?;
    Ok(row.try_get(0)?)
}

/// The person with this address.
pub async fn find_by_email(client: &impl GenericClient, email: &str) -> Result<Option<AdminUser>, StoreError> {
    let row = query_opt(client, sql!("admin_users/find_by_email.sql"), &[&email.to_lowercase()]).await?;
    row.as_ref().map(admin_user).transpose()
}

/// Everybody.
pub async fn list(client: &impl GenericClient) -> Result<Vec<AdminUser>, StoreError> {
    query(client, sql!("admin_users/list.sql"), &[]).await?.iter().map(admin_user).collect()
}

fn admin_user(row: &Row) -> Result<AdminUser, StoreError> {
    Ok(AdminUser {
        id: row.try_get(0)?,
        email: row.try_get(1)?,
        name: row.try_get(2)?,
        role: row.try_get(3)?,
        password_hash: Redacted::new(row.try_get(4)?),
        created_at: row.try_get(5)?,
        last_login_at: row.try_get(6)?,
        disabled_at: row.try_get(7)?,
    })
}

/// Keeps a person out and ends all sessions of the person. [`upsert`] lets the person in again.
pub async fn disable(client: &impl GenericClient, id: AdminId) -> Result<(), StoreError> {
    execute(client, sql!("admin_users/disable.sql"), &[&id]).await?;
    close_sessions_of(client, id).await?;
    Ok(())
}

/// What a session's cookie says about who asks.
#[derive(Debug, Clone)]
pub struct Session {
    /// The person.
    pub admin_id: AdminId,
    /// The person's mail address.
    pub email: String,
    /// The person's name.
    pub name: String,
    /// The person's role now.
    pub role: String,
    /// What every form must carry.
    pub csrf_token: Redacted<String>,
}

/// Opens a session for the random `token`, of which only the hash is stored.
pub async fn open_session(
    client: &impl GenericClient,
    token: &str,
    admin: AdminId,
    csrf_token: &str,
    life: TimeDelta,
) -> Result<(), StoreError> {
    let hash = Sha256::digest(token.as_bytes()).to_vec();
    let seconds = life.to_std().unwrap_or_default().as_secs_f64();
    execute(client, sql!("admin_users/open_session.sql"), &[&hash, &admin, &csrf_token, &seconds]).await?;
    execute(client, sql!("admin_users/note_login.sql"), &[&admin]).await?;
    Ok(())
}

/// The session of `token`, unless it ended, lay idle for longer than `idle`, or its person was disabled.
pub async fn find_session(
    client: &impl GenericClient,
    token: &str,
    idle: TimeDelta,
) -> Result<Option<Session>, StoreError> {
    let hash = Sha256::digest(token.as_bytes()).to_vec();
    let seconds = idle.to_std().unwrap_or_default().as_secs_f64();
    let row = query_opt(client, sql!("admin_users/find_session.sql"), &[&hash, &seconds]).await?;
    row.map(|row| {
        Ok(Session {
            admin_id: row.try_get(0)?,
            email: row.try_get(1)?,
            name: row.try_get(2)?,
            role: row.try_get(3)?,
            csrf_token: Redacted::new(row.try_get(4)?),
        })
    })
    .transpose()
}

/// Ends the session of `token`.
pub async fn close_session(client: &impl GenericClient, token: &str) -> Result<(), StoreError> {
    let hash = Sha256::digest(token.as_bytes()).to_vec();
    execute(client, sql!("admin_users/close_session.sql"), &[&hash]).await?;
    Ok(())
}

/// Ends every session of a person; returns how many.
pub async fn close_sessions_of(client: &impl GenericClient, id: AdminId) -> Result<u64, StoreError> {
    execute(client, sql!("admin_users/close_sessions_of.sql"), &[&id]).await
}

/// Deletes sessions that ended or lay idle for longer than `idle`; returns how many.
pub async fn delete_expired_sessions(client: &impl GenericClient, idle: TimeDelta) -> Result<u64, StoreError> {
    let seconds = idle.to_std().unwrap_or_default().as_secs_f64();
    execute(client, sql!("admin_users/delete_expired_sessions.sql"), &[&seconds]).await
}
