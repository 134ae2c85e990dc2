//! Who is not written to any more, and why. Addresses are hashed: the list works without knowing whom it names.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::contact::{EmailAddress, Mobile};
use domain::ids::NotificationId;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;

use crate::notifications::{Category, Channel};
use crate::statements::{execute, query};
use crate::{StoreError, sql};

/// SHA-256 of a mail address in lower case, or of a number in E.164.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressHash([u8; 32]);

impl AddressHash {
    /// The bytes as stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&EmailAddress> for AddressHash {
    fn from(address: &EmailAddress) -> Self {
        Self(Sha256::digest(address.as_str().to_lowercase().as_bytes()).into())
    }
}

impl From<Mobile> for AddressHash {
    fn from(number: Mobile) -> Self {
        Self(Sha256::digest(number.e164().as_bytes()).into())
    }
}

/// An entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// A category, or `all`.
    pub category: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// Everything that can be stopped: all messages, or those of a category.
pub const KINDS: [Option<Category>; 5] =
    [None, Some(Category::Security), Some(Category::Money), Some(Category::Reminder), Some(Category::Operations)];

/// The word of a category, or of all of them, in the list.
#[must_use]
pub fn word(category: Option<Category>) -> &'static str {
    category.map_or("all", Category::name)
}

/// Stops a category of messages (or all of them) to an address; says whether that is new.
pub async fn insert(
    client: &impl GenericClient,
    channel: Channel,
    address: &AddressHash,
    category: Option<Category>,
    reason: &str,
) -> Result<bool, StoreError> {
    let params: [&(dyn postgres_types::ToSql + Sync); 4] =
        [&channel.name(), &address.as_bytes(), &word(category), &reason];
    Ok(execute(client, sql!("suppressions/insert.sql"), &params).await? == 1)
}

/// What is stopped to an address.
pub async fn of_address(
    client: &impl GenericClient,
    channel: Channel,
    address: &AddressHash,
) -> Result<Vec<Suppression>, StoreError> {
    let rows = query(client, sql!("suppressions/of_address.sql"), &[&channel.name(), &address.as_bytes()]).await?;
    rows.iter().map(suppression).collect()
}

/// Takes entries of an address off the list: the one with this word, or all. Gives what they were.
pub async fn remove(
    client: &impl GenericClient,
    channel: Channel,
    address: &AddressHash,
    word: Option<&str>,
) -> Result<Vec<Suppression>, StoreError> {
    let rows = query(client, sql!("suppressions/delete.sql"), &[&channel.name(), &address.as_bytes(), &word]).await?;
    rows.iter().map(suppression).collect()
}

fn suppression(row: &Row) -> Result<Suppression, StoreError> {
    Ok(Suppression { category: row.try_get(0)?, reason: row.try_get(1)?, created_at: row.try_get(2)? })
}

/// Ends the reminders to whoever got this one: what the one-click link in its header asks for. `false` when there is no such reminder.
pub async fn unsubscribe(client: &impl GenericClient, id: NotificationId) -> Result<bool, StoreError> {
    Ok(execute(client, sql!("suppressions/unsubscribe.sql"), &[&id]).await? == 1)
}
