//! The loop of one queue in one worker: acknowledge and claim in one call, run, settle, sleep until there is more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use domain::job::Queue;
use kv::{Kv, keys, redis};
use telemetry::metrics::{Counter, KeyValue};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::envelope::Envelope;
use crate::execute::{Claimed, Finished, Kinds, Run, Verdict, run_many, run_one};
use crate::lease::{LEASE, Vitals, renew};
use crate::scripts::{CALL_LIMIT, LEAVE, PROMOTE, REAP, SETTLE, TURN};
use crate::wake::Wake;

/// How often due jobs are promoted and dead leases looked for.
const TICK: Duration = Duration::from_millis(250);
/// Crashes that bury a job.
const CRASH_LIMIT: u32 = 3;
/// How long running jobs have after the signal.
const DRAIN: Duration = Duration::from_secs(25);

/// The keys of one queue, built once.
struct Keys {
    ready: String,
    urgent: String,
    inflight_prefix: String,
    inflight: String,
    leases: String,
    paused: String,
    counts: String,
    suspects: String,
    suspect_turn: String,
    delayed: String,
    dead: String,
    dead_times: String,
    expired: String,
    crashes: String,
}

impl Keys {
    fn new(queue: Queue, lease: &str) -> Self {
        let part = |part: &str| keys::of_queue(queue, part);
        let inflight_prefix = part("inflight:");
        Self {
            ready: keys::ready(queue),
            urgent: keys::urgent(queue),
            inflight: format!("{inflight_prefix}{lease}"),
            inflight_prefix,
            leases: part("leases"),
            paused: part("paused"),
            counts: part("counts"),
            suspects: part("suspects"),
            suspect_turn: part("suspect_turn"),
            delayed: part("delayed"),
            dead: part("dead"),
            dead_times: part("dead_times"),
            expired: part("expired"),
            crashes: part("crashes"),
        }
    }
}

/// What a turn brought.
enum Turn {
    Claimed(Vec<Claimed>),
    Suspects(Vec<Claimed>),
    SuspectsWait,
    Nothing,
    LeaseLost,
}

pub(crate) struct Lane {
    queue: Queue,
    concurrency: usize,
    kinds: Arc<Kinds>,
    batch: Option<(crate::handler::BatchPolicy, Vec<Claimed>, Instant)>,
    kv: Kv,
    redis: kv::Connection,
    vitals: Arc<Vitals>,
    keys: Keys,
    lease: String,
    epoch: u64,
    next_seq: u64,
    running: JoinSet<(u64, Vec<Finished>)>,
    in_hand: usize,
    /// Claim numbers of done jobs that Redis does not know of yet.
    done: Vec<u64>,
    /// Suspects are in hand, or wait for this lane to be empty: nothing else is claimed.
    alone: bool,
    last_contact: Instant,
    reap_after: Instant,
    processed: Counter<u64>,
}

impl Lane {
    pub(crate) fn new(kv: Kv, queue: Queue, concurrency: usize, kinds: Kinds, vitals: Arc<Vitals>) -> Self {
        let batch = kinds.values().find_map(|kind| match &kind.run {
            Run::Many(policy, _) => Some((*policy, Vec::new(), Instant::now())),
            Run::One(_) => None,
        });
        let lease = format!("{}.0", vitals.id);
        Self {
            queue,
            // A batch must fit into what may be in hand.
            concurrency: batch.as_ref().map_or(concurrency, |(policy, ..)| concurrency.max(policy.max * 2)),
            kinds: Arc::new(kinds),
            batch,
            redis: kv.commands(),
            kv,
            keys: Keys::new(queue, &lease),
            lease,
            vitals,
            epoch: 0,
            next_seq: 0,
            running: JoinSet::new(),
            in_hand: 0,
            done: Vec::new(),
            alone: false,
            last_contact: Instant::now(),
            reap_after: Instant::now(),
            processed: telemetry::metrics::meter()
                .u64_counter("jobs_processed")
                .with_description("Jobs by how they ended")
                .build(),
        }
    }

