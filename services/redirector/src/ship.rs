//! Takes clicks to Redis, together.
//!
//! One of these runs in each HTTP thread, with a connection of its own. Clicks and limiter counts of requests that
//! arrive during a round trip, and as long as more come, share the next one; there is no timer. Under load two batches are under way
//! in turn, so that the thread works on one while Redis has the other. A request goes on when its click is acknowledged by
//! Redis, or is on disk.

mod batch;
mod line;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use domain::job::Queue;
use kv::redis::{self, RedisError, Value};
use kv::{Kv, keys};
use tokio::sync::Notify;

use self::batch::{Batch, Count};
use self::line::{Line, Unfit};
use crate::client::Client;
use crate::limit::{Allowance, Limiter};
use crate::spool::Spool;

/// Where a click is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// On Redis' list.
    Acknowledged,
    /// On this machine's disk.
    Spooled,
    /// Nowhere: Redis is away and the spool is full or broken.
    Lost,
}

/// Whether Redis takes clicks, as all threads of this process see it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// How many threads have no connection.
    cut_off: AtomicU32,
    /// The length of the list after the last push.
    waiting: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) spooled: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) round_trips: AtomicU64,
}

impl Health {
    /// Whether Redis is away.
    pub(crate) fn is_down(&self) -> bool {
        self.cut_off.load(Ordering::Relaxed) > 0
    }

    /// How many jobs were on the list after the last push.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// What all threads share.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) kv: Kv,
    pub(crate) spool: Spool,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) health: Arc<Health>,
    /// How long Redis may take to acknowledge before the clicks are spooled; its replicas, where they are waited for, have a part of it.
    pub(crate) patience: Duration,
}

impl Route {
    /// What asks Redis whether enough replicas have what was written; `None` where nobody wants to know. It answers with their number.
    fn wait(&self) -> Option<redis::Cmd> {
        let wanted = self.kv.wait_replicas();
        // So long that the answer still comes within our patience: without it nobody knows what Redis has.
        let limit = self.patience.as_millis() * 3 / 4;
        (wanted > 0).then(|| redis::cmd("WAIT").arg(wanted).arg(limit.max(1).to_string()).take())
    }

    /// Whether the answer to [`wait`](Self::wait) says that there are enough.
    fn is_replicated(&self, answer: Option<&Value>) -> bool {
        matches!(answer, Some(Value::Int(have)) if *have >= i64::from(self.kv.wait_replicas()))
    }
}

/// The way of this thread's clicks.
pub(crate) struct Ship(Rc<Inner>);

struct Inner {
    route: Route,
    open: RefCell<Batch>,
    /// The room of batches before, for the next ones.
    spare: RefCell<Vec<Batch>>,
    /// How many clicks are in each batch that is under way.
    under_way: RefCell<Vec<usize>>,
    /// There is something that may leave.
    wake: Notify,
    line: RefCell<Option<Rc<Line>>>,
    list: String,
    /// Goes along with each batch where replicas are waited for.
    wait: Option<redis::Cmd>,
}

/// So many clicks are worth a round trip of their own: a batch of them waits for no company, and goes beside another.
const ENOUGH: usize = 24;
/// For how many turns of the event loop a smaller one waits at most.
const MOST_TURNS: usize = 8;
const TOO_FEW: (redis::ErrorKind, &str) = (redis::ErrorKind::Io, "too few replicas have what was written");
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_millis(500);

impl Ship {
    /// Begins to work on the current thread, which must be an HTTP thread.
    pub(crate) fn launch(route: Route) -> Self {
        let inner = Rc::new(Inner {
            wait: route.wait(),
            route,
            open: RefCell::default(),
            spare: RefCell::default(),
            under_way: RefCell::default(),
            wake: Notify::new(),
            line: RefCell::default(),
            list: keys::ready(Queue::Clicks),
        });
        // It ends with the thread. Every click in it belongs to a request, and the server waits for those.
        actix_web::rt::spawn(work(inner.clone()));
        Self(inner)
    }

