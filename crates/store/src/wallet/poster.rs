//! Postings of many callers in few transactions.
//!
//! What a posting costs Postgres is for the most part the same for one as for a hundred: a statement, a commit. So callers
//! who have nothing else in their transaction leave their transfers here: whoever finds a free lane posts everything that has
//! come until then, in one statement that is a transaction, and hands each its answer. Nobody waits for a timer: while one
//! batch is on its way, the next one gathers.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use domain::wallet::Transfer;
use futures_util::future::join_all;
use serde_json::Value;
use telemetry::propagation::current_correlation;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::yield_now;

use super::{LedgerError, Posted, post, post_apart, post_many, wallet_of};
use crate::Pool;

/// Batches on their way at a time. With one, all who wait go together; of sixteen callers, each with its next transfer as soon as it
/// has its answer, three made batches of five and posted a third less.
const LANES: usize = 1;
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
    lanes: Semaphore,
    queue: Mutex<VecDeque<Waiting>>,
}

impl Poster {
    /// Over the connections of `pool`, which are of [`Pool::connect_by_key`].
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool, lanes: Semaphore::new(LANES), queue: Mutex::default() }
    }

    /// Posts one transfer, as [`post`] does: the same key and input again give the same answer, and another's refusal is
    /// not this caller's. It may be posted although the caller has stopped waiting; the key makes asking again harmless.
    pub async fn post(&self, transfer: &Transfer) -> Outcome {
        loop {
            let (answer, mut told) = oneshot::channel();
            self.queue().push_back(Waiting { transfer: noted(transfer), answer });
            // Ends when somebody has posted it; begins anew when whoever was about to was cancelled.
            loop {
                let lane = tokio::select! {
                    biased;
                    outcome = &mut told => match outcome {
                        Ok(outcome) => return outcome,
                        Err(_cancelled) => break,
                    },
                    lane = self.lanes.acquire() => lane,
                };
                // Who has just been told by the batch before comes with the next transfer first; else it would go alone.
                yield_now().await;
                let batch = self.next_batch();
                if !batch.is_empty() {
                    self.post_together(batch).await;
                }
                drop(lane);
            }
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Waiting>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits, up to the first key that stands in it already: a batch takes a key once.
    fn next_batch(&self) -> Vec<Waiting> {
        let mut queue = self.queue();
        let mut keys = HashSet::new();
        let mut is_new = |waiting: &Waiting| keys.insert(waiting.transfer.key.clone());
        let size = queue.iter().take(MOST).take_while(|waiting| is_new(waiting)).count();
        queue.drain(..size).collect()
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
