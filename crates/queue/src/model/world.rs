//! The world of the model: workers, each with what it has in hand, and where every job must be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::job::{Job, Queue, RetryPolicy};
use kv::redis::{self, AsyncCommands, Cmd, Value};
use kv::{Connection, Kv};
use serde::{Deserialize, Serialize};

use super::Step;
use crate::envelope::Envelope;
use crate::execute::{Claimed, Shop, run_one};
use crate::handler::{Handler, JobContext, JobError, Outcome};
use crate::kinds::{Kind, Kinds};
use crate::layout::{Claim, Lane, Layout};
use crate::lease::renew;
use crate::scripts::{FENCE, LEAVE, REAP, SETTLE, TICK, TURN, call, run};
use crate::verdict::{End, Settlement, give_back};
use crate::{Enqueue, Producer, admin};

pub(super) const QUEUE: Queue = Queue::Payments;
pub(super) const WORKERS: usize = 3;
pub(super) const CRASH_LIMIT: u8 = 3;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Numbered {
    number: u64,
}

impl Job for Numbered {
    const KIND: &'static str = "model.numbered";
    const QUEUE: Queue = QUEUE;
    const RETRY: RetryPolicy = RetryPolicy { max_attempts: 3, base: Duration::ZERO, cap: Duration::ZERO };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Done,
    Retry,
    Defer,
    Fail,
    Panic,
}

pub(super) struct Judge(Arc<Mutex<Verdict>>);

impl Handler<Numbered> for Judge {
    async fn handle(&self, _job: Numbered, _context: JobContext) -> Outcome {
        let why = || anyhow::anyhow!("as told");
        let verdict = *self.0.lock().unwrap();
        match verdict {
            Verdict::Done => Ok(()),
            Verdict::Retry => Err(JobError::RetryAfter(Duration::ZERO, why())),
            Verdict::Defer => Err(JobError::Defer(Duration::ZERO, why())),
            Verdict::Fail => Err(JobError::Fail(why())),
            // Without the hook's long report.
            Verdict::Panic => std::panic::resume_unwind(Box::new("as told")),
        }
    }
}

/// Where a job is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Waiting,
    Delayed,
    Suspect(u8),
    Hand(String),
    Dead,
    /// Done, or a dead letter that was deleted.
    Gone,
}

pub(super) struct Hand {
    slot: usize,
    epoch: u64,
    lease: String,
    next: u64,
    pub(super) jobs: Vec<Claimed>,
}

impl Hand {
    fn is_alone(&self) -> bool {
        self.jobs.iter().any(|job| matches!(job.claim.lane, Lane::Suspect(_)))
    }
}

pub(super) struct World {
    pub(super) kv: Kv,
    pub(super) redis: Connection,
    pub(super) layout: Layout,
    producer: Producer,
    shop: Shop,
    verdict: Arc<Mutex<Verdict>>,
    pub(super) hands: Vec<Hand>,
    pub(super) places: BTreeMap<u64, Place>,
    pub(super) reasons: BTreeMap<u64, &'static str>,
    paused: bool,
}

pub(super) fn number(body: &[u8]) -> u64 {
    serde_json::from_str::<Numbered>(Envelope::parse(body).unwrap().payload.get()).unwrap().number
}

impl World {
    pub(super) async fn new(kv: &Kv) -> Self {
        redis::cmd("FLUSHALL").exec_async(&mut kv.commands()).await.unwrap();
        let verdict = Arc::new(Mutex::new(Verdict::Done));
        let kind = Kind::one(Judge(verdict.clone()));
        let mut world = Self {
            kv: kv.clone(),
            redis: kv.commands(),
            layout: Layout::new(QUEUE, kv.mode()),
            producer: Producer::new(kv.clone()),
            shop: Shop::new(Kinds::from([(kind.name, kind)]), CRASH_LIMIT),
            verdict,
            hands: Vec::new(),
            places: BTreeMap::new(),
            reasons: BTreeMap::new(),
            paused: false,
        };
        for slot in 0..WORKERS {
            world.hands.push(Hand { slot, epoch: 0, lease: String::new(), next: 1, jobs: Vec::new() });
            world.begin_anew(slot).await;
        }
        world
    }

    /// A fresh lease, with nothing in hand.
    async fn begin_anew(&mut self, worker: usize) {
        let hand = &mut self.hands[worker];
        hand.epoch += 1;
        hand.lease = format!("w{}.{}", hand.slot, hand.epoch);
        hand.jobs.clear();
        let lease = hand.lease.clone();
        assert!(renew(&mut self.redis, &self.layout.leases, &lease, Duration::from_hours(1), true).await.unwrap());
    }

