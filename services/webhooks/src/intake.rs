//! From arrival to commit. Rows of concurrent requests share a transaction: while one is being committed, the next ones gather,
//! so there is no timer, an idle service commits at once, and a busy one is not bound to one disk sync a request. Further
//! transactions run beside it only while a crowd waits or it is held up: two that share what little comes have the fixed cost of both.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use config::Reader;
use kv::{Kv, keys, once};
use store::webhooks::{Arrived, Verdict, record, seen};
use store::{Pool, StoreError};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use crate::push::Pusher;

/// Rows in one transaction.
const BATCH: usize = 256;
/// So many that wait are worth another transaction beside the one under way,
const CROWD: usize = 64;
/// and so is one that waits for longer: the one under way may be held up by a lock, or by a connection that says nothing.
const HELD_UP: Duration = Duration::from_millis(200);
/// Requests that may wait for their commit; more are told to come again.
const WAITING: usize = 4096;
/// Bytes of bodies that may wait for their commit.
const WAITING_BYTES: usize = 64 << 20;
/// How long after a duplicate the next ones are looked for before they cost a transaction.
const STORM: Duration = Duration::from_mins(1);
/// How long a request may wait for its commit. Razorpay gives up after five seconds.
const PATIENCE: Duration = Duration::from_millis(3_500);

/// How webhooks are stored.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    writers: usize,
}

impl Settings {
    /// Reads `WEBHOOK_WRITERS`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            writers: reader.default(
                "WEBHOOK_WRITERS",
                2,
                "how many transactions may store webhooks at a time, where many wait",
            ),
        }
    }
}

/// Why a webhook was not stored; the sender is to come again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotStored {
    #[error("more webhooks wait than can be stored")]
    TooMany,
    #[error("it was not stored in time")]
    TooSlow,
    #[error("it was not stored")]
    Store(#[source] Arc<StoreError>),
}

struct Item {
    arrived: Arrived,
    answer: oneshot::Sender<Result<Verdict, Arc<StoreError>>>,
    /// The body's share of [`WAITING_BYTES`], held until it is stored or given up, also when nobody waits for the answer any more.
    room: Option<OwnedSemaphorePermit>,
}

/// Where arrivals are handed in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Intake {
    sender: mpsc::Sender<Item>,
    bytes: Arc<Semaphore>,
    calls: Arc<Semaphore>,
}

impl Intake {
    /// Starts the writers. They end when every handle on the intake is gone and all that waits is stored.
    pub(crate) fn start(settings: &Settings, pool: &Pool, kv: &Kv, pusher: &Pusher, tasks: &TaskTracker) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        let (calls, under_way) = (Arc::new(Semaphore::new(0)), Arc::new(UnderWay::default()));
        let writer = || Writer {
            pool: pool.clone(),
            kv: kv.clone(),
            pusher: pusher.clone(),
            receiver: receiver.clone(),
            under_way: under_way.clone(),
            ask_until: Instant::now(),
            ask_again_at: Instant::now(),
        };
        tasks.spawn(writer().run(calls.clone()));
        for _ in 1..settings.writers {
            tasks.spawn(writer().run_when_called(calls.clone()));
        }
        Self { sender, bytes: Arc::new(Semaphore::new(WAITING_BYTES)), calls }
    }

    /// Stores an arrival; returns after its commit.
    pub(crate) async fn record(&self, arrived: Arrived) -> Result<Verdict, NotStored> {
        let size = u32::try_from(arrived.body.len()).unwrap_or(u32::MAX);
        let room = self.bytes.clone().try_acquire_many_owned(size).map_err(|_full| NotStored::TooMany)?;
        let (answer, mut verdict) = oneshot::channel();
        self.sender.try_send(Item { arrived, answer, room: Some(room) }).map_err(|_full| NotStored::TooMany)?;
        if self.sender.max_capacity() - self.sender.capacity() >= CROWD {
            self.call();
        }
        let begin = Instant::now();
        let mut told = timeout_at(begin + HELD_UP, &mut verdict).await;
        if told.is_err() {
            self.call();
            told = timeout_at(begin + PATIENCE, verdict).await;
        }
        match told {
            Ok(Ok(stored)) => stored.map_err(NotStored::Store),
            // The writer has ended, or it is too late.
            _ => Err(NotStored::TooSlow),
        }
    }

    /// Calls for another transaction. One call is enough: whoever takes it looks at what waits then.
    fn call(&self) {
        if self.calls.available_permits() == 0 {
            self.calls.add_permits(1);
        }
    }

    /// Stores an arrival if there is room, and waits for nothing.
    pub(crate) fn note(&self, arrived: Arrived) {
        let (answer, _nobody_asks) = oneshot::channel();
        // There is no room for notes when genuine webhooks wait.
        let _left_out = self.sender.try_send(Item { arrived, answer, room: None });
    }
}

/// Since when the first writer has been at its transaction.
#[derive(Default)]
struct UnderWay(std::sync::Mutex<Option<Instant>>);

impl UnderWay {
    fn begins(&self) {
        *self.since() = Some(Instant::now());
    }

    fn ends(&self) {
        *self.since() = None;
    }

    /// Whoever calls has waited for longer, but may have come a moment before it began.
    fn is_held_up(&self) -> bool {
        self.since().is_some_and(|since| since.elapsed() >= HELD_UP / 2)
    }

    fn since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writer {
    pool: Pool,
    kv: Kv,
    pusher: Pusher,
    receiver: Arc<Mutex<mpsc::Receiver<Item>>>,
    under_way: Arc<UnderWay>,
    /// Redis is asked for duplicates from the last one for a while,
    ask_until: Instant,
    /// and not while it is down.
    ask_again_at: Instant,
}

impl Writer {
    /// Stores whatever comes, until nothing can come any more.
    async fn run(mut self, calls: Arc<Semaphore>) {
        let mut items = Vec::with_capacity(BATCH);
        while self.receiver.lock().await.recv_many(&mut items, BATCH).await > 0 {
            self.under_way.begins();
            self.store(&mut items).await;
            self.under_way.ends();
        }
        calls.close();
    }

