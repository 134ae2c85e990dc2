//! Shoppers.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::contact::{EmailAddress, InvalidContact, Mobile};
use domain::ids::UserId;
use domain::jobs::Language;
use domain::money::Paise;
use tokio_postgres::Row;

use crate::statements::{execute, query, query_opt};
use crate::{StoreError, sql};

/// A shopper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The shopper.
    pub id: UserId,
    /// The name used in greetings.
    pub name: String,
    /// Where mails go.
    pub email: Option<EmailAddress>,
    /// Where text messages go.
    pub mobile: Option<Mobile>,
    /// The language of mails and messages.
    pub lang: Language,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Since when withdrawals are blocked by an operator.
    pub frozen_at: Option<DateTime<Utc>>,
}

/// Adds a shopper.
pub async fn insert(
    client: &impl GenericClient,
    id: UserId,
    name: &str,
    email: Option<&EmailAddress>,
    mobile: Option<Mobile>,
    lang: Language,
) -> Result<(), StoreError> {
    let email = email.map(EmailAddress::as_str);
    let mobile = mobile.map(|mobile| mobile.e164());
    execute(client, sql!("users/insert.sql"), &[&id, &name, &email, &mobile, &lang.code()]).await?;
    Ok(())
}

/// Finds a shopper.
pub async fn find(client: &impl GenericClient, id: UserId) -> Result<Option<User>, StoreError> {
    query_opt(client, sql!("users/find.sql"), &[&id]).await?.as_ref().map(user).transpose()
}

/// Finds several shoppers, in no certain order; unknown ids are left out.
pub async fn find_many(client: &impl GenericClient, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
    query(client, sql!("users/find_many.sql"), &[&ids]).await?.iter().map(user).collect()
}

/// Finds shoppers by exact mail address, exact E.164 number, or the beginning of the name; newest first.
pub async fn search(client: &impl GenericClient, text: &str, limit: i64) -> Result<Vec<User>, StoreError> {
    let prefix = format!("{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
    query(client, sql!("users/search.sql"), &[&text, &prefix, &limit]).await?.iter().map(user).collect()
}

/// Blocks or unblocks a shopper's withdrawals; says whether the shopper exists.
pub async fn set_frozen(client: &impl GenericClient, id: UserId, frozen: bool) -> Result<bool, StoreError> {
    let statement = if frozen { sql!("users/freeze.sql") } else { sql!("users/unfreeze.sql") };
    Ok(client.execute(statement, &[&id]).await? == 1)
}

/// A shopper whose cashback has been pending for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongPending {
    /// The shopper.
    pub user_id: UserId,
    /// The name used in greetings.
    pub name: String,
    /// Where mails go.
    pub email: EmailAddress,
    /// The language of mails.
    pub lang: Language,
    /// How much in all.
    pub amount: Paise,
    /// From how many purchases.
    pub purchases: i64,
}

/// Shoppers with cashback pending of purchases before `before`, who have a mail address and want reminders; the next
/// `limit` of them after `last`, in the order of their ids.
pub async fn long_pending(
    client: &impl GenericClient,
    before: DateTime<Utc>,
    last: Option<UserId>,
    limit: usize,
) -> Result<Vec<LongPending>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = query(client, sql!("users/long_pending.sql"), &[&before, &last, &limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(LongPending {
                user_id: row.try_get(0)?,
                name: row.try_get(1)?,
                email: address(row.try_get(2)?)?,
                lang: language(row.try_get(3)?),
                amount: row.try_get(4)?,
                purchases: row.try_get(5)?,
            })
        })
        .collect()
}

fn address(text: &str) -> Result<EmailAddress, StoreError> {
    text.parse().map_err(|error: InvalidContact| StoreError::WrongRow(error.to_string()))
}

fn language(code: &str) -> Language {
    if code == Language::Hi.code() { Language::Hi } else { Language::En }
}

fn user(row: &Row) -> Result<User, StoreError> {
    let mobile = row.try_get::<_, Option<String>>(3)?.map(|text| text.parse()).transpose();
    Ok(User {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        email: row.try_get::<_, Option<&str>>(2)?.map(address).transpose()?,
        mobile: mobile.map_err(|error: InvalidContact| StoreError::WrongRow(error.to_string()))?,
        lang: language(row.try_get(4)?),
        created_at: row.try_get(5)?,
        frozen_at: row.try_get(6)?,
    })
}