    /// Works until `shutdown`, then drains.
    pub(crate) async fn run(mut self, tasks: TaskTracker, shutdown: CancellationToken) {
        let wake = Wake::watch(&self.kv, vec![self.keys.ready.clone(), self.keys.urgent.clone()], &tasks, &shutdown);
        self.take_lease(&shutdown).await;
        let mut next_tick = Instant::now();
        while !shutdown.is_cancelled() {
            if Instant::now() >= next_tick {
                self.tick().await;
                next_tick = Instant::now() + TICK;
            }
            self.collect().await;
            self.flush_batch(false);
            let wanted = if self.alone && self.in_hand > 0 {
                0
            } else {
                self.concurrency.saturating_sub(self.in_hand).min(CALL_LIMIT)
            };
            if wanted > 0 || !self.done.is_empty() {
                match self.turn(wanted).await {
                    Ok(Turn::Claimed(jobs)) => {
                        self.alone = false;
                        self.start(jobs);
                        continue;
                    }
                    Ok(Turn::Suspects(jobs)) => {
                        self.alone = true;
                        self.start(jobs);
                        self.flush_batch(true);
                        continue;
                    }
                    Ok(Turn::SuspectsWait) => {
                        self.alone = true;
                        self.flush_batch(true);
                    }
                    Ok(Turn::Nothing) => self.alone = false,
                    Ok(Turn::LeaseLost) => {
                        self.lose_lease();
                        self.take_lease(&shutdown).await;
                        continue;
                    }
                    Err(error) => {
                        tracing::warn!(queue = %self.queue, %error, "Redis does not answer; trying again");
                        tokio::select! { () = tokio::time::sleep(Duration::from_millis(250)) => {}, () = shutdown.cancelled() => {} }
                        continue;
                    }
                }
            }
            let until_flush = self
                .batch
                .as_ref()
                .filter(|(_, jobs, _)| !jobs.is_empty())
                .map_or(TICK, |(policy, _, since)| policy.linger.saturating_sub(since.elapsed()));
            let room = self.in_hand < self.concurrency && !self.alone;
            tokio::select! {
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => self.settle_joined(ended).await,
                () = wake.woken(), if room => {}
                () = tokio::time::sleep(until_flush.min(next_tick.saturating_duration_since(Instant::now()))) => {}
                () = shutdown.cancelled() => {}
            }
        }
        self.drain().await;
    }

    async fn take_lease(&mut self, shutdown: &CancellationToken) {
        loop {
            match renew(&mut self.redis, self.queue, &self.lease, true).await {
                Ok(_) => break,
                Err(error) => tracing::warn!(queue = %self.queue, %error, "no lease yet: Redis does not answer"),
            }
            tokio::select! { () = tokio::time::sleep(Duration::from_millis(250)) => {}, () = shutdown.cancelled() => return }
        }
        self.vitals.hold(self.queue, &self.lease);
        self.last_contact = Instant::now();
    }

    /// Whatever is in hand belongs to somebody else now. Its tasks run out, their outcomes are thrown away.
    fn lose_lease(&mut self) {
        tracing::warn!(queue = %self.queue, lease = self.lease, in_hand = self.in_hand, "lease lost: outcomes of jobs in hand are refused");
        self.epoch += 1;
        self.lease = format!("{}.{}", self.vitals.id, self.epoch);
        self.keys = Keys::new(self.queue, &self.lease);
        self.in_hand = 0;
        self.done.clear();
        self.alone = false;
        if let Some((_, jobs, _)) = &mut self.batch {
            jobs.clear();
        }
        self.count_in_hand();
    }

