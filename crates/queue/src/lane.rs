//! The loop of one queue in one worker: acknowledge and claim in one call, run, settle, sleep until there is more.
//!
//! The loop owns every claim of its lease. It alone talks to Redis for it, so what Redis has in hand and what is in hand
//! here differ only by calls whose answer was lost, and those are looked up (see [`claim`]).

mod batches;
mod claim;
mod drain;
mod settle;
mod tick;
mod watch;

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use kv::redis::RedisError;
use kv::{Connection, Kv};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::batches::Batches;
use self::settle::Ledger;
use self::watch::Watch;
use crate::circuit::Circuit;
use crate::execute::{Claimed, Finished, Shop, run_many, run_one};
use crate::layout::{Layout, this_minute};
use crate::lease::{Vitals, renew};
use crate::measure::Measures;
use crate::scripts::CALL_LIMIT;
use crate::settings::{Rate, WorkerSettings};

/// What a task sends when it ends, with the epoch of the lease it was claimed under.
enum Ended {
    One(u64, Finished),
    Group(u64, Vec<Finished>),
    Many(u64, Vec<Finished>),
}

/// Jobs that take no longer than this on average, in microseconds, are started in groups…
const QUICK_US: u64 = 20;
/// …of this many, so that a group holds a thread for well under a millisecond.
const GROUP: usize = 32;

type Run = Pin<Box<dyn Future<Output = Finished> + Send>>;

/// Runs jobs one after the other as long as they end at once; each that has to wait goes on as a task of its own.
async fn run_group(
    shop: Arc<Shop>,
    group: Vec<Claimed>,
    epoch: u64,
    ended: mpsc::UnboundedSender<Ended>,
    jobs: TaskTracker,
) {
    let mut finished = Vec::with_capacity(group.len());
    for job in group {
        let shop = shop.clone();
        let mut run: Run = Box::pin(async move { run_one(&shop, job).await });
        match futures_util::poll!(run.as_mut()) {
            Poll::Ready(job) => finished.push(job),
            Poll::Pending => {
                let ended = ended.clone();
                jobs.spawn(async move {
                    let finished = run.await;
                    let _lane_is_gone = ended.send(Ended::One(epoch, finished));
                });
            }
        }
    }
    if !finished.is_empty() {
        let _lane_is_gone = ended.send(Ended::Group(epoch, finished));
    }
}

/// What a lane is made of.
pub(crate) struct Parts {
    pub(crate) kv: Kv,
    pub(crate) layout: Layout,
    pub(crate) concurrency: usize,
    pub(crate) kinds: crate::kinds::Kinds,
    pub(crate) rate: Option<Rate>,
    pub(crate) circuit: Option<Circuit>,
    pub(crate) settings: WorkerSettings,
    pub(crate) vitals: Arc<Vitals>,
    /// Where this lane's vitals are.
    pub(crate) slot: usize,
}

pub(crate) struct Lane {
    layout: Layout,
    settings: WorkerSettings,
    shop: Arc<Shop>,
    rate: Option<Rate>,
    circuit: Option<Circuit>,
    redis: Connection,
    vitals: Arc<Vitals>,
    slot: usize,
    measures: Measures,

    lease: String,
    inflight: String,
    epoch: u64,
    /// The next claim number.
    next: u64,
    /// Claim numbers of calls whose answer was lost: Redis may have jobs in hand under them.
    uncertain: Vec<std::ops::Range<u64>>,
    /// Claim numbers of what Redis has in hand for this lease, as far as is known here.
    known: HashSet<u64, foldhash::fast::RandomState>,
    watches: [Watch; 2],

    /// Handlers, or batches, that may run at a time.
    concurrency: usize,
    /// Jobs that may be in hand.
    limit: usize,
    running: usize,
    /// How long a job takes lately, in microseconds.
    pace_us: u64,
    in_hand: usize,
    /// Claimed, not started.
    backlog: VecDeque<(Claimed, Instant)>,
    batches: Batches,
    ledger: Ledger,

    /// The list had more than was claimed: claim again at once instead of waiting for a wake-up.
    eager: bool,
    /// Nothing is claimed before this: paused, over the rate, or the circuit is open.
    hold_until: Option<Instant>,
    /// The circuit lets one job through, to see.
    probing: bool,
    /// Suspects wait until nothing runs here.
    alone: bool,
    suspects: usize,
    /// Held while a suspect runs here: one at a time in the whole process, so that blame is certain.
    permit: Option<OwnedSemaphorePermit>,
    /// Urgent jobs in a row, claimed one by one.
    urgent_in_a_row: u8,
    minute: i64,
    minute_key: String,
    down_since: Option<Instant>,
    /// Since when jobs wait, with room for them, and none is claimed.
    idle_since: Option<Instant>,
    next_report: Instant,

