//! What a job's plan says about missed times and about runs beside each other, as it comes out in `cron_runs`.

use tokio::sync::Barrier;

use super::*;

const AT_MOST: usize = 5;

/// Runs that wait for each other: none ends before as many as the barrier asks for run at once.
struct Together {
    barrier: Arc<Barrier>,
    plan: Plan,
}

#[async_trait]
impl CronJob for Together {
    fn name(&self) -> &'static str {
        "together"
    }

    fn about(&self) -> &'static str {
        "waits for its like"
    }

    fn plan(&self) -> Plan {
        self.plan.clone()
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        self.barrier.wait().await;
        let mut client = context.client().await?;
        let transaction = context.begin(&mut client).await?;
        context.commit(transaction).await?;
        Ok(Report::new().count("done", 1))
    }
}

async fn outcomes(stage: &Stage) -> Vec<(String, DateTime<Utc>, i32)> {
    let sql = "SELECT status, scheduled_for, passed_over FROM cron_runs ORDER BY scheduled_for";
    let rows = stage.database.client().await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

#[tokio::test]
async fn where_the_plan_allows_it_runs_of_one_job_go_beside_each_other() {
    let stage = Stage::set().await;
    let start = utc("2026-01-01T00:00:00Z");
    let minute = |minute: i64| start + TimeDelta::minutes(minute);
    let clock = Arc::new(ManualClock::new(start));
    let with = |overlap: Overlap| {
        let job = Together {
            barrier: Arc::new(Barrier::new(3)),
            plan: Plan { overlap, catch_up: CatchUp::Latest, ..Plan::frequent("* * * * *") },
        };
        stage.replica(vec![entry(job)], Time::Given(clock.clone()))
    };
    let allowing = with(Overlap::Allow);
    allowing.register(start).await.unwrap();
    let mut runs = Vec::new();
    for number in 1..=3 {
        let claim = allowing.claim_due(minute(number)).await.unwrap().pop().expect("it is due while the others run");
        let replica = allowing.clone();
        runs.push(tokio::spawn(async move { replica.carry_out(claim, CancellationToken::new()).await }));
    }
    for run in runs {
        let ended = tokio::time::timeout(Duration::from_secs(20), run).await.expect("three run at once").unwrap();
        assert!(matches!(ended, Some(Ok(_))), "{ended:?}");
    }
    let succeeded = |number: i64| ("succeeded".to_owned(), minute(number), 0);
    assert_eq!(outcomes(&stage).await, [succeeded(1), succeeded(2), succeeded(3)]);

    // The same with a plan that forbids it: the second is not even claimed.
    let forbidding = with(Overlap::Wait);
    assert_eq!(forbidding.claim_due(minute(4)).await.unwrap().len(), 1);
    assert!(forbidding.claim_due(minute(5)).await.unwrap().is_empty());
}

#[tokio::test]
async fn missed_times_are_each_made_up_for_within_the_window_but_no_flood_of_them() {
    let stage = Stage::set().await;
    stage.table().await;
    let start = utc("2026-01-01T00:00:00Z");
    let minute = |minute: i64| start + TimeDelta::minutes(minute);
    let clock = Arc::new(ManualClock::new(start));
    let begun = Arc::new(AtomicU32::new(0));
    let plan = Plan {
        catch_up: CatchUp::All { within: TimeDelta::minutes(30), at_most: AT_MOST },
        overlap: Overlap::Wait,
        ..Plan::frequent("*/10 * * * *")
    };
    let replica = |begun: &Arc<AtomicU32>| {
        let tally = Tally { plan: plan.clone(), begun: begun.clone() };
        stage.replica(vec![entry(tally)], Time::Given(clock.clone()))
    };
    let scheduler = replica(&begun);
    scheduler.register(start).await.unwrap();
    // Nobody was there for 25 minutes: both times are run, one after the other because they may not overlap.
    let first = scheduler.claim_due(minute(25)).await.unwrap();
    assert_eq!(first.iter().map(|claim| claim.scheduled_for).collect::<Vec<_>>(), [minute(10)]);
    for claim in first {
        assert!(matches!(scheduler.carry_out(claim, CancellationToken::new()).await, Some(Ok(_))));
    }
    let second = scheduler.claim_due(minute(25)).await.unwrap();
    assert_eq!(second.iter().map(|claim| claim.scheduled_for).collect::<Vec<_>>(), [minute(20)]);
    for claim in second {
        scheduler.carry_out(claim, CancellationToken::new()).await;
    }
    // Nobody was there for a day: what lies within the half hour is run, the rest is passed over and counted.
    let mut due = Vec::new();
    let now = minute(24 * 60 + 5);
    loop {
        let claims = scheduler.claim_due(now).await.unwrap();
        if claims.is_empty() {
            break;
        }
        for claim in claims {
            due.push(claim.scheduled_for);
            scheduler.carry_out(claim, CancellationToken::new()).await;
        }
    }
    assert_eq!(due, [minute(24 * 60 - 20), minute(24 * 60 - 10), minute(24 * 60)]);
    let outcomes = outcomes(&stage).await;
    assert_eq!(outcomes.len(), 5);
    // From minute 30 to minute 24 * 60 - 30.
    assert_eq!(outcomes[2], ("succeeded".to_owned(), minute(24 * 60 - 20), 139));
    assert_eq!(tallied(&stage).await.len(), 5);
}

#[tokio::test]
async fn a_flood_of_missed_times_is_held_back_by_the_guard() {
    let stage = Stage::set().await;
    let start = utc("2026-01-01T00:00:00Z");
    let clock = Arc::new(ManualClock::new(start));
    let plan = Plan {
        catch_up: CatchUp::All { within: TimeDelta::days(1), at_most: AT_MOST },
        overlap: Overlap::Allow,
        ..Plan::frequent("* * * * *")
    };
    let tally = Tally { plan, begun: Arc::default() };
    let scheduler = stage.replica(vec![entry(tally)], Time::Given(clock));
    scheduler.register(start).await.unwrap();
    let claims = scheduler.claim_due(start + TimeDelta::hours(5)).await.unwrap();
    let newest: Vec<_> = (296..=300).map(|minute| start + TimeDelta::minutes(minute)).collect();
    assert_eq!(claims.iter().map(|claim| claim.scheduled_for).collect::<Vec<_>>(), newest);
    assert_eq!(outcomes(&stage).await[0].2, 295);
}
