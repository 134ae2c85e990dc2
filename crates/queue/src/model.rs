//! The protocol against a model: random steps of several workers on a real Redis, and after each the whole of Redis is read
//! and every job must be in the one place where the model has it.

mod world;

use std::collections::BTreeMap;

use kv::redis::AsyncCommands;
use proptest::prelude::*;

use self::world::{Place, QUEUE, Verdict, WORKERS, World, number};
use crate::admin;

#[derive(Debug, Clone)]
enum Step {
    Push(u8, bool),
    PushLater,
    PushOnce(u8),
    Claim(usize, usize),
    /// The answer to a claim is lost, and the claim is looked up.
    LoseAnswer(usize, usize),
    End(usize, usize, Verdict),
    GiveBack(usize),
    Leave(usize),
    Crash(usize),
    /// The lease runs out, and the worker does not know.
    Stall(usize),
    Renew(usize),
    /// Due jobs are promoted, a dead lease is reaped.
    Tick(usize),
    Pause,
    Resume,
    Replay(usize),
    Delete(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let worker = 0..WORKERS;
    let verdict = prop_oneof![
        4 => Just(Verdict::Done),
        2 => Just(Verdict::Retry),
        1 => Just(Verdict::Defer),
        1 => Just(Verdict::Fail),
        1 => Just(Verdict::Panic),
    ];
    prop_oneof![
        3 => (1..5_u8, any::<bool>()).prop_map(|(jobs, urgent)| Step::Push(jobs, urgent)),
        1 => Just(Step::PushLater),
        1 => (0..3_u8).prop_map(Step::PushOnce),
        8 => (worker.clone(), 1..5_usize).prop_map(|(worker, wanted)| Step::Claim(worker, wanted)),
        1 => (worker.clone(), 1..5_usize).prop_map(|(worker, wanted)| Step::LoseAnswer(worker, wanted)),
        8 => (worker.clone(), any::<usize>(), verdict).prop_map(|(worker, which, verdict)| Step::End(worker, which, verdict)),
        1 => worker.clone().prop_map(Step::GiveBack),
        1 => worker.clone().prop_map(Step::Leave),
        2 => worker.clone().prop_map(Step::Crash),
        1 => worker.clone().prop_map(Step::Stall),
        1 => worker.clone().prop_map(Step::Renew),
        4 => worker.prop_map(Step::Tick),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        2 => any::<usize>().prop_map(Step::Replay),
        1 => any::<usize>().prop_map(Step::Delete),
    ]
}

/// All of Redis: every job with every place where it is.
async fn look(world: &mut World) -> Vec<(u64, Place)> {
    let (layout, redis) = (&world.layout, &mut world.redis);
    let mut found = Vec::new();
    for list in [&layout.ready, &layout.urgent] {
        let bodies: Vec<Vec<u8>> = redis.lrange(list, 0, -1).await.unwrap();
        found.extend(bodies.iter().map(|body| (number(body), Place::Waiting)));
    }
    let members: Vec<Vec<u8>> = redis.zrange(&layout.delayed, 0, -1).await.unwrap();
    found.extend(members.iter().map(|member| (number(&member[1..]), Place::Delayed)));
    let members: Vec<Vec<u8>> = redis.lrange(&layout.suspects, 0, -1).await.unwrap();
    found.extend(members.iter().map(|member| (number(&member[1..]), Place::Suspect(member[0] - b'0'))));
    let letters = admin::dead_letters(&world.kv, QUEUE, 0, 1_000).await.unwrap();
    found.extend(letters.iter().map(|letter| (number(&letter.bytes()), Place::Dead)));
    let prefix = layout.inflight("");
    let keys: Vec<String> = redis.keys(format!("{prefix}*")).await.unwrap();
    for key in keys {
        let held: BTreeMap<String, Vec<u8>> = redis.hgetall(&key).await.unwrap();
        found.extend(held.values().map(|body| (number(body), Place::Hand(key[prefix.len()..].to_owned()))));
    }
    found.sort();
    found
}

async fn check(world: &mut World) {
    let found = look(world).await;
    let expected = world.places.iter().filter(|(_, place)| **place != Place::Gone);
    assert_eq!(found, expected.map(|(name, place)| (*name, place.clone())).collect::<Vec<_>>());
    let census = admin::census(&world.kv, QUEUE).await.unwrap();
    assert_eq!((census.unaccounted(), enqueued(&census)), (0, world.places.len() as u64), "{census:?}");
}

/// All that was ever enqueued, as far as it shows: taken or still waiting, less what went back.
fn enqueued(census: &admin::Census) -> u64 {
    let came = census.count("taken") + census.waiting + census.urgent + census.count("scheduled");
    came.saturating_sub(census.count("returned"))
}

/// Works everything off: each job must end, done or dead with the reason that the model knows.
async fn finish(world: &mut World) {
    world.take_step(&Step::Resume).await;
    for _round in 0..200 {
        for worker in 0..WORKERS {
            world.tick(worker).await;
            world.claim(worker, 50).await;
            while !world.hands[worker].jobs.is_empty() {
                world.end(worker, 0, Verdict::Done).await;
            }
        }
        if world.places.values().all(|place| matches!(place, Place::Gone | Place::Dead)) {
            check(world).await;
            for letter in admin::dead_letters(&world.kv, QUEUE, 0, 1_000).await.unwrap() {
                assert_eq!(letter.reason, world.reasons[&number(&letter.bytes())]);
            }
            return;
        }
    }
    panic!("not worked off: {:?}", world.places);
}

#[test]
fn serial_in_any_order_of_events_every_job_is_in_one_place_and_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = testkit::Redis::start();
    let kv = testkit::kv(&server.url());
    let config = ProptestConfig { cases: 128, max_shrink_iters: 400, failure_persistence: None, ..Default::default() };
    let steps = prop::collection::vec(step(), 1..80);
    let outcome = proptest::test_runner::TestRunner::new(config).run(&steps, |steps| {
        runtime.block_on(async {
            let mut world = World::new(&kv).await;
            for step in &steps {
                world.take_step(step).await;
                check(&mut world).await;
            }
            finish(&mut world).await;
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