    fn holds(&self, lease: &str) -> bool {
        self.places.values().any(|place| *place == Place::Hand(lease.to_owned()))
    }

    fn new_job(&mut self, place: Place) -> Numbered {
        let number = self.places.len() as u64;
        self.places.insert(number, place);
        Numbered { number }
    }

    fn turn(&self, worker: usize, wanted: usize, done: &[Claim]) -> Cmd {
        let (layout, hand) = (&self.layout, &self.hands[worker]);
        let inflight = layout.inflight(&hand.lease);
        let minute = layout.this_minute();
        let mut cmd = call(
            &TURN,
            &[
                &layout.ready,
                &layout.urgent,
                &inflight,
                &layout.leases,
                &layout.paused,
                &layout.counts,
                &minute,
                &layout.suspects,
                &layout.suspect_turn,
                &layout.turns,
                &layout.bucket,
            ],
        );
        cmd.arg(&hand.lease).arg(0).arg(wanted).arg(hand.next).arg(u8::from(hand.jobs.is_empty())).arg(0).arg(0).arg(0);
        for claim in done {
            cmd.arg(claim.to_string());
        }
        cmd
    }

    pub(super) async fn claim(&mut self, worker: usize, wanted: usize) {
        if self.hands[worker].is_alone() {
            return;
        }
        let cmd = self.turn(worker, wanted, &[]);
        let answer: Vec<Value> = run(&mut self.redis, &TURN, &cmd).await.unwrap();
        let (Value::Int(state), Value::Int(count)) = (&answer[0], &answer[1]) else { panic!("{answer:?}") };
        let (state, count) = (*state, usize::try_from(*count).unwrap());
        assert_eq!(state == 3, self.paused && state != -1, "a paused queue gives nothing");
        let first = self.hands[worker].next;
        self.hands[worker].next += wanted as u64;
        if state == -1 {
            return self.lose(worker).await;
        }
        for (index, value) in answer[2..].iter().enumerate() {
            let Value::BulkString(body) = value else { panic!("{value:?}") };
            let lane = match state {
                1 => Lane::Suspect(u8::try_from(count).unwrap()),
                _ if index < count => Lane::Urgent,
                _ => Lane::Normal,
            };
            self.take(worker, Claimed { claim: Claim { number: first + index as u64, lane }, body: body.clone() });
        }
    }

    /// A job comes into hand, from where such jobs come from.
    fn take(&mut self, worker: usize, job: Claimed) {
        let from = match job.claim.lane {
            Lane::Suspect(crashes) => Place::Suspect(crashes),
            _ => Place::Waiting,
        };
        let hand = &mut self.hands[worker];
        let before = self.places.insert(number(&job.body), Place::Hand(hand.lease.clone()));
        assert_eq!(before, Some(from));
        hand.jobs.push(job);
        assert!(!hand.is_alone() || hand.jobs.len() == 1, "a suspect runs alone");
        let suspects = self.hands.iter().filter(|hand| hand.is_alone() && self.holds(&hand.lease)).count();
        assert!(suspects <= 1, "one suspect at a time");
    }

    async fn lose_answer(&mut self, worker: usize, wanted: usize) {
        if self.hands[worker].is_alone() {
            return;
        }
        let cmd = self.turn(worker, wanted, &[]);
        let _lost: Vec<Value> = run(&mut self.redis, &TURN, &cmd).await.unwrap();
        let first = self.hands[worker].next;
        self.hands[worker].next += wanted as u64;
        let mut fence = call(&FENCE, &[&self.layout.leases, &self.layout.turns]);
        fence.arg(&self.hands[worker].lease).arg(self.hands[worker].next);
        if run::<i64>(&mut self.redis, &FENCE, &fence).await.unwrap() == 0 {
            return self.lose(worker).await;
        }
        // The network delivers the call once more.
        let again: Vec<Value> = run(&mut self.redis, &TURN, &cmd).await.unwrap();
        assert_eq!(again[..1], [Value::Int(-2)]);
        let inflight = self.layout.inflight(&self.hands[worker].lease);
        let held: BTreeMap<String, Vec<u8>> = self.redis.hgetall(&inflight).await.unwrap();
        for (field, body) in held {
            let claim = Claim::parse(&field).unwrap();
            if claim.number >= first {
                self.take(worker, Claimed { claim, body });
            }
        }
    }

    /// Learns that the lease is lost: the model must have known.
    async fn lose(&mut self, worker: usize) {
        assert!(!self.holds(&self.hands[worker].lease), "a live lease was refused");
        self.begin_anew(worker).await;
    }

