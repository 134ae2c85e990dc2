//! Postings of many callers in few transactions.
//!
//! What a posting costs Postgres is for the most part the same for one as for a hundred: a statement, a commit. So callers
//! who have nothing else in their transaction leave their transfers here: whoever may begin posts what has come until then, in
//! one statement that is a transaction, and hands each its answer. Nobody waits for a timer: while one batch is on its way,
//! the next one gathers.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::wallet::Transfer;
use futures_util::future::join_all;
use serde_json::Value;
use telemetry::propagation::current_correlation;
use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;

use super::{LedgerError, Posted, post, post_apart, post_many, wallet_of};
use crate::Pool;

/// So many are worth a transaction of their own beside another that is on its way; fewer wait for it.
const ENOUGH: usize = 8;
/// The most transfers of one transaction.
const MOST: usize = 500;

type Outcome = Result<Posted, LedgerError>;

/// A transfer and who waits for it.
struct Waiting {
    transfer: Transfer,
    answer: oneshot::Sender<Outcome>,
}

/// Posts transfers of concurrent callers together.
pub struct Poster {
    pool: Pool,
    desk: Mutex<Desk>,
    /// Wakes one of those who wait when a batch may begin.
    turn: Notify,
}

/// What waits, and what is on its way.
#[derive(Default)]
struct Desk {
    waiting: VecDeque<Waiting>,
    /// Transfers of each batch that is on its way; two at most.
    flying: Vec<usize>,
}

impl Desk {
    /// How many may go now. When nothing is on its way, all; or half of them, so that the other half goes beside it. Beside a batch, as
    /// many as are in it: smaller ones would split up further and further, and each costs as much as a large one.
    fn ready(&self) -> usize {
        let waiting = self.waiting.len().min(MOST);
        match self.flying.as_slice() {
            [] if waiting >= 2 * ENOUGH => waiting.div_ceil(2),
            [] => waiting,
            [flying] if waiting >= ENOUGH.max(*flying) => waiting,
            _ => 0,
        }
    }

    /// What goes now, up to the first key that stands in it already: a batch takes a key once.
    fn take(&mut self) -> Vec<Waiting> {
        let mut keys = HashSet::new();
        let mut is_new = |waiting: &Waiting| keys.insert(waiting.transfer.key.clone());
        let ready = self.ready();
        let size = self.waiting.iter().take(ready).take_while(|waiting| is_new(waiting)).count();
        if size > 0 {
            self.flying.push(size);
        }
        self.waiting.drain(..size).collect()
    }
}

/// A batch's place; the next one may begin when it is given up.
struct Flight<'a> {
    poster: &'a Poster,
    size: usize,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut desk = self.poster.desk();
        let place = desk.flying.iter().position(|size| *size == self.size);
        place.map(|place| desk.flying.swap_remove(place));
        drop(desk);
        self.poster.turn.notify_one();
    }
}

impl Poster {
    /// Over the connections of `pool`, which are of [`Pool::connect_by_key`].
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool, desk: Mutex::default(), turn: Notify::new() }
    }

    /// Posts one transfer, as [`post`] does: the same key and input again give the same answer, and another's refusal is
    /// not this caller's. It may be posted although the caller has stopped waiting; the key makes asking again harmless.
    pub async fn post(&self, transfer: &Transfer) -> Outcome {
        loop {
            let (answer, mut told) = oneshot::channel();
            self.desk().waiting.push_back(Waiting { transfer: noted(transfer), answer });
            // Who has just been told by the batch before comes with the next transfer first; else it would go alone.
            yield_now().await;
            // Ends when somebody has posted it; begins anew when whoever was about to was cancelled.
            loop {
                self.begin().await;
                tokio::select! {
                    biased;
                    outcome = &mut told => match outcome {
                        Ok(outcome) => return outcome,
                        Err(_cancelled) => break,
                    },
                    () = self.turn.notified() => yield_now().await,
                }
            }
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts what may go now, if anything may.
    async fn begin(&self) {
        let (batch, is_more) = {
            let mut desk = self.desk();
            let batch = desk.take();
            (batch, desk.ready() > 0)
        };
        if batch.is_empty() {
            return;
        }
        let _flight = Flight { poster: self, size: batch.len() };
        if is_more {
            self.turn.notify_one();
        }
        self.post_together(batch).await;
    }

    /// All in one transaction; when one of them is refused, each by itself.
    async fn post_together(&self, batch: Vec<Waiting>) {
        let (transfers, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.transfer, waiting.answer)).unzip();
        let outcomes = match self.post_all(&transfers).await {
            Ok(posted) => posted.into_iter().map(Ok).collect(),
            Err(_refused) => join_all(transfers.iter().map(|transfer| self.post_one(transfer))).await,
        };
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // Who has stopped waiting needs no answer.
            let _gone = answer.send(outcome);
        }
    }

    async fn post_all(&self, transfers: &[Transfer]) -> Result<Vec<Posted>, LedgerError> {
        let client = self.pool.get().await?;
        match transfers {
            [transfer] => Ok(vec![post(&client, transfer).await?]),
            transfers if are_apart(transfers) => post_apart(&client, transfers).await,
            transfers => post_many(&client, transfers).await,
        }
    }

    async fn post_one(&self, transfer: &Transfer) -> Outcome {
        post(&self.pool.get().await?, transfer).await
    }
}

/// The transfer, with what its caller belongs to in its reason. Whoever posts it belongs to something else, and leaves alone what is
/// said: also that it is nothing.
fn noted(transfer: &Transfer) -> Transfer {
    let mut transfer = transfer.clone();
    if let Value::Object(reason) = &mut transfer.reason {
        reason.entry("correlation_id").or_insert_with(|| current_correlation().into());
    }
    transfer
}

/// Whether each moves a wallet, and none the same as another.
fn are_apart(transfers: &[Transfer]) -> bool {
    let mut wallets = HashSet::new();
    transfers.iter().all(|transfer| wallet_of(transfer).is_some_and(|wallet| wallets.insert(wallet)))
}
