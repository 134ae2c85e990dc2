//! Many small statements as few big ones: what comes in while a statement runs goes into the next one. Nobody waits for a
//! batch to fill, so an idle system answers at once and a busy one pays one commit for hundreds of messages.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use store::StoreError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// The most items of one statement.
const MOST: usize = 256;

type Reply<O> = oneshot::Sender<Result<O, Arc<StoreError>>>;

/// Hands items to the statements of one task. Cheap to clone.
pub(crate) struct Batcher<I, O> {
    items: mpsc::Sender<(I, Reply<O>)>,
}

impl<I, O> Clone for Batcher<I, O> {
    fn clone(&self) -> Self {
        Self { items: self.items.clone() }
    }
}

/// Why an item has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    /// The statement failed.
    #[error("the batch of statements failed")]
    Store(#[source] Arc<StoreError>),
    /// The process is ending.
    #[error("the store is closed: the process is ending")]
    Closed,
}

impl BatchError {
    /// Whether the same call may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Closed => true,
        }
    }
}

impl<I: Send + Sync + 'static, O: Send + 'static> Batcher<I, O> {
    /// Starts the task. `run` carries out one batch and gives an answer per item, in order; no batch has two items with the
    /// same `key`. The task ends when the last batcher is gone.
    pub(crate) fn start<K, R>(tasks: &TaskTracker, key: fn(&I) -> K, run: R) -> Self
    where
        K: Hash + Eq + Send + 'static,
        R: AsyncRun<I, O>,
    {
        let (items, mut incoming) = mpsc::channel::<(I, Reply<O>)>(MOST * 8);
        tasks.spawn(async move {
            let mut held: VecDeque<(I, Reply<O>)> = VecDeque::new();
            loop {
                if held.is_empty() {
                    match incoming.recv().await {
                        Some(item) => held.push_back(item),
                        None => return,
                    }
                }
                while held.len() < MOST
                    && let Ok(item) = incoming.try_recv()
                {
                    held.push_back(item);
                }
                let mut seen = HashSet::new();
                let (batch, rest): (Vec<_>, Vec<_>) = held.drain(..).partition(|(item, _)| seen.insert(key(item)));
                held.extend(rest);
                let (batch, replies): (Vec<I>, Vec<Reply<O>>) = batch.into_iter().unzip();
                match run.run(batch).await {
                    Ok(answers) => {
                        let unheard: Vec<O> = replies
                            .into_iter()
                            .zip(answers)
                            .filter_map(|(reply, answer)| reply.send(Ok(answer)).err()?.ok())
                            .collect();
                        if !unheard.is_empty() {
                            run.undo(unheard).await;
                        }
                    }
                    Err(error) => {
                        let error = Arc::new(error);
                        for reply in replies {
                            let _gone = reply.send(Err(error.clone()));
                        }
                    }
                }
            }
        });
        Self { items }
    }

    /// Carries out one item with whatever else is waiting.
    pub(crate) async fn run(&self, item: I) -> Result<O, BatchError> {
        let (reply, answer) = oneshot::channel();
        self.items.send((item, reply)).await.map_err(|_closed| BatchError::Closed)?;
        answer.await.map_err(|_closed| BatchError::Closed)?.map_err(BatchError::Store)
    }
}

/// Carries out a batch.
pub(crate) trait AsyncRun<I, O>: Send + 'static {
    /// One answer per item, in order.
    fn run(&self, batch: Vec<I>) -> impl Future<Output = Result<Vec<O>, StoreError>> + Send;

    /// What is to be done about answers that nobody heard, before the next batch: the time of their jobs ran out.
    fn undo(&self, _unheard: Vec<O>) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}