    pub(super) async fn end(&mut self, worker: usize, which: usize, verdict: Verdict) {
        if self.hands[worker].jobs.is_empty() {
            return;
        }
        let place = which % self.hands[worker].jobs.len();
        let job = self.hands[worker].jobs.remove(place);
        *self.verdict.lock().unwrap() = verdict;
        let (claim, name) = (job.claim, number(&job.body));
        let finished = run_one(&self.shop, job).await;
        match finished.end {
            End::Done => {
                let cmd = self.turn(worker, 0, &[claim]);
                let answer: (i64, i64) = run(&mut self.redis, &TURN, &cmd).await.unwrap();
                if answer.0 == -1 {
                    return self.lose(worker).await;
                }
                self.places.insert(name, Place::Gone);
            }
            End::Settle(settlement) => {
                let to = if settlement.what == "dead" { Place::Dead } else { Place::Delayed };
                if self.settle(worker, claim, settlement).await {
                    self.places.insert(name, to.clone());
                    if to == Place::Dead {
                        let crashed = matches!(claim.lane, Lane::Suspect(CRASH_LIMIT..));
                        let failed = if verdict == Verdict::Fail { "failed" } else { "attempts-used-up" };
                        self.reasons.insert(name, if crashed { "crashed" } else { failed });
                    }
                }
            }
            End::Left => panic!("nobody abandons jobs here"),
        }
    }

    async fn settle(&mut self, worker: usize, claim: Claim, settlement: Settlement) -> bool {
        let layout = &self.layout;
        let inflight = layout.inflight(&self.hands[worker].lease);
        let minute = layout.this_minute();
        let mut cmd = call(
            &SETTLE,
            &[
                &inflight,
                &layout.leases,
                &layout.counts,
                &minute,
                &layout.delayed,
                &layout.dead,
                &layout.dead_times,
                &layout.ready,
                &layout.urgent,
                &layout.suspects,
                &layout.expired,
            ],
        );
        let Settlement { what, bytes, score, id } = settlement;
        cmd.arg(&self.hands[worker].lease).arg(claim.to_string()).arg(what).arg(bytes).arg(score).arg(id);
        let (written, unknown): (i64, i64) = run(&mut self.redis, &SETTLE, &cmd).await.unwrap();
        if written < 0 {
            self.lose(worker).await;
            return false;
        }
        assert_eq!((written, unknown), (1, 0));
        true
    }

    async fn give_back(&mut self, worker: usize) {
        for job in std::mem::take(&mut self.hands[worker].jobs) {
            let (claim, name) = (job.claim, number(&job.body));
            if !self.settle(worker, claim, give_back(job.body)).await {
                return;
            }
            self.places.insert(name, back(claim));
        }
    }

    async fn leave(&mut self, worker: usize) {
        let layout = &self.layout;
        let inflight = layout.inflight(&self.hands[worker].lease);
        let mut cmd = call(
            &LEAVE,
            &[
                &layout.leases,
                &inflight,
                &layout.ready,
                &layout.urgent,
                &layout.suspects,
                &layout.suspect_turn,
                &layout.turns,
                &layout.counts,
            ],
        );
        cmd.arg(&self.hands[worker].lease);
        let _left: (i64, i64) = run(&mut self.redis, &LEAVE, &cmd).await.unwrap();
        if self.holds(&self.hands[worker].lease) {
            for job in &self.hands[worker].jobs {
                self.places.insert(number(&job.body), back(job.claim));
            }
        }
        self.begin_anew(worker).await;
    }

    async fn run_out(&mut self, worker: usize) {
        let _was_held: i64 = redis::cmd("ZADD")
            .arg(&self.layout.leases)
            .arg("XX")
            .arg(1)
            .arg(&self.hands[worker].lease)
            .query_async(&mut self.redis)
            .await
            .unwrap();
    }