    async fn turn(&mut self, wanted: usize) -> Result<Turn, redis::RedisError> {
        let acknowledged = self.done.len().min(CALL_LIMIT);
        let done = self.done.iter().take(acknowledged).map(u64::to_string).collect::<Vec<_>>().join(",");
        let keys = &self.keys;
        let mut call = TURN.key(&keys.ready);
        call.key(&keys.urgent).key(&keys.inflight).key(&keys.leases).key(&keys.paused).key(&keys.counts);
        call.key(&keys.suspects).key(&keys.suspect_turn);
        call.arg(&self.lease).arg(wanted).arg(self.next_seq).arg(if self.in_hand == 0 { "1" } else { "0" }).arg(done);
        let mut answer: Vec<redis::Value> = call.invoke_async(&mut self.redis).await?;
        self.note_contact();
        let state = match answer.first() {
            Some(redis::Value::Int(state)) => *state,
            _ => 0,
        };
        if state == -1 {
            return Ok(Turn::LeaseLost);
        }
        self.done.drain(..acknowledged);
        let mut jobs = Vec::with_capacity(answer.len());
        for value in answer.drain(..).skip(1) {
            if let redis::Value::BulkString(body) = value {
                jobs.push(Claimed { seq: self.next_seq, body });
                self.next_seq += 1;
            }
        }
        Ok(match state {
            1 => Turn::Suspects(jobs),
            2 => Turn::SuspectsWait,
            _ if jobs.is_empty() => Turn::Nothing,
            _ => Turn::Claimed(jobs),
        })
    }

    /// After an outage every lease looks dead until its holder has had time to renew it.
    fn note_contact(&mut self) {
        if self.last_contact.elapsed() > Duration::from_secs(2) {
            self.reap_after = Instant::now() + LEASE;
        }
        self.last_contact = Instant::now();
    }

    fn start(&mut self, jobs: Vec<Claimed>) {
        self.in_hand += jobs.len();
        self.count_in_hand();
        let epoch = self.epoch;
        for job in jobs {
            if let Some((_, buffer, since)) = &mut self.batch
                && Envelope::parse(&job.body).is_ok_and(|envelope| {
                    self.kinds.get(envelope.kind.as_ref()).is_some_and(|kind| matches!(kind.run, Run::Many(..)))
                })
            {
                if buffer.is_empty() {
                    *since = Instant::now();
                }
                buffer.push(job);
                continue;
            }
            let kinds = self.kinds.clone();
            self.running.spawn(async move { (epoch, vec![run_one(kinds, job).await]) });
        }
    }

    /// Starts the batch if it is full or old enough.
    fn flush_batch(&mut self, now: bool) {
        let Some((policy, buffer, since)) = &mut self.batch else { return };
        while !buffer.is_empty() && (now || buffer.len() >= policy.max || since.elapsed() >= policy.linger) {
            let rest = buffer.split_off(buffer.len().min(policy.max));
            let jobs = std::mem::replace(buffer, rest);
            *since = Instant::now();
            let (kinds, epoch) = (self.kinds.clone(), self.epoch);
            self.running.spawn(async move { (epoch, run_many(kinds, jobs).await) });
        }
    }

    async fn collect(&mut self) {
        while let Some(ended) = self.running.try_join_next() {
            self.settle_joined(ended).await;
        }
    }

    async fn settle_joined(&mut self, ended: Result<(u64, Vec<Finished>), tokio::task::JoinError>) {
        match ended {
            Ok((epoch, finished)) if epoch == self.epoch => {
                self.in_hand = self.in_hand.saturating_sub(finished.len());
                self.count_in_hand();
                for job in finished {
                    self.settle(job).await;
                }
            }
            Ok(_of_a_lost_lease) => {}
            // Handlers' panics are caught where they run; this is a bug of ours, and the lease's end repairs it.
            Err(error) => tracing::error!(queue = %self.queue, %error, "a job's task ended without an outcome"),
        }
    }

    async fn settle(&mut self, job: Finished) {
        self.vitals.ended.fetch_add(1, Ordering::Relaxed);
        self.processed.add(
            1,
            &[
                KeyValue::new("queue", self.queue.name()),
                KeyValue::new("kind", job.kind),
                KeyValue::new("outcome", job.outcome),
            ],
        );
        let (what, body, due, id) = match job.verdict {
            Verdict::Done => return self.done.push(job.seq),
            Verdict::Later { body, due_ms, counted } => {
                (if counted { "retry" } else { "defer" }, body, due_ms, String::new())
            }
            Verdict::Dead { id, record } => {
                ("dead", record, domain::clock::Clock::now(&domain::clock::SystemClock).timestamp_millis(), id)
            }
            Verdict::Expired { note } => ("expired", note, 0, String::new()),
        };
        let keys = &self.keys;
        let mut call = SETTLE.key(&keys.inflight);
        call.key(&keys.leases).key(&keys.counts).key(&keys.delayed).key(&keys.dead).key(&keys.dead_times);
        call.key(&keys.ready).key(&keys.expired);
        call.arg(&self.lease).arg(job.seq).arg(what).arg(body).arg(due).arg(id);
        // An outcome that cannot be written stays in hand in Redis and is handed on when the lease ends: at least once.
        for wait in [50, 200, 1_000, 0] {
            match call.invoke_async::<i64>(&mut self.redis).await {
                Ok(1) => return,
                Ok(_) => return tracing::warn!(queue = %self.queue, "an outcome came too late and was refused"),
                Err(error) if wait == 0 => {
                    tracing::error!(queue = %self.queue, %error, "an outcome could not be written");
                }
                Err(_again) => tokio::time::sleep(Duration::from_millis(wait)).await,
            }
        }
    }

