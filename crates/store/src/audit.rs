//! What operators and programs did. Rows are never changed; they go with their whole month.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{AdminId, AuditId};
use serde_json::Value;

use crate::statements::{execute, query_filtered};
use crate::{StoreError, sql};

/// One action. No personal data and no secret goes into it: ids say enough.
#[derive(Debug, Default)]
pub struct Action<'a> {
    /// The person, when it was one.
    pub admin_id: Option<AdminId>,
    /// The person's mail address, `api:<token name>`, or `cli`.
    pub actor: &'a str,
    /// The role or scope by which it was allowed.
    pub role: &'a str,
    /// A dotted word such as `queue.pause`.
    pub action: &'a str,
    /// What it was done to, such as `queue:email`.
    pub target: &'a str,
    /// Why, in the person's words.
    pub reason: &'a str,
    /// How it was.
    pub before: Option<Value>,
    /// How it is.
    pub after: Option<Value>,
    /// Where from.
    pub remote_address: &'a str,
    /// The trace.
    pub traceparent: Option<&'a str>,
}

/// Writes an action down, in the transaction of its effect where that is in Postgres.
pub async fn insert(client: &impl GenericClient, action: &Action<'_>) -> Result<AuditId, StoreError> {
    let id = AuditId::generate();
    let params: [&(dyn postgres_types::ToSql + Sync); 11] = [
        &id,
        &action.admin_id,
        &action.actor,
        &action.role,
        &action.action,
        &action.target,
        &action.reason,
        &action.before,
        &action.after,
        &action.remote_address,
        &action.traceparent,
    ];
    execute(client, sql!("audit/insert.sql"), &params).await?;
    Ok(id)
}

/// An action as written down.
#[derive(Debug)]
pub struct Line {
    /// The row.
    pub id: AuditId,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// By which role.
    pub role: String,
    /// What.
    pub action: String,
    /// To what.
    pub target: String,
    /// Why.
    pub reason: String,
    /// How it was.
    pub before: Option<Value>,
    /// How it is.
    pub after: Option<Value>,
    /// Where from.
    pub remote_address: String,
}

/// Actions before `before`, the newest first; an empty actor or target means all.
pub async fn list(
    client: &impl GenericClient,
    before: AuditId,
    actor: &str,
    target: &str,
    limit: i64,
) -> Result<Vec<Line>, StoreError> {
    let rows = query_filtered(client, sql!("audit/list.sql"), &[&before, &actor, &target, &limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(Line {
                id: row.try_get(0)?,
                at: row.try_get(1)?,
                actor: row.try_get(2)?,
                role: row.try_get(3)?,
                action: row.try_get(4)?,
                target: row.try_get(5)?,
                reason: row.try_get(6)?,
                before: row.try_get(7)?,
                after: row.try_get(8)?,
                remote_address: row.try_get(9)?,
            })
        })
        .collect()
}

/// What became of a dead letter.
#[derive(Debug)]
pub struct DeadLetterEnd<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// The job.
    pub job_id: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// `replayed` or `deleted`.
    pub action: &'a str,
    /// When it died.
    pub died_at: DateTime<Utc>,
    /// The word for why.
    pub why: &'a str,
    /// The chain of causes.
    pub error: &'a str,
    /// Who did it.
    pub actor: &'a str,
}

/// Writes down what became of a dead letter.
pub async fn insert_dead_letter_end(client: &impl GenericClient, end: &DeadLetterEnd<'_>) -> Result<(), StoreError> {
    let id = AuditId::generate();
    let params: [&(dyn postgres_types::ToSql + Sync); 9] =
        [&id, &end.queue, &end.job_id, &end.kind, &end.action, &end.died_at, &end.why, &end.error, &end.actor];
    execute(client, sql!("audit/insert_dead_letter.sql"), &params).await?;
    Ok(())
}