    pub(super) async fn tick(&mut self, worker: usize) {
        let layout = self.layout.clone();
        let keys = [&layout.delayed, &layout.ready, &layout.urgent, &layout.leases, &layout.counts, &layout.pulse];
        let mut keys: Vec<&str> = keys.into_iter().map(String::as_str).collect();
        keys.push(&layout.suspects);
        let inflight = layout.inflight(&self.hands[worker].lease);
        keys.push(&inflight);
        let mut cmd = call(&TICK, &keys);
        cmd.arg(&self.hands[worker].lease).arg(3_600_000).arg(0);
        let answer: Vec<Value> = run(&mut self.redis, &TICK, &cmd).await.unwrap();
        self.places.values_mut().filter(|place| **place == Place::Delayed).for_each(|place| *place = Place::Waiting);
        let dead: String = redis::from_redis_value_ref(&answer[2]).unwrap();
        if dead.is_empty() {
            return;
        }
        // What it holds becomes a suspect, with one crash more than under its claim.
        let inflight = layout.inflight(&dead);
        let held: BTreeMap<String, Vec<u8>> = self.redis.hgetall(&inflight).await.unwrap();
        let mut cmd = call(&REAP, &[&layout.leases, &inflight, &layout.suspects, &layout.counts, &layout.turns]);
        cmd.arg(&dead);
        let (moved, more): (usize, i64) = run(&mut self.redis, &REAP, &cmd).await.unwrap();
        assert_eq!((moved, more), (held.len(), 0));
        for (field, body) in held {
            let crashes = match Claim::parse(&field).unwrap().lane {
                Lane::Suspect(crashes) => crashes,
                _ => 0,
            };
            let before = self.places.insert(number(&body), Place::Suspect(crashes + 1));
            assert_eq!(before, Some(Place::Hand(dead.clone())));
        }
    }

    fn dead(&self, which: usize) -> Option<u64> {
        let dead: Vec<_> = self.places.iter().filter(|(_, place)| **place == Place::Dead).collect();
        Some(*dead.get(which.checked_rem(dead.len())?)?.0)
    }

    async fn letter(&self, name: u64) -> admin::DeadLetter {
        let letters = admin::dead_letters(&self.kv, QUEUE, 0, 1_000).await.unwrap();
        letters.into_iter().find(|letter| number(&letter.bytes()) == name).unwrap()
    }

    pub(super) async fn take_step(&mut self, step: &Step) {
        match *step {
            Step::Push(jobs, urgent) => {
                for _ in 0..jobs {
                    let job = self.new_job(Place::Waiting);
                    let enqueue = Enqueue::new(&job);
                    let enqueue = if urgent { enqueue.urgent() } else { enqueue };
                    self.producer.enqueue(enqueue).await.unwrap();
                }
            }
            Step::PushLater => {
                let job = self.new_job(Place::Delayed);
                self.producer.enqueue(Enqueue::new(&job).delay(Duration::ZERO)).await.unwrap();
            }
            Step::PushOnce(key) => {
                let job = Numbered { number: self.places.len() as u64 };
                let enqueue = Enqueue::new(&job).dedupe(key.to_string(), Duration::from_mins(1));
                if self.producer.enqueue(enqueue).await.unwrap().is_some() {
                    self.new_job(Place::Waiting);
                }
            }
            Step::Claim(worker, wanted) => self.claim(worker, wanted).await,
            Step::LoseAnswer(worker, wanted) => self.lose_answer(worker, wanted).await,
            Step::End(worker, which, verdict) => self.end(worker, which, verdict).await,
            Step::GiveBack(worker) => self.give_back(worker).await,
            Step::Leave(worker) => self.leave(worker).await,
            Step::Crash(worker) => {
                self.run_out(worker).await;
                self.begin_anew(worker).await;
            }
            Step::Stall(worker) => self.run_out(worker).await,
            Step::Renew(worker) => {
                let lease = self.hands[worker].lease.clone();
                let hour = Duration::from_hours(1);
                if !renew(&mut self.redis, &self.layout.leases, &lease, hour, false).await.unwrap() {
                    self.lose(worker).await;
                }
            }
            Step::Tick(worker) => self.tick(worker).await,
            Step::Pause => {
                admin::pause(&self.kv, QUEUE, "model").await.unwrap();
                self.paused = true;
            }
            Step::Resume => {
                admin::resume(&self.kv, QUEUE).await.unwrap();
                self.paused = false;
            }
            Step::Replay(which) => {
                let Some(name) = self.dead(which) else { return };
                let id = self.letter(name).await.id;
                assert!(admin::replay(&self.kv, QUEUE, &id, "model").await.unwrap());
                self.places.insert(name, Place::Waiting);
            }
            Step::Delete(which) => {
                let Some(name) = self.dead(which) else { return };
                let id = self.letter(name).await.id;
                assert!(admin::delete(&self.kv, QUEUE, &id).await.unwrap());
                self.places.insert(name, Place::Gone);
            }
        }
    }
}

/// Where a claimed job goes when it is given back.
pub(super) fn back(claim: Claim) -> Place {
    match claim.lane {
        Lane::Suspect(crashes) => Place::Suspect(crashes),
        _ => Place::Waiting,
    }
}
