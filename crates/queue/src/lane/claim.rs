//! Turns: acknowledging and claiming in one call, by the lane itself or by its watches.

use std::ops::Range;
use std::time::{Duration, Instant};

use kv::redis::{self, Cmd, RedisError, RedisResult, Value};

use super::Lane;
use super::watch::Watch;
use crate::execute::Claimed;
use crate::layout::{Claim, Lane as Origin};
use crate::scripts::{CALL_LIMIT, FENCE, TURN, call, is_unknown_script, run};

/// How many urgent jobs may be taken one by one before an ordinary one is.
const URGENT_IN_A_ROW: u8 = 9;

impl Lane {
    /// The call of a turn that claims up to `wanted` jobs, numbered from `first`, and acknowledges `done`.
    fn turn_call(&self, channel: u8, wanted: usize, first: u64, suspects_may_run: bool, done: &[Claim]) -> Cmd {
        let layout = &self.layout;
        let mut cmd = call(
            &TURN,
            &[
                &layout.ready,
                &layout.urgent,
                &self.inflight,
                &layout.leases,
                &layout.paused,
                &layout.counts,
                &self.minute_key,
                &layout.suspects,
                &layout.suspect_turn,
                &layout.turns,
                &layout.bucket,
            ],
        );
        cmd.arg(&self.lease).arg(channel).arg(wanted).arg(first);
        cmd.arg(u8::from(suspects_may_run)).arg(u8::from(self.urgent_in_a_row >= URGENT_IN_A_ROW));
        match self.rate {
            Some(rate) => cmd.arg(rate.per_second).arg(rate.burst.max(1)),
            None => cmd.arg(0).arg(0),
        };
        for claim in done {
            match claim.lane {
                Origin::Normal => cmd.arg(claim.number),
                _ => cmd.arg(claim.to_string()),
            };
        }
        cmd
    }

    /// Acknowledges what is done, and claims up to `wanted` jobs or one suspect. Gives how many were claimed.
    pub(super) async fn turn(&mut self, wanted: usize) -> Result<usize, RedisError> {
        let suspects_may_run = self.may_run_a_suspect() && self.take_permit();
        let wanted = if suspects_may_run { wanted.max(1) } else { wanted };
        let done = self.ledger.done.len().min(CALL_LIMIT);
        let first = self.next;
        self.next += u64::try_from(wanted).unwrap_or(0);
        let cmd = self.turn_call(0, wanted, first, suspects_may_run, self.ledger.done.get(..done).unwrap_or_default());
        let answer = run::<Vec<Value>>(&mut self.redis, &TURN, &cmd).await;
        if answer.is_ok() {
            self.note_up();
            for claim in self.ledger.done.drain(..done) {
                self.known.remove(&claim.number);
            }
        }
        self.heed_turn(first..self.next, answer, true).await
    }

    /// The process-wide right to run a suspect.
    fn take_permit(&mut self) -> bool {
        if self.permit.is_none() {
            self.permit = self.vitals.suspect.clone().try_acquire_owned().ok();
        }
        self.permit.is_some()
    }