    async fn tick(&mut self) {
        let promoted: Result<(i64, i64), _> =
            PROMOTE.key(&self.keys.delayed).key(&self.keys.ready).invoke_async(&mut self.redis).await;
        if promoted.is_err() || Instant::now() < self.reap_after {
            return;
        }
        let keys = &self.keys;
        let mut call = REAP.key(&keys.leases);
        call.key(&keys.suspects).key(&keys.counts).key(&keys.crashes).key(&keys.dead).key(&keys.dead_times);
        call.arg(&keys.inflight_prefix).arg(CRASH_LIMIT);
        while let Ok(answer) = call.invoke_async::<Vec<redis::Value>>(&mut self.redis).await {
            let [redis::Value::Int(moved), redis::Value::Int(buried), redis::Value::BulkString(lease)] =
                answer.as_slice()
            else {
                break;
            };
            let lease = String::from_utf8_lossy(lease);
            if *moved > 0 || *buried > 0 {
                tracing::warn!(queue = %self.queue, %lease, moved, buried, "a worker died; its jobs are handed on");
            }
        }
    }

    /// Gives back what has not started at once, lets running jobs finish, gives back the rest.
    async fn drain(mut self) {
        if let Some((_, jobs, _)) = &mut self.batch {
            let waiting = std::mem::take(jobs);
            self.in_hand = self.in_hand.saturating_sub(waiting.len());
            for job in waiting {
                self.give_back(job).await;
            }
        }
        let limit = tokio::time::sleep(DRAIN);
        tokio::pin!(limit);
        loop {
            if !self.done.is_empty()
                && let Err(error) = self.turn(0).await
            {
                tracing::warn!(queue = %self.queue, %error, "done jobs could not be acknowledged yet");
            }
            tokio::select! {
                ended = self.running.join_next() => match ended {
                    Some(ended) => self.settle_joined(ended).await,
                    None => break,
                },
                () = &mut limit => {
                    tracing::warn!(queue = %self.queue, in_hand = self.in_hand, "jobs still run after {DRAIN:?}; they are given back");
                    break;
                }
            }
        }
        self.running.abort_all();
        while !self.done.is_empty() {
            match self.turn(0).await {
                Ok(Turn::LeaseLost) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(queue = %self.queue, %error, "done jobs could not be acknowledged; they will run again");
                    break;
                }
            }
        }
        self.vitals.let_go(self.queue);
        let keys = &self.keys;
        let mut call = LEAVE.key(&keys.leases);
        call.key(&keys.inflight).key(&keys.ready).key(&keys.suspect_turn).arg(&self.lease);
        while let Ok(1..) = call.invoke_async::<i64>(&mut self.redis).await {}
    }

    async fn give_back(&mut self, job: Claimed) {
        let keys = &self.keys;
        let mut call = SETTLE.key(&keys.inflight);
        call.key(&keys.leases).key(&keys.counts).key(&keys.delayed).key(&keys.dead).key(&keys.dead_times);
        call.key(&keys.ready).key(&keys.expired);
        call.arg(&self.lease).arg(job.seq).arg("return").arg(job.body).arg(0).arg("");
        if let Err(error) = call.invoke_async::<i64>(&mut self.redis).await {
            tracing::warn!(queue = %self.queue, %error, "a job could not be given back; the lease's end does it");
        }
    }

    fn count_in_hand(&self) {
        self.vitals.in_flight.store(u64::try_from(self.in_hand).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
