//! What people see and steer on the command line.

use crate::stage::{SOON, Stage};

#[tokio::test]
async fn jobs_are_listed_in_words_and_paused_with_a_reason_and_an_end() {
    let stage = Stage::set().await;
    let (well, said) = stage.say(&["list"]);
    assert!(well && said.contains("verify_wallets") && said.contains("At 03:00"), "{said}");
    let pause = ["pause", "sitemap", "--reason", "the shop moves", "--until", "2099-01-31T02:00"];
    let (well, said) = stage.say(&pause);
    assert!(!well && said.contains("no scheduler has run yet"), "{said}");
    let scheduler = stage.scheduler("");
    let known = async || stage.count("cron_jobs WHERE job = 'sitemap'").await == 1;
    testkit::eventually_true("the job is known", SOON, known).await;
    drop(scheduler);
    let (well, said) = stage.say(&pause);
    assert!(well, "{said}");
    let (_, said) = stage.say(&["list"]);
    assert!(said.contains("paused until Sat 31 Jan 2099 02:00 by cli: the shop moves"), "{said}");
    assert!(stage.say(&["resume", "sitemap"]).0);
    assert!(!stage.say(&["list"]).1.contains("paused"));
    assert_eq!(
        stage.count("audit_logs WHERE action IN ('cron.pause', 'cron.resume') AND target = 'cron:sitemap'").await,
        2
    );
    let (well, said) = stage.say(&["run", "no_such_job"]);
    assert!(!well && said.contains("the jobs are worker_watch, "), "{said}");
}

#[tokio::test]
async fn schedules_that_cannot_be_used_are_all_told_before_a_port_is_bound() {
    let stage = Stage::set().await.with("CRON_SCHEDULE_SITEMAP", "hourly").with("CRON_SCHEDULE_NOTHING", "0 2 * * *");
    let (well, said) = stage.say(&["serve"]);
    assert!(!well && said.contains("CRON_SCHEDULE_SITEMAP: ") && said.contains("CRON_SCHEDULE_NOTHING: "), "{said}");
    assert!(!said.contains("listening"), "{said}");
}
