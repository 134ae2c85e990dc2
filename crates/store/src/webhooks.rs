//! Webhooks as they came, each with the verdict on it; the jobs that wait to be pushed; what each webhook did.

mod pending;
mod replays;
mod runs;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use domain::ids::{ReplayId, WebhookId};
use domain::job::{Job, Queue};
use telemetry::propagation::Carried;

pub use pending::{Pending, claim_pending, forget_pending};
pub use replays::{Replay, ReplayOutcome, find_replay, finish_replay, replay, replayable};
pub use runs::{
    Choice, Group, ReplayRun, RunReplay, abort_run, advance_run, find_run, list_runs, prepare_run, replays_of_run,
    run_outcomes, start_run,
};

use crate::statements::{Params, column, execute, query, query_filtered, query_one, query_opt};
use crate::{StoreError, sql};

/// What is made of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The first of its kind: act on it.
    Accepted,
    /// It, or its body, came before.
    Duplicate,
    /// New by its body, but its event id came before with another one: act on it, and raise an alarm. Somebody plays tricks, or
    /// the sender is broken.
    Conflict,
    /// It was verified, but is not what the contract says.
    Malformed,
    /// It could not be verified.
    Rejected,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 5] = [Self::Accepted, Self::Duplicate, Self::Conflict, Self::Malformed, Self::Rejected];

    /// The word in the table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Malformed => "malformed",
            Self::Rejected => "rejected",
        }
    }

    /// Whether it is to be acted on.
    #[must_use]
    pub const fn counts(self) -> bool {
        matches!(self, Self::Accepted | Self::Conflict)
    }

    /// The verdict with this word.
    pub(crate) fn parse(word: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|verdict| verdict.word() == word)
            .ok_or_else(|| StoreError::WrongRow(format!("verdict {word:?}")))
    }
}

/// The job of an accepted webhook.
#[derive(Debug, Clone)]
pub struct Promise {
    /// Its queue.
    pub queue: Queue,
    /// Its kind.
    pub kind: &'static str,
    /// Its payload, as JSON.
    pub payload: String,
}

impl Promise {
    /// The promise of a job.
    pub fn of<J: Job>(job: &J) -> Result<Self, StoreError> {
        Ok(Self { queue: J::QUEUE, kind: J::KIND, payload: serde_json::to_string(job)? })
    }
}

/// A webhook that arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Its row.
    pub id: WebhookId,
    /// Where from, such as `razorpay`.
    pub source: &'static str,
    /// The sender's id of the event.
    pub event_id: String,
    /// What the sender calls the event.
    pub event: String,
    /// What is kept of the bytes.
    pub body: Vec<u8>,
    /// SHA-256 of the bytes as they came.
    pub body_sha256: [u8; 32],
    /// Two webhooks of a source with the same key say the same; mostly the hash itself.
    pub body_key: [u8; 32],
    /// Headers without secrets, as a JSON object.
    pub headers: String,
    /// The client.
    pub remote_address: String,
    /// Given when there is nothing for the keys to decide: `Rejected` or `Malformed`, with the reason.
    pub given: Option<(Verdict, String)>,
    /// The job, should it be accepted.
    pub promise: Option<Promise>,
    /// What the request belongs to.
    pub carried: Carried,
    /// When it came.
    pub received_at: DateTime<Utc>,
}

/// Records webhooks in one statement, which is one commit unless the client is in a transaction; gives the verdict on each, in
/// order. Answer the senders after it.
pub async fn record(client: &impl GenericClient, arrived: &[Arrived]) -> Result<Vec<Verdict>, StoreError> {
    let ids = column!(arrived, row => row.id);
    let row = query_one(
        client,
        sql!("webhooks/record.sql"),
        &[
            &ids,
            &column!(arrived, row => row.source),
            &column!(arrived, row => row.event_id.as_str()),
            &column!(arrived, row => row.event.as_str()),
            &column!(arrived, row => row.body.as_slice()),
            &column!(arrived, row => row.body_sha256.as_slice()),
            &column!(arrived, row => row.body_key.as_slice()),
            &column!(arrived, row => row.headers.as_str()),
            &column!(arrived, row => row.remote_address.as_str()),
            &column!(arrived, row => row.given.as_ref().map(|(verdict, _)| verdict.word())),
            &column!(arrived, row => row.given.as_ref().map_or("", |(_, reason)| reason.as_str())),
            &column!(arrived, row => row.received_at),
            &column!(arrived, row => row.promise.as_ref().map(|promise| promise.queue.name())),
            &column!(arrived, row => row.promise.as_ref().map(|promise| promise.kind)),
            &column!(arrived, row => row.promise.as_ref().map(|promise| promise.payload.as_str())),
            &column!(arrived, row => row.carried.traceparent.as_deref()),
            &column!(arrived, row => row.carried.correlation_id.as_deref()),
        ],
    )
    .await?;
    let (of, words): (Option<Vec<WebhookId>>, Option<Vec<&str>>) = (row.try_get(0)?, row.try_get(1)?);
    let (of, words) = (of.unwrap_or_default(), words.unwrap_or_default());
    let verdicts = words.into_iter().map(Verdict::parse).collect::<Result<Vec<_>, _>>()?;
    // They come in the order of the arrays, unless Postgres had a reason.
    if of == ids && verdicts.len() == ids.len() {
        return Ok(verdicts);
    }
    let verdicts: std::collections::HashMap<_, _> = of.into_iter().zip(verdicts).collect();
    let missing = || StoreError::WrongRow("a webhook was recorded without a verdict".to_owned());
    ids.iter().map(|id| verdicts.get(id).copied().ok_or_else(missing)).collect()
}

