//! Workers that crash, hang and stop.

use std::time::{Duration, Instant};

use domain::job::Queue;
use queue::{Producer, admin};
use testkit::{Redis, eventually, eventually_true};

use crate::errand::{Act, Errand, Parcel};
use crate::stage::{SOON, Stage, always, now};

const QUEUE: Queue = Queue::Payments;

fn stage(redis: &Redis) -> Stage {
    Stage::new(&[("REDIS_URL", &redis.url())])
}

#[tokio::test]
async fn serial_a_job_that_kills_its_process_is_buried_after_three_crashes_and_the_queue_goes_on() {
    let redis = Redis::start();
    let stage = stage(&redis);
    let producer = Producer::new(stage.kv.clone());
    let poison = always(0, Act::Die);
    let mut jobs = vec![poison];
    jobs.extend((1..=40).map(|number| always(number, Act::Succeed(20))));
    producer.enqueue_many(&jobs).await.unwrap();
    let mut worker = stage.worker(&[]);
    let mut crashes = 0;
    eventually_true("the poison is buried and the rest is done", Duration::from_secs(60), async || {
        if worker.ended().is_some() {
            crashes += 1;
            worker = stage.worker(&[]);
        }
        let stats = stage.stats(QUEUE).await;
        stats.dead == 1 && stats.counts.get("done") == Some(&40)
    })
    .await;
    assert_eq!(crashes, 3, "a fourth worker was not touched");
    let letter = admin::dead_letters(&stage.kv, QUEUE, 0, 9).await.unwrap().remove(0);
    assert_eq!((letter.reason.as_str(), letter.error.as_str()), ("crashed", "its worker died 3 times while it ran"));
    assert!(String::from_utf8(letter.bytes()).unwrap().contains(r#""number":0,"#));
    let begun = stage.begun();
    assert_eq!(begun.iter().filter(|note| note.number == 0).count(), 3);
    // Its batch mates of the first crash ran with it, those of later crashes did not exist: none is blamed more than once.
    for number in 1..=40 {
        let runs = begun.iter().filter(|note| note.number == number).count();
        assert!((1..=2).contains(&runs), "job {number} ran {runs} times");
    }
    assert_eq!(stage.effects().len(), 40);
    assert_eq!(stage.stats(QUEUE).await.unaccounted, 0);
    // And the queue is as good as new.
    producer.enqueue_many(&[always(41, Act::Succeed(0))]).await.unwrap();
    eventually_true("the next job", Duration::from_secs(5), async || stage.effects().contains(&41)).await;
}

#[tokio::test]
async fn serial_a_worker_stopped_beyond_its_lease_wakes_to_find_its_outcome_refused() {
    let redis = Redis::start();
    let stage = stage(&redis);
    // Whoever runs it first would bury it.
    let job = Errand { number: 7, first: Act::Fail(700), again: Act::Succeed(0) };
    Producer::new(stage.kv.clone()).enqueue_many(&[job]).await.unwrap();
    let mut sleeper = stage.worker(&[]);
    eventually_true("it runs", SOON, async || stage.begun().len() == 1).await;
    sleeper.signal("STOP");
    let mut other = stage.worker(&[]);
    eventually_true("somebody else does it", SOON, async || stage.effects().contains(&7)).await;
    let done = async || stage.stats(QUEUE).await.counts.get("done") == Some(&1);
    eventually_true("it is counted", SOON, done).await;
    sleeper.signal("CONT");
    sleeper.wait_for_line("the loss", SOON, |line| line.contains("lease lost").then_some(()));
    // It is a worker again, under a new lease: with the other one gone it does the next job…
    other.terminate(SOON);
    Producer::new(stage.kv.clone()).enqueue_many(&[always(8, Act::Succeed(0))]).await.unwrap();
    eventually_true("the next job", SOON, async || stage.effects().contains(&8)).await;
    sleeper.wait_for_line("the old job's end", SOON, |line| line.contains("job is a dead letter").then_some(()));
    assert_eq!(sleeper.terminate(SOON).0, Some(0));
    // …and its decision about the first one was written nowhere.
    let stats = stage.stats(QUEUE).await;
    assert_eq!((stats.dead, stats.counts.get("done"), stats.unaccounted), (0, Some(&2), 0));
    assert!(!stats.counts.contains_key("dead"));
}

#[tokio::test]
async fn serial_jobs_of_a_killed_worker_run_again_within_six_seconds() {
    let redis = Redis::start();
    let stage = stage(&redis);
    let mut worst = Duration::ZERO;
    for round in 0..3_u64 {
        let jobs: Vec<_> = (0..10)
            .map(|n| Errand { number: round * 10 + n, first: Act::Succeed(60_000), again: Act::Succeed(5) })
            .collect();
        let mut victim = stage.worker(&[("CONCURRENCY", "10")]);
        Producer::new(stage.kv.clone()).enqueue_many(&jobs).await.unwrap();
        // Of this round only: the heir of the last one may have left a job whose end it had not told.
        let here = |pid: u32| {
            let of_round = |number: u64| number / 10 == round;
            let notes = stage.begun().into_iter().filter(|note| note.pid == pid && of_round(note.number));
            notes.map(|note| note.at).collect::<Vec<_>>()
        };
        eventually_true("all run", SOON, async || here(victim.id()).len() == 10).await;
        let heir = stage.worker(&[("CONCURRENCY", "10")]);
        // Somewhere between two beats.
        tokio::time::sleep(Duration::from_millis(round * 330)).await;
        let killed = now();
        victim.kill();
        eventually_true("all run again", SOON, async || here(heir.id()).len() == 10).await;
        let times = here(heir.id());
        let after = |at: i64| Duration::from_micros(u64::try_from(at - killed).unwrap());
        let (first, last) = (after(*times.iter().min().unwrap()), after(*times.iter().max().unwrap()));
        println!("SIGKILL: 10 jobs in hand ran again, the first after {first:.2?}, the last after {last:.2?}");
        worst = worst.max(last);
    }
    assert!(worst <= Duration::from_secs(6), "{worst:?}");
}

#[tokio::test]
async fn serial_jobs_of_a_terminated_worker_are_handed_on_within_half_a_second() {
    let redis = Redis::start();
    let stage = stage(&redis);
    // Jobs in hand that have not started: parcels wait for company, for a minute.
    let parcels: Vec<_> = (0..50).map(|number| Parcel { number }).collect();
    let mut leaver = stage.worker(&[]);
    Producer::new(stage.kv.clone()).enqueue_many(&parcels).await.unwrap();
    let in_flight = async || stage.stats(Queue::Clicks).await.in_flight == 50;
    eventually_true("all are in hand", SOON, in_flight).await;
    let heir = stage.worker(&[("LINGER_MS", "1")]);
    let terminated = now();
    let (code, _) = leaver.terminate(SOON);
    assert_eq!(code, Some(0));
    eventually_true("all are done", SOON, async || stage.begun().len() == 50).await;
    let last = stage.begun().iter().map(|note| note.at).max().unwrap() - terminated;
    println!("SIGTERM: 50 jobs in hand, not started: all ran elsewhere after {last} µs");
    assert!(last <= 500_000, "{last} µs");
    assert!(stage.begun().iter().all(|note| note.pid == heir.id()));
}

#[tokio::test]
async fn serial_what_runs_at_sigterm_may_end_and_what_does_not_end_in_time_is_handed_on() {
    let redis = Redis::start();
    let stage = stage(&redis);
    let quick = always(1, Act::Succeed(600));
    let slow = Errand { number: 2, first: Act::Succeed(60_000), again: Act::Succeed(0) };
    let mut leaver = stage.worker(&[("DRAIN_MS", "1500")]);
    Producer::new(stage.kv.clone()).enqueue_many(&[quick, slow]).await.unwrap();
    eventually_true("both run", SOON, async || stage.begun().len() == 2).await;
    let heir = stage.worker(&[]);
    let begin = Instant::now();
    let (code, took) = leaver.terminate(SOON);
    assert_eq!(code, Some(0));
    let again = eventually("the slow one runs elsewhere", SOON, async || {
        stage.begun().into_iter().find(|note| note.number == 2 && note.pid == heir.id())
    })
    .await;
    println!("SIGTERM with 1.5 s to drain: ended after {took:.2?}, handed on after {:.2?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_millis(2_500), "{:?}", begin.elapsed());
    let ended: Vec<_> = stage.journal().into_iter().filter(|note| note.what == "ended" && note.number == 1).collect();
    assert_eq!((ended.len(), ended[0].pid), (1, leaver.id()), "what could end did, once and there");
    assert_ne!(again.pid, leaver.id());
    let done = async || stage.stats(QUEUE).await.counts.get("done") == Some(&2);
    eventually_true("both are done", SOON, done).await;
    assert_eq!(stage.stats(QUEUE).await.counts.get("handed_on"), None, "nobody was blamed for a crash");
}