    /// Stores what waits each time that somebody calls for another transaction. Nothing waits when the one under way ended first.
    async fn run_when_called(mut self, calls: Arc<Semaphore>) {
        let mut items = Vec::with_capacity(BATCH);
        while let Ok(call) = calls.acquire().await {
            call.forget();
            let mut receiver = self.receiver.lock().await;
            let waiting = receiver.len();
            if waiting == 0 || (waiting < CROWD && !self.under_way.is_held_up()) {
                continue;
            }
            // One that is counted may be on its way in still: it belongs to the crowd that this transaction begins for.
            while items.len() < waiting.min(BATCH) && receiver.recv_many(&mut items, BATCH).await > 0 {}
            drop(receiver);
            self.store(&mut items).await;
        }
    }

    async fn store(&mut self, items: &mut Vec<Item>) {
        // Nobody waits any more for what the sender was told to bring again.
        items.retain(|item| !item.answer.is_closed() || item.arrived.given.is_some());
        self.answer_known(items).await;
        let _rooms: Vec<_> = items.iter_mut().filter_map(|item| item.room.take()).collect();
        let (arrived, answers): (Vec<_>, Vec<_>) = items.drain(..).map(|item| (item.arrived, item.answer)).unzip();
        if arrived.is_empty() {
            return;
        }
        match self.record(&arrived).await {
            Ok(verdicts) => {
                if verdicts.contains(&Verdict::Duplicate) {
                    self.ask_until = Instant::now() + STORM;
                }
                let mut accepted = Vec::with_capacity(arrived.len());
                for ((arrived, answer), verdict) in arrived.into_iter().zip(answers).zip(verdicts) {
                    // Who has hung up finds it as a duplicate next time.
                    let _gone = answer.send(Ok(verdict));
                    if verdict.counts() {
                        accepted.push(arrived);
                    }
                }
                self.pusher.hand_over(accepted);
            }
            // One row that Postgres cannot take must not refuse its neighbours.
            Err(error) if arrived.len() > 1 && !error.is_transient() => {
                tracing::warn!(
                    error.chain = telemetry::chain(&error),
                    "a batch of webhooks was refused; storing one by one"
                );
                for (arrived, answer) in arrived.into_iter().zip(answers) {
                    let row = [arrived];
                    let verdict =
                        self.record(&row).await.map(|verdicts| verdicts.first().copied().unwrap_or(Verdict::Duplicate));
                    if verdict.as_ref().is_ok_and(|verdict| verdict.counts()) {
                        self.pusher.hand_over(row.into());
                    }
                    let _gone = answer.send(verdict.map_err(Arc::new));
                }
            }
            Err(error) => {
                tracing::error!(
                    error.chain = telemetry::chain(&error),
                    webhooks = arrived.len(),
                    "webhooks could not be stored"
                );
                let error = Arc::new(error);
                for answer in answers {
                    let _gone = answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Stores rows in one transaction; a connection that broke is replaced once.
    async fn record(&self, arrived: &[Arrived]) -> Result<Vec<Verdict>, StoreError> {
        match record(&self.pool.get().await?, arrived).await {
            Err(error) if error.is_transient() => record(&self.pool.get().await?, arrived).await,
            outcome => outcome,
        }
    }

    /// Answers what came before and is surely stored. Redis says what may have come before; the unique index says whether it
    /// did. So a storm of retries costs look-ups, not transactions. When nothing came twice for a while, nothing is asked: that
    /// would be one more way to go before each commit.
    async fn answer_known(&mut self, items: &mut Vec<Item>) {
        let now = Instant::now();
        if now >= self.ask_until || now < self.ask_again_at {
            return;
        }
        let names: Vec<_> = items
            .iter()
            .map(|item| match item.arrived.given {
                None => keys::webhook_once(item.arrived.source, &item.arrived.event_id),
                Some(_) => String::new(),
            })
            .collect();
        let asked = timeout(Duration::from_millis(50), once::marked(&self.kv, &names)).await;
        let Ok(Ok(marked)) = asked else {
            // Redis is down or slow: the index alone decides for a while.
            self.ask_again_at = Instant::now() + Duration::from_secs(2);
            return;
        };
        let suspects: Vec<usize> =
            marked.iter().enumerate().filter(|(_, marked)| **marked).map(|(place, _)| place).collect();
        if suspects.is_empty() {
            return;
        }
        let rows: Vec<_> = suspects.iter().filter_map(|place| items.get(*place)).map(|item| &item.arrived).collect();
        let sources: Vec<_> = rows.iter().map(|row| row.source).collect();
        let event_ids: Vec<_> = rows.iter().map(|row| row.event_id.as_str()).collect();
        let body_keys: Vec<_> = rows.iter().map(|row| row.body_key.as_slice()).collect();
        let Ok(client) = self.pool.get().await else { return };
        self.ask_until = Instant::now() + STORM;
        let Ok(known) = seen(&client, &sources, &event_ids, &body_keys).await else { return };
        let known: std::collections::HashSet<_> =
            known.iter().filter_map(|place| suspects.get(*place)).copied().collect();
        let mut place = 0;
        let (answered, rest) = std::mem::take(items).into_iter().partition::<Vec<_>, _>(|_| {
            place += 1;
            known.contains(&(place - 1))
        });
        for item in answered {
            let _gone = item.answer.send(Ok(Verdict::Duplicate));
        }
        *items = rest;
    }
}