    /// Understands what a turn answered. Gives how many jobs were claimed.
    async fn heed_turn(
        &mut self,
        numbers: Range<u64>,
        answer: RedisResult<Vec<Value>>,
        own: bool,
    ) -> Result<usize, RedisError> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                if !is_unknown_script(&error) && !numbers.is_empty() {
                    self.uncertain.push(numbers);
                }
                self.release_permit();
                return Err(error);
            }
        };
        let (state, number, jobs) = read(&numbers, answer);
        let claimed = jobs.len();
        if state != 1 {
            self.release_permit();
        }
        match state {
            // Claimed as much as was wanted: there may be more.
            0 if !numbers.is_empty() => {
                self.eager = claimed > 0 && u64::try_from(claimed).is_ok_and(|n| n == numbers.end - numbers.start);
                // A watch's answer may be older than what the lane's own turn was told.
                self.alone &= !own;
                self.probing &= claimed == 0;
                self.count_urgent(number, claimed);
            }
            1 => {
                (self.alone, self.eager) = (true, true);
                self.suspects = self.suspects.saturating_sub(1);
            }
            2 => self.alone = true,
            3 => self.hold(self.settings.tick),
            4 => self.hold(Duration::from_millis(u64::try_from(number).unwrap_or(0).clamp(1, 1_000))),
            -1 => self.lose_lease().await?,
            -2 => self.uncertain.push(numbers),
            _ => {}
        }
        self.note_claimed(jobs);
        Ok(claimed)
    }

    fn release_permit(&mut self) {
        if self.in_hand == 0 {
            self.permit = None;
        }
    }

    fn hold(&mut self, time: Duration) {
        self.eager = true;
        self.hold_until = Some(Instant::now() + time);
    }

    fn count_urgent(&mut self, urgent: i64, claimed: usize) {
        match (urgent, claimed) {
            (_, 0) => {}
            (1, 1) => self.urgent_in_a_row = self.urgent_in_a_row.saturating_add(1),
            _ => self.urgent_in_a_row = 0,
        }
    }

    /// Sets the watches that are not set, when there is room and no reason to claim at once.
    pub(super) fn arm(&mut self) {
        if let Some(until) = self.hold_until
            && Instant::now() >= until
        {
            self.hold_until = None;
        }
        let room = self.room();
        if room == 0 || self.eager || self.probing || self.down_since.is_some() {
            return;
        }
        for index in 0..self.watches.len() {
            let Some(channel) = self.watches.get(index).filter(|watch| !watch.is_armed()).map(|watch| watch.channel)
            else {
                continue;
            };
            let first = self.next;
            self.next += u64::try_from(room).unwrap_or(0);
            let cmd = self.turn_call(channel, room, first, false, &[]);
            if let Some(watch) = self.watches.get_mut(index) {
                watch.arm(cmd, first..self.next);
            }
        }
    }

    /// A watch's turn came back.
    pub(super) async fn heed_watch(&mut self, answer: (Range<u64>, RedisResult<Vec<Value>>)) -> Result<(), RedisError> {
        let (numbers, answer) = answer;
        match answer {
            // Redis forgot the script; the lane's own turn teaches it again.
            Err(error) if is_unknown_script(&error) => {
                self.eager = true;
                Ok(())
            }
            answer => self.heed_turn(numbers, answer, false).await.map(|_claimed| ()),
        }
    }

    /// Finds out what Redis has in hand under numbers whose answer was lost, and takes it into hand here too. Until then
    /// it would lie there for as long as this worker lives.
    pub(super) async fn look_up_uncertain(&mut self) -> Result<(), RedisError> {
        let layout = &self.layout;
        let mut fence = call(&FENCE, &[&layout.leases, &layout.turns]);
        fence.arg(&self.lease).arg(self.next);
        if run::<i64>(&mut self.redis, &FENCE, &fence).await? == 0 {
            return self.lose_lease().await;
        }
        let uncertain = std::mem::take(&mut self.uncertain);
        let found = self.fetch(|number| uncertain.iter().any(|numbers| numbers.contains(&number))).await;
        let found = found.inspect_err(|_| self.uncertain.extend(uncertain))?;
        self.note_up();
        if !found.is_empty() {
            tracing::info!(queue = %self.layout.queue, jobs = found.len(), "claims whose answer was lost are found again");
        }
        self.note_claimed(found);
        Ok(())
    }

    /// Redis has more in hand than is known here: after a restart or a fail-over it may have forgotten the last moment, and
    /// with it outcomes that it had taken. Such jobs run again; nobody else would ever run them while this worker lives.
    pub(super) async fn look_up_forgotten(&mut self) -> Result<(), RedisError> {
        let expected: Vec<_> =
            self.watches.iter().filter_map(Watch::numbers).chain(self.uncertain.iter().cloned()).collect();
        let known = self.known.clone();
        let found = self
            .fetch(|number| !known.contains(&number) && !expected.iter().any(|numbers| numbers.contains(&number)))
            .await?;
        if !found.is_empty() {
            tracing::warn!(
                queue = %self.layout.queue, jobs = found.len(),
                "Redis has forgotten outcomes it had taken; these jobs run again"
            );
        }
        self.note_claimed(found);
        Ok(())
    }

    /// What Redis has in hand under this lease and numbers that are `wanted`.
    async fn fetch(&mut self, wanted: impl Fn(u64) -> bool) -> Result<Vec<Claimed>, RedisError> {
        let fields: Vec<String> = redis::cmd("HKEYS").arg(&self.inflight).query_async(&mut self.redis).await?;
        let lost: Vec<(String, Claim)> = fields
            .into_iter()
            .filter_map(|field| Claim::parse(&field).map(|claim| (field, claim)))
            .filter(|(_, claim)| wanted(claim.number))
            .collect();
        let mut found = Vec::with_capacity(lost.len());
        for chunk in lost.chunks(CALL_LIMIT) {
            self.vitals.looped(self.slot);
            let mut read = redis::cmd("HMGET");
            read.arg(&self.inflight);
            chunk.iter().for_each(|(field, _)| {
                read.arg(field);
            });
            let bodies: Vec<Option<Vec<u8>>> = read.query_async(&mut self.redis).await?;
            found.extend(
                chunk.iter().zip(bodies).filter_map(|((_, claim), body)| Some(Claimed { claim: *claim, body: body? })),
            );
        }
        found.sort_by_key(|job| job.claim.number);
        Ok(found)
    }

    /// Takes the watches down; what they may have claimed is uncertain until it is looked up.
    pub(super) fn disarm(&mut self) {
        self.uncertain.extend(self.watches.iter_mut().filter_map(Watch::disarm));
    }
}

/// `{state, number, bodies…}` as jobs with their claims.
fn read(numbers: &Range<u64>, answer: Vec<Value>) -> (i64, i64, Vec<Claimed>) {
    let mut values = answer.into_iter();
    let mut integer = || match values.next() {
        Some(Value::Int(value)) => value,
        _ => 0,
    };
    let (state, number) = (integer(), integer());
    let urgent = usize::try_from(number).unwrap_or(0);
    let jobs = values
        .zip(numbers.clone())
        .enumerate()
        .filter_map(|(index, (value, number_of_claim))| {
            let Value::BulkString(body) = value else { return None };
            let lane = match state {
                1 => Origin::Suspect(u8::try_from(number).unwrap_or(u8::MAX)),
                _ if index < urgent => Origin::Urgent,
                _ => Origin::Normal,
            };
            Some(Claimed { claim: Claim { number: number_of_claim, lane }, body })
        })
        .collect();
    (state, number, jobs)
}