/// Which of these (source, event id, body key) were recorded before: their places in the list.
pub async fn seen(
    client: &impl GenericClient,
    sources: &[&str],
    event_ids: &[&str],
    body_keys: &[&[u8]],
) -> Result<Vec<usize>, StoreError> {
    let rows = query(client, sql!("webhooks/seen.sql"), &[&sources, &event_ids, &body_keys]).await?;
    let place = |row: &tokio_postgres::Row| -> Result<usize, StoreError> {
        let place: i64 = row.try_get(0)?;
        usize::try_from(place - 1).map_err(|_negative| StoreError::WrongRow(format!("place {place}")))
    };
    rows.iter().map(place).collect()
}

/// A stored webhook.
#[derive(Debug)]
pub struct Stored {
    /// Where from.
    pub source: String,
    /// What the sender calls the event.
    pub event: String,
    /// The sender's id of the event.
    pub event_id: String,
    /// What was kept of the bytes.
    pub body: Vec<u8>,
    /// The verdict.
    pub verdict: Verdict,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// Whether its effect was applied.
    pub processed: bool,
}

/// The webhook with this id.
pub async fn find(client: &impl GenericClient, id: WebhookId) -> Result<Option<Stored>, StoreError> {
    let row = query_opt(client, sql!("webhooks/find.sql"), &[&id]).await?;
    row.map(|row| {
        Ok(Stored {
            source: row.try_get(0)?,
            event: row.try_get(1)?,
            event_id: row.try_get(2)?,
            body: row.try_get(3)?,
            verdict: Verdict::parse(row.try_get(4)?)?,
            received_at: row.try_get(5)?,
            processed: row.try_get(6)?,
        })
    })
    .transpose()
}

/// What a webhook did.
#[derive(Debug, Clone)]
pub struct WorkedOff {
    /// In words.
    pub effect: String,
    /// What it was about, as its sender calls it: an order, a payment, a payout, a network's transaction, or our click.
    pub about: Option<String>,
}

/// Notes a webhook's effect, in the transaction that has it. `false`: it was noted before, by another delivery of the same
/// job, and this transaction has to be given up. Each replay is noted once more.
pub async fn mark_processed(
    client: &impl GenericClient,
    id: WebhookId,
    done: &WorkedOff,
    replay: Option<ReplayId>,
) -> Result<bool, StoreError> {
    let params: Params<'_> = &[&id, &done.effect, &replay, &done.about];
    Ok(execute(client, sql!("webhooks/mark_processed.sql"), params).await? == 1)
}

/// Which webhooks to list.
#[derive(Debug, Clone, Copy)]
pub struct Filter<'a> {
    /// Only what came before this one.
    pub before: WebhookId,
    /// Only this source.
    pub source: Option<&'a str>,
    /// Only this verdict.
    pub verdict: Option<Verdict>,
    /// Only what came at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Only what came before this time.
    pub until: Option<DateTime<Utc>>,
    /// Only what had an effect, or only what had none so far.
    pub worked_off: Option<bool>,
    /// At most so many.
    pub limit: i64,
}

/// A line of the list of webhooks.
#[derive(Debug, serde::Serialize)]
pub struct Line {
    /// Its row.
    pub id: WebhookId,
    /// Where from.
    pub source: String,
    /// The sender's id.
    pub event_id: String,
    /// What the sender calls the event.
    pub event: String,
    /// The verdict's word.
    pub verdict: String,
    /// Why it was rejected, or what it repeats.
    pub reason: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// When its effect was last applied.
    pub processed_at: Option<DateTime<Utc>>,
    /// That effect.
    pub effect: Option<String>,
    /// Whether its job still waits to be pushed.
    pub pending: bool,
}

/// Webhooks, the newest first.
pub async fn list(client: &impl GenericClient, filter: &Filter<'_>) -> Result<Vec<Line>, StoreError> {
    let verdict = filter.verdict.map(Verdict::word);
    let Filter { before, limit, source, since, until, worked_off, .. } = filter;
    let params: Params<'_> = &[before, limit, source, &verdict, since, until, worked_off];
    let rows = query_filtered(client, sql!("webhooks/list.sql"), params).await?;
    rows.iter()
        .map(|row| {
            Ok(Line {
                id: row.try_get(0)?,
                source: row.try_get(1)?,
                event_id: row.try_get(2)?,
                event: row.try_get(3)?,
                verdict: row.try_get(4)?,
                reason: row.try_get(5)?,
                received_at: row.try_get(6)?,
                processed_at: row.try_get(7)?,
                effect: row.try_get(8)?,
                pending: row.try_get(9)?,
            })
        })
        .collect()
}

/// Makes the partitions of this month and the next two, should they be missing; returns how many were.
pub async fn ensure_partitions(client: &impl GenericClient) -> Result<i32, StoreError> {
    Ok(query_one(client, sql!("webhooks/ensure_partitions.sql"), &[]).await?.try_get(0)?)
}