    jobs: TaskTracker,
    ended: mpsc::UnboundedSender<Ended>,
    endings: mpsc::UnboundedReceiver<Ended>,
}

impl Lane {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { kv, layout, concurrency, kinds, rate, circuit, settings, vitals, slot } = parts;
        let batches = Batches::new(&kinds);
        let lease = format!("{}.0", vitals.id);
        let (ended, endings) = mpsc::unbounded_channel();
        let minute = this_minute();
        Self {
            inflight: layout.inflight(&lease),
            watches: [Watch::new(&kv, 1, &layout.ready), Watch::new(&kv, 2, &layout.urgent)],
            redis: kv.dedicated(Duration::ZERO),
            limit: batches.limit(concurrency),
            measures: Measures::new(layout.queue),
            minute_key: layout.minute(minute),
            minute,
            shop: Arc::new(Shop::new(kinds, settings.crash_limit)),
            layout,
            settings,
            rate,
            circuit,
            vitals,
            slot,
            lease,
            epoch: 0,
            next: 1,
            uncertain: Vec::new(),
            known: HashSet::default(),
            concurrency,
            running: 0,
            pace_us: 1_000,
            in_hand: 0,
            backlog: VecDeque::new(),
            batches,
            ledger: Ledger::default(),
            eager: true,
            hold_until: None,
            probing: false,
            alone: false,
            suspects: 0,
            permit: None,
            urgent_in_a_row: 0,
            down_since: None,
            idle_since: None,
            next_report: Instant::now(),
            jobs: TaskTracker::new(),
            ended,
            endings,
        }
    }

    /// Works until `shutdown`, then drains.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        self.take_lease(&shutdown).await;
        let mut next_tick = Instant::now();
        while !shutdown.is_cancelled() {
            self.vitals.looped(self.slot);
            while let Ok(ended) = self.endings.try_recv() {
                self.note_ended(ended);
            }
            if let Err(error) = self.work(&mut next_tick, &shutdown).await {
                self.note_down(&error);
                self.eager = true;
                let pause = tokio::time::sleep(self.settings.tick);
                tokio::select! { () = pause => {}, () = shutdown.cancelled() => {} }
            }
        }
        self.drain().await;
    }

    /// One time round: whatever is due, then either the next turn or a wait for something to happen.
    async fn work(&mut self, next_tick: &mut Instant, shutdown: &CancellationToken) -> Result<(), RedisError> {
        if Instant::now() >= *next_tick {
            *next_tick = Instant::now() + self.tick().await?;
            self.vitals.looped(self.slot);
        }
        self.start();
        self.write_outcomes().await?;
        if !self.uncertain.is_empty() {
            self.look_up_uncertain().await?;
        }
        if self.due_for_a_turn() {
            let claimed = self.turn(self.room()).await?;
            self.start();
            if claimed > 0 {
                return Ok(());
            }
        }
        self.arm();
        let deadline = self.deadline(*next_tick);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            Some(ended) = self.endings.recv() => self.note_ended(ended),
            answer = watch::answered(&mut self.watches) => self.heed_watch(answer).await?,
            () = tokio::time::sleep_until(deadline.into()) => {}
        }
        Ok(())
    }

    /// When something is due although nothing happens.
    fn deadline(&self, next_tick: Instant) -> Instant {
        let flush = self.batches.deadline();
        [self.hold_until, flush].into_iter().flatten().fold(next_tick, Instant::min)
    }

    /// How many jobs may be claimed now.
    fn room(&self) -> usize {
        if self.alone || self.permit.is_some() || self.hold_until.is_some_and(|until| Instant::now() < until) {
            return 0;
        }
        let room = self.limit.saturating_sub(self.in_hand).min(CALL_LIMIT);
        if self.probing { room.min(usize::from(self.in_hand == 0)) } else { room }
    }

    /// Whether to call Redis now: outcomes wait, or there is room and reason to believe that jobs wait.
    fn due_for_a_turn(&self) -> bool {
        !self.ledger.done.is_empty() || (self.eager && self.room() > 0) || self.may_run_a_suspect()
    }

    fn may_run_a_suspect(&self) -> bool {
        (self.alone || self.suspects > 0) && self.in_hand == 0 && self.running == 0 && self.hold_until.is_none()
    }

    /// Starts what was claimed, as far as concurrency allows.
    fn start(&mut self) {
        while self.running < self.concurrency && !self.backlog.is_empty() {
            // Jobs that end at once share a task: making one for each costs as much as they do.
            let most = if self.pace_us <= QUICK_US { GROUP } else { 1 };
            let count = most.min(self.concurrency - self.running).min(self.backlog.len());
            let group = self.backlog.drain(..count).map(|(job, _)| job).collect();
            self.running += count;
            self.jobs.spawn(run_group(self.shop.clone(), group, self.epoch, self.ended.clone(), self.jobs.clone()));
        }
        let now = self.alone || self.permit.is_some();
        while self.running < self.concurrency
            && let Some(batch) = self.batches.due(now)
        {
            self.running += 1;
            let (shop, ended, epoch) = (self.shop.clone(), self.ended.clone(), self.epoch);
            self.jobs.spawn(async move {
                let finished = run_many(&shop, batch).await;
                let _lane_is_gone = ended.send(Ended::Many(epoch, finished));
            });
        }
    }

    fn note_ended(&mut self, ended: Ended) {
        let tasks = if let Ended::Group(_, jobs) = &ended { jobs.len() } else { 1 };
        self.running = self.running.saturating_sub(tasks);
        match ended {
            Ended::One(epoch, job) => self.note_finished(epoch, job),
            Ended::Many(epoch, jobs) | Ended::Group(epoch, jobs) => {
                jobs.into_iter().for_each(|job| self.note_finished(epoch, job));
            }
        }
        if self.in_hand == 0 {
            self.permit = None;
        }
    }

    fn note_finished(&mut self, epoch: u64, job: Finished) {
        // What was claimed under a lost lease belongs to somebody else now.
        if epoch != self.epoch {
            return;
        }
        self.in_hand = self.in_hand.saturating_sub(1);
        self.measures.ended(&job);
        self.pace_us = (self.pace_us * 15 + job.run_us) / 16;
        if job.outcome != "returned" && job.outcome != "left" {
            self.vitals.ended();
        }
        self.ledger.add(job.claim, job.end);
        self.vitals.in_hand(self.slot, self.in_hand);
    }

    /// Takes new jobs into hand.
    fn note_claimed(&mut self, jobs: Vec<Claimed>) {
        if jobs.is_empty() {
            return;
        }
        self.in_hand += jobs.len();
        self.known.extend(jobs.iter().map(|job| job.claim.number));
        self.vitals.in_hand(self.slot, self.in_hand);
        self.idle_since = None;
        let now = Instant::now();
        for job in jobs {
            if let Some(job) = self.batches.sort_in(job) {
                self.backlog.push_back((job, now));
            }
        }
    }

    async fn take_lease(&mut self, shutdown: &CancellationToken) {
        loop {
            self.vitals.looped(self.slot);
            match renew(&mut self.redis, &self.layout.leases, &self.lease, self.settings.lease, true).await {
                Ok(_) => break,
                Err(error) => self.note_down(&error),
            }
            let pause = tokio::time::sleep(self.settings.tick);
            tokio::select! { () = pause => {}, () = shutdown.cancelled() => return }
        }
        self.note_up();
        self.vitals.hold(self.slot, &self.layout.leases, &self.lease);
    }

    /// Whatever is in hand belongs to somebody else now. Its tasks run out, their outcomes are thrown away.
    async fn lose_lease(&mut self) -> Result<(), RedisError> {
        tracing::warn!(
            queue = %self.layout.queue, lease = self.lease, in_hand = self.in_hand,
            "lease lost: outcomes of jobs in hand are refused"
        );
        self.epoch += 1;
        self.lease = format!("{}.{}", self.vitals.id, self.epoch);
        self.inflight = self.layout.inflight(&self.lease);
        self.in_hand = 0;
        self.backlog.clear();
        self.batches.clear();
        self.ledger = Ledger::default();
        self.uncertain.clear();
        self.known.clear();
        for watch in &mut self.watches {
            // What it may have claimed, it claimed for the lost lease.
            let _theirs = watch.disarm();
        }
        (self.alone, self.permit, self.eager) = (false, None, true);
        renew(&mut self.redis, &self.layout.leases, &self.lease, self.settings.lease, true).await?;
        self.vitals.hold(self.slot, &self.layout.leases, &self.lease);
        self.vitals.in_hand(self.slot, 0);
        Ok(())
    }

    /// Says it once, and again every half minute.
    fn note_down(&mut self, error: &RedisError) {
        if self.down_since.is_none_or(|since| since.elapsed() > Duration::from_secs(30)) {
            tracing::warn!(queue = %self.layout.queue, %error, "Redis does not answer; trying again");
            self.down_since = Some(Instant::now());
        }
    }

    fn note_up(&mut self) {
        if self.down_since.take().is_some() {
            tracing::info!(queue = %self.layout.queue, "Redis answers again");
        }
    }
}
