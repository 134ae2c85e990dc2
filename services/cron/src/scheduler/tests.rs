mod policies;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use async_trait::async_trait;
use config::{Map, Reader};
use domain::clock::ManualClock;
use testkit::{Database, Redis};

use super::*;
use crate::plan::CatchUp;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

struct Stage {
    database: Database,
    redis: Redis,
}

impl Stage {
    async fn set() -> Self {
        Self { database: Database::start().await, redis: Redis::start() }
    }

    /// The table of [`Tally`].
    async fn table(&self) {
        self.database.client().await.batch_execute("CREATE TABLE tally (at timestamptz PRIMARY KEY)").await.unwrap();
    }

    fn settings(&self) -> Arc<Settings> {
        let (database, redis) = (self.database.url(), self.redis.url());
        let source = Map::from([("DATABASE_URL", database.as_str()), ("REDIS_URL", redis.as_str())]);
        let mut reader = Reader::new(&source);
        let settings = Settings::read(&mut reader);
        reader.finish(settings).unwrap()
    }

    fn replica(&self, entries: Vec<Entry>, time: Time) -> Scheduler {
        let settings = self.settings();
        Scheduler::new(entries, self.database.pool(), Kv::connect(&settings.kv).unwrap(), settings, time)
    }
}

fn entry(job: impl CronJob + 'static) -> Entry {
    let plan = job.plan();
    let schedule = Schedule::parse(plan.schedule, chrono_tz::Asia::Kolkata, plan.gap, plan.fold).unwrap();
    Entry { job: Box::new(job), plan, schedule }
}

/// Notes its nominal time in a table of the test's own. As every job it may be run again: the key makes that harmless.
struct Tally {
    plan: Plan,
    begun: Arc<AtomicU32>,
}

#[async_trait]
impl CronJob for Tally {
    fn name(&self) -> &'static str {
        "tally"
    }

    fn about(&self) -> &'static str {
        "counts"
    }

    fn plan(&self) -> Plan {
        self.plan.clone()
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let mut client = context.client().await?;
        let transaction = context.begin(&mut client).await?;
        transaction.execute("INSERT INTO tally VALUES ($1) ON CONFLICT DO NOTHING", &[&context.scheduled_for]).await?;
        context.commit(transaction).await?;
        Ok(Report::new().count("rows", 1))
    }
}

fn every_minute() -> Plan {
    let catch_up = CatchUp::All { within: TimeDelta::days(400), at_most: usize::MAX };
    Plan { catch_up, overlap: Overlap::Allow, ..Plan::frequent("* * * * *") }
}