    /// Sends the click that `write` appends along with its client's count, and waits until it is safe.
    pub(crate) async fn send(&self, write: impl FnOnce(&mut Vec<u8>), client: Client, allowance: Allowance) -> Outcome {
        let arrival = {
            let mut open = self.0.open.borrow_mut();
            open.records.add(write);
            open.tell(client, allowance);
            open.arrival.clone()
        };
        self.0.rouse();
        poll_fn(|context| {
            if let Some(outcome) = arrival.outcome.get() {
                Poll::Ready(outcome)
            } else {
                arrival.waiting.borrow_mut().push(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    /// Sends a client's count alone; nobody waits for it.
    pub(crate) fn count(&self, client: Client, allowance: Allowance) {
        if allowance.told > 0 {
            self.0.open.borrow_mut().tell(client, allowance);
            self.0.rouse();
        }
    }
}

async fn work(inner: Rc<Inner>) {
    inner.connect().await;
    loop {
        let batch = inner.next().await;
        actix_web::rt::spawn(inner.clone().carry(batch));
    }
}

/// Whether a batch leaves beside those that are under way. A second one is no smaller than the first: else both would split up
/// further and further, and a round trip costs as much with few clicks as with many.
fn may_leave(clicks: usize, under_way: &[usize]) -> bool {
    match under_way {
        [] => true,
        [other] => clicks >= ENOUGH.max(*other),
        _ => false,
    }
}

impl Inner {
    /// The next batch, when it may leave.
    async fn next(&self) -> Batch {
        loop {
            self.wake.notified().await;
            self.gather().await;
            if self.is_ready() {
                let batch = self.open.replace(self.spare.borrow_mut().pop().unwrap_or_default());
                self.under_way.borrow_mut().push(batch.records.len());
                return batch;
            }
        }
    }

    /// Whether there is something that may leave.
    fn is_ready(&self) -> bool {
        let open = self.open.borrow();
        !open.is_empty() && may_leave(open.records.len(), &self.under_way.borrow())
    }

    /// Something came. What waits for a batch that is under way need not be looked at before that has arrived.
    fn rouse(&self) {
        if self.is_ready() {
            self.wake.notify_one();
        }
    }

    /// Lets the answers of the last batch go out, and what has come meanwhile come in, turn by turn of the event loop as long as more
    /// comes and it is not enough. Where little comes it is one turn, some microseconds.
    async fn gather(&self) {
        for _ in 0..MOST_TURNS {
            let before = self.open.borrow().records.len();
            tokio::task::yield_now().await;
            let after = self.open.borrow().records.len();
            if after == before || after >= ENOUGH {
                break;
            }
        }
    }

    /// Makes a batch safe, and tells those who wait for it.
    async fn carry(self: Rc<Self>, mut batch: Batch) {
        let outcome = self.deliver(&batch).await;
        let clicks = batch.records.len();
        let health = &self.route.health;
        let counter = match outcome {
            Outcome::Acknowledged => &health.acknowledged,
            Outcome::Spooled => &health.spooled,
            Outcome::Lost => &health.lost,
        };
        counter.fetch_add(u64::try_from(clicks).unwrap_or(u64::MAX), Ordering::Relaxed);
        batch.arrival.outcome.set(Some(outcome));
        batch.arrival.waiting.take().into_iter().for_each(Waker::wake);
        batch.clear();
        self.spare.borrow_mut().push(batch);
        let mut under_way = self.under_way.borrow_mut();
        let place = under_way.iter().position(|other| *other == clicks);
        place.map(|place| under_way.swap_remove(place));
        drop(under_way);
        self.rouse();
    }

    async fn deliver(self: &Rc<Self>, batch: &Batch) -> Outcome {
        let line = self.line.borrow().clone();
        if let Some(line) = line {
            match self.push(&mut Line::clone(&line), batch).await {
                Ok(()) => return Outcome::Acknowledged,
                Err(error) => self.lose(&line, &error),
            }
        }
        if batch.records.is_empty() {
            return Outcome::Acknowledged;
        }
        match self.route.spool.append(&batch.records).await {
            Ok(()) => Outcome::Spooled,
            // The writer has logged it.
            Err(_told) => Outcome::Lost,
        }
    }

    /// One round trip: the clicks first, then each client's count.
    async fn push(&self, line: &mut Line, batch: &Batch) -> Result<(), RedisError> {
        let pipe = self.pipeline(batch);
        self.route.health.round_trips.fetch_add(1, Ordering::Relaxed);
        let mut replies = line.send(&pipe).await?.into_iter();
        if !batch.records.is_empty() {
            match replies.next() {
                Some(Value::Int(length)) => {
                    self.route.health.waiting.store(u64::try_from(length).unwrap_or(0), Ordering::Relaxed);
                }
                Some(Value::ServerError(error)) => return Err(error.into()),
                _ => {
                    return Err(RedisError::from((
                        redis::ErrorKind::UnexpectedReturnType,
                        "RPUSH did not answer with a length",
                    )));
                }
            }
        }
        for (client, count) in &batch.counts {
            if count.clicks > 0
                && let Some(Value::Int(everywhere)) = replies.next()
            {
                self.heard(*client, *count, u64::try_from(everywhere).unwrap_or(0));
            }
            if count.expires {
                let _expiry = replies.next();
            }
        }
        if self.wait.is_some() && !self.route.is_replicated(replies.next().as_ref()) {
            // Too few replicas: a fail-over in this moment could lose them. They are spooled, as if Redis had not answered.
            return Err(TOO_FEW.into());
        }
        Ok(())
    }

    fn pipeline(&self, batch: &Batch) -> redis::Pipeline {
        let mut pipe = redis::Pipeline::with_capacity(1 + batch.counts.len() * 2);
        if !batch.records.is_empty() {
            let mut push = redis::Cmd::with_capacity(batch.records.len() + 2, batch.records.size() + 32);
            push.arg("RPUSH").arg(&self.list);
            for record in batch.records.iter() {
                push.arg(record);
            }
            pipe.add_command(push);
        }
        let mut key = String::with_capacity(64);
        for (client, count) in &batch.counts {
            key.clear();
            keys::redirect_limit(client.address(), &mut key);
            if count.clicks > 0 {
                let mut add = redis::Cmd::with_capacity(3, 64);
                add.arg("INCRBY").arg(&key).arg(count.clicks);
                pipe.add_command(add);
            }
            if count.expires {
                let mut expire = redis::Cmd::with_capacity(3, 80);
                expire.arg("PEXPIREAT").arg(&key).arg(count.ends_ms);
                pipe.add_command(expire);
            }
        }
        if let Some(wait) = &self.wait {
            pipe.add_command(wait.clone());
        }
        pipe
    }

    fn heard(&self, client: Client, count: Count, everywhere: u64) {
        self.route.limiter.heard(client, count.ends_ms, everywhere);
        if everywhere == u64::from(count.clicks) && !count.expires {
            // The counter began with these clicks, in the middle of a window: Redis had lost it, and with it its end.
            self.open.borrow_mut().count(client, count.ends_ms, 0, true);
            self.rouse();
        }
    }

    /// Whether the clicks got there is unknown: they are spooled, and a second delivery is one row in Postgres. The other batch that
    /// is under way on the same line may fail after the next one is there, which is none of that line's fault.
    fn lose(self: &Rc<Self>, lost: &Rc<Line>, error: &RedisError) {
        let is_current = self.line.borrow().as_ref().is_some_and(|line| Rc::ptr_eq(line, lost));
        if is_current {
            self.line.take();
            self.cut_off();
            tracing::warn!(%error, "Redis does not take clicks; they are spooled");
        }
    }

    /// The first connection: a moment's patience, so that a start does not begin with the spool.
    async fn connect(self: &Rc<Self>) {
        match self.dial().await {
            Ok(line) => *self.line.borrow_mut() = Some(Rc::new(line)),
            Err(error) => {
                self.cut_off();
                tracing::warn!(error.chain = telemetry::chain(&error), "Redis cannot be reached; clicks are spooled");
            }
        }
    }

    fn cut_off(self: &Rc<Self>) {
        self.route.health.cut_off.fetch_add(1, Ordering::Relaxed);
        actix_web::rt::spawn(self.clone().reconnect());
    }

    async fn reconnect(self: Rc<Self>) {
        let mut pause = FIRST_RETRY;
        loop {
            tokio::time::sleep(pause).await;
            if let Ok(line) = self.dial().await {
                *self.line.borrow_mut() = Some(Rc::new(line));
                self.route.health.cut_off.fetch_sub(1, Ordering::Relaxed);
                tracing::info!("Redis takes clicks again");
                return;
            }
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    async fn dial(&self) -> Result<Line, Unfit> {
        Line::dial(&self.route, self.wait.as_ref(), &self.list).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_batch_is_worth_its_round_trip_and_no_smaller_than_the_first() {
        assert!(may_leave(0, &[]) && may_leave(1, &[]), "nothing else is under way");
        assert!(!may_leave(ENOUGH - 1, &[1]) && may_leave(ENOUGH, &[1]));
        assert!(!may_leave(ENOUGH, &[ENOUGH + 1]) && may_leave(ENOUGH + 1, &[ENOUGH + 1]));
        assert!(!may_leave(usize::MAX, &[1, ENOUGH]), "two are enough");
    }
}