async fn tallied(stage: &Stage) -> HashMap<DateTime<Utc>, i64> {
    let client = stage.database.client().await;
    let rows = client.query("SELECT at, count(*) FROM tally GROUP BY at", &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[test]
fn names_schedules_and_next_runs() {
    // Without servers: nothing is asked of them.
    let source =
        Map::from([("DATABASE_URL", "postgres://nobody@127.0.0.1/none"), ("REDIS_URL", "redis://127.0.0.1:1")]);
    let mut reader = Reader::new(&source);
    let settings = Settings::read(&mut reader);
    let settings = reader.finish(settings).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let (pool, kv) = (Pool::connect(&settings.store).unwrap(), Kv::connect(&settings.kv).unwrap());
    let entries = crate::jobs::entries(&settings.schedules, settings.zone).unwrap();
    let scheduler = Scheduler::new(entries, pool, kv, settings, Time::Database);
    insta::assert_snapshot!(crate::command::listing(
        &scheduler,
        utc("2026-01-15T00:00:00Z"),
        &std::collections::BTreeMap::new()
    ));
}

/// A small generator, so that a failure can be played again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Three replicas with clocks of their own over 10,000 nominal times. They are killed between claim and run, between run
/// and outcome, paused past their lease with the job in hand, and their clocks jump both ways.
#[tokio::test(flavor = "multi_thread")]
async fn serial_ten_thousand_nominal_times_each_succeed_once_over_kills_pauses_and_jumps() {
    const TIMES: i64 = 10_000;
    let stage = Stage::set().await;
    let client = stage.database.client().await;
    stage.table().await;
    let start = utc("2026-01-01T00:00:00Z");
    let begun = Arc::new(AtomicU32::new(0));
    let clocks: Vec<_> = (0..3).map(|_| Arc::new(ManualClock::new(start))).collect();
    let replica = |index: usize| {
        let tally = Tally { plan: every_minute(), begun: begun.clone() };
        stage.replica(vec![entry(tally)], Time::Given(clocks[index].clone()))
    };
    let mut replicas: Vec<_> = (0..3).map(replica).collect();
    replicas[0].register(start).await.unwrap();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut paused: Vec<Claimed> = Vec::new();
    let (mut killed, mut halved, mut refused, mut jumps) = (0, 0, 0, 0);
    let end = start + TimeDelta::minutes(TIMES);
    let mut truth = start;
    while truth < end {
        truth = (truth + TimeDelta::minutes(i64::try_from(20 + dice.roll(80)).unwrap())).min(end);
        for index in 0..3 {
            // A clock is right, or behind, or ahead by up to an hour, but never past the end of the test.
            let skew = if dice.roll(4) == 0 { i64::try_from(dice.roll(120)).unwrap() - 60 } else { 0 };
            jumps += u32::from(skew != 0);
            let shown = (truth + TimeDelta::minutes(skew)).min(end);
            clocks[index].advance(shown - clocks[index].now());
        }
        let turns = replicas.iter().map(|replica| async {
            let now = replica.now().await.unwrap();
            replica.claim_due(now).await.unwrap()
        });
        for (index, claims) in futures_util::future::join_all(turns).await.into_iter().enumerate() {
            for claim in claims {
                match dice.roll(100) {
                    // Killed between the claim and the first write: the lease runs out.
                    0..=2 => {
                        killed += 1;
                        expire(&client, claim.held).await;
                    }
                    // Paused with the run in hand; it wakes when another replica has finished it.
                    3..=5 => {
                        expire(&client, claim.held).await;
                        paused.push(claim);
                    }
                    // Killed between the job's commit and the outcome: the run is done again, and the job's key makes it one.
                    6..=8 => {
                        replicas[index].attempt(&claim, 1).await.unwrap();
                        halved += 1;
                        expire(&client, claim.held).await;
                    }
                    _ => {
                        let done = replicas[index].carry_out(claim, CancellationToken::new()).await;
                        assert!(matches!(done, Some(Ok(_))), "{done:?}");
                    }
                }
            }
            if dice.roll(50) == 0 {
                replicas[index] = replica(index);
            }
        }
        let chosen = usize::try_from(dice.roll(3)).unwrap();
        for orphan in replicas[chosen].take_orphans().await.unwrap() {
            let done = replicas[chosen].carry_out(orphan, CancellationToken::new()).await;
            assert!(matches!(done, Some(Ok(_))), "{done:?}");
        }
        for claim in paused.drain(..) {
            // The one that woke runs the job again, and is refused at the commit: only its outcome could not be told.
            let entry = claim.entry.clone();
            let attempt = replicas[chosen].attempt(&claim, 1).await;
            assert!(attempt.is_err(), "{} was written by a run that was lost", entry.job.name());
            refused += 1;
        }
    }
    let rows = client
        .query("SELECT scheduled_for, count(*) FROM cron_runs WHERE status = 'succeeded' GROUP BY 1 ORDER BY 1", &[])
        .await
        .unwrap();
    let succeeded: Vec<(DateTime<Utc>, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected: Vec<_> = (1..=TIMES).map(|minute| (start + TimeDelta::minutes(minute), 1)).collect();
    assert_eq!(succeeded.len(), expected.len());
    assert_eq!(succeeded, expected);
    let tallied = tallied(&stage).await;
    assert_eq!(tallied.len(), usize::try_from(TIMES).unwrap());
    assert!(tallied.values().all(|count| *count == 1));
    let told = format!(
        "{killed} kills before the first write, {halved} between the commit and the outcome, {refused} pauses, {jumps} jumps"
    );
    assert!(killed > 100 && halved > 100 && refused > 100 && jumps > 50, "{told}");
    let runs = begun.load(Ordering::Relaxed);
    assert!(runs >= u32::try_from(TIMES).unwrap() + halved, "what was cut off was done again: {runs}");
    println!("{TIMES} nominal times, {told}: each one success");
}

async fn expire(client: &tokio_postgres::Client, held: Held) {
    let sql = "UPDATE cron_runs SET lease_until = clock_timestamp() - interval '1 second' WHERE id = $1 AND token = $2";
    assert_eq!(client.execute(sql, &[&held.id, &held.token]).await.unwrap(), 1);
}

/// Fails, panics or hangs as it is told, then works.
struct Moody {
    moods: Mutex<Vec<&'static str>>,
}

#[async_trait]
impl CronJob for Moody {
    fn name(&self) -> &'static str {
        "moody"
    }

    fn about(&self) -> &'static str {
        "fails first"
    }

    fn plan(&self) -> Plan {
        Plan { time_limit: Duration::from_millis(200), attempts: 3, ..Plan::daily("0 2 * * *") }
    }

    async fn run(&self, _context: &Context) -> anyhow::Result<Report> {
        let mood = self.moods.lock().unwrap().pop();
        match mood {
            Some("fail") => anyhow::bail!("told to"),
            Some("panic") => panic!("told to"),
            Some("hang") => std::future::pending().await,
            _ => Ok(Report::new().count("done", 1)),
        }
    }
}

#[tokio::test]
async fn a_job_that_fails_or_hangs_is_tried_again_and_its_last_failure_is_shown() {
    let stage = Stage::set().await;
    let moody = |moods: &[&'static str]| entry(Moody { moods: Mutex::new(moods.to_vec()) });
    let recovering = stage.replica(vec![moody(&["hang", "panic"])], Time::Database);
    let claim = |scheduler: Scheduler, at: &'static str| async move {
        let entry = scheduler.entries()[0].clone();
        scheduler.claim_manual(&entry, utc(at), ("test", "because"), false).await.unwrap()
    };
    let first = claim(recovering.clone(), "2026-01-01T00:00:00Z").await.unwrap();
    let done = recovering.carry_out(first, CancellationToken::new()).await;
    assert_eq!(done, Some(Ok(Report::new().count("done", 1))));
    assert!(claim(recovering.clone(), "2026-01-01T00:00:00Z").await.is_none(), "that nominal time is taken");

    let failing = stage.replica(vec![moody(&["fail", "hang", "panic"])], Time::Database);
    let second = claim(failing.clone(), "2026-01-02T00:00:00Z").await.unwrap();
    assert_eq!(failing.carry_out(second, CancellationToken::new()).await, Some(Err("told to".to_owned())));
    let client = stage.database.client().await;
    let rows = client
        .query("SELECT status, attempt, error, report::text FROM cron_runs ORDER BY scheduled_for", &[])
        .await
        .unwrap();
    let rows: Vec<(String, i32, Option<String>, String)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    assert_eq!(rows[0], ("succeeded".to_owned(), 3, None, r#"{"done": 1}"#.to_owned()));
    assert_eq!((rows[1].0.as_str(), rows[1].1, rows[1].2.as_deref()), ("failed", 3, Some("told to")));
}

#[tokio::test]
async fn overlap_is_skipped_or_waited_for_and_a_pause_leaves_times_out() {
    let stage = Stage::set().await;
    let client = stage.database.client().await;
    stage.table().await;
    let start = utc("2026-01-01T00:00:00Z");
    let clock = Arc::new(ManualClock::new(start));
    let with = |plan: Plan| {
        let tally = Tally { plan, begun: Arc::default() };
        stage.replica(vec![entry(tally)], Time::Given(clock.clone()))
    };
    let waiting = with(Plan { overlap: Overlap::Wait, catch_up: CatchUp::Latest, ..Plan::frequent("* * * * *") });
    let skipping = with(Plan { overlap: Overlap::Skip, ..Plan::frequent("* * * * *") });
    waiting.register(start).await.unwrap();
    let minute = |minute: i64| start + TimeDelta::minutes(minute);

    let running = waiting.claim_due(minute(1)).await.unwrap().pop().expect("the first minute is due");
    assert!(waiting.claim_due(minute(2)).await.unwrap().is_empty(), "it waits while the first runs");
    assert!(skipping.claim_due(minute(2)).await.unwrap().is_empty(), "it is left out while the first runs");
    assert!(matches!(waiting.carry_out(running, CancellationToken::new()).await, Some(Ok(_))));
    assert!(waiting.claim_due(minute(2)).await.unwrap().is_empty(), "the second minute was left out");

    store::cron_runs::pause(&stage.database.pool().get().await.unwrap(), "tally", "asha", "too loud", None)
        .await
        .unwrap();
    assert!(waiting.claim_due(minute(5)).await.unwrap().is_empty());
    store::cron_runs::resume(&stage.database.pool().get().await.unwrap(), "tally").await.unwrap();
    assert!(waiting.claim_due(minute(5)).await.unwrap().is_empty(), "what was due in the pause is not run after it");
    assert_eq!(waiting.claim_due(minute(6)).await.unwrap().len(), 1);
    let rows = client.query("SELECT status, reason FROM cron_runs ORDER BY scheduled_for", &[]).await.unwrap();
    let rows: Vec<(String, Option<String>)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let skipped = |why: &str| ("skipped".to_owned(), Some(why.to_owned()));
    assert_eq!(rows[1..3], [skipped("the run before still worked"), skipped("the job is paused")]);
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_a_requested_run_is_taken() {
    let stage = Stage::set().await;
    stage.table().await;
    let begun = Arc::new(AtomicU32::new(0));
    let scheduler = stage.replica(vec![entry(Tally { plan: every_minute(), begun: begun.clone() })], Time::Database);
    let client = stage.database.pool().get().await.unwrap();
    for (day, dry_run) in [("2026-01-01T00:00:00Z", true), ("2026-01-02T00:00:00Z", false)] {
        let id = CronRunId::generate();
        let at = Some(utc(day));
        assert!(cron_runs::request(&client, id, "tally", at, "asha@shop.example", "a try", dry_run).await.unwrap());
        assert!(!cron_runs::request(&client, CronRunId::generate(), "tally", at, "b", "again", dry_run).await.unwrap());
        let taken = scheduler.take_orphans().await.unwrap().pop().expect("the request is taken");
        assert!(scheduler.take_orphans().await.unwrap().is_empty(), "by one");
        assert!(matches!(scheduler.carry_out(taken, CancellationToken::new()).await, Some(Ok(_))));
    }
    assert_eq!(begun.load(Ordering::Relaxed), 2);
    assert_eq!(tallied(&stage).await, HashMap::from([(utc("2026-01-02T00:00:00Z"), 1)]));
}
