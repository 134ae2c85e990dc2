//! Recurring jobs: when they run, what they reported; run now, pause, resume.

use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Utc};
use domain::ids::CronRunId;
use store::cron_runs::{self, JobLine, RunLine};
use store::{Client, StoreError};

use crate::access::Who;
use crate::deed::Act;
use crate::error::PageError;
use crate::state::{Actor, Deed, State};
use crate::view::{self, Done, Page};

#[derive(Template)]
#[template(path = "cron.html")]
struct CronPage {
    page: Page,
    jobs: Vec<JobLine>,
    runs: Vec<RunLine>,
}

/// All jobs and their last runs.
pub(crate) async fn page(
    state: web::Data<State>,
    who: Who,
    query: web::Query<Done>,
) -> Result<HttpResponse, PageError> {
    let client = state.pool.get().await?;
    let jobs = cron_runs::jobs(&client).await?;
    let runs = cron_runs::list(&client, None, None, None, 50).await?;
    view::html(&CronPage { page: Page::new(who, "cron").noting(query.done.as_deref()), jobs, runs })
}

/// What is done to a job.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// Run it now.
    Run,
    /// Run it now without writing.
    Try,
    /// Pass its times over.
    Pause(Option<DateTime<Utc>>),
    /// By its schedule again.
    Resume,
}

/// Does it and writes it down; `false` when there is no such job, or nothing to do.
pub(crate) async fn carry_out(
    state: &State,
    actor: &Actor,
    job: &str,
    order: Order,
    reason: &str,
) -> Result<bool, StoreError> {
    let mut client: Client = state.pool.get().await?;
    let transaction = client.transaction().await?;
    let by = actor.name();
    if !cron_runs::jobs(&transaction).await?.iter().any(|known| known.job == job) {
        return Ok(false);
    }
    let (action, done) = match order {
        Order::Run | Order::Try => {
            let dry_run = matches!(order, Order::Try);
            let id = CronRunId::generate();
            let done = cron_runs::request(&transaction, id, job, None, &by, reason, dry_run).await?;
            (if dry_run { "cron.try" } else { "cron.run" }, done)
        }
        Order::Pause(until) => ("cron.pause", cron_runs::pause(&transaction, job, &by, reason, until).await?),
        Order::Resume => ("cron.resume", cron_runs::resume(&transaction, job).await?),
    };
    if done {
        let target = format!("cron:{job}");
        actor.note(&transaction, &Deed { action, target: &target, reason, ..Deed::default() }).await?;
        transaction.commit().await?;
    }
    Ok(done)
}

async fn ordered(act: Act, job: &str, order: Order) -> Result<HttpResponse, PageError> {
    if !carry_out(&act.state, &act.actor(), job, order, &act.reason).await? {
        return Err(PageError::NotFound("job that this can be done to"));
    }
    let word = match order {
        Order::Run | Order::Try => "requested",
        Order::Pause(_) => "job-paused",
        Order::Resume => "job-resumed",
    };
    Ok(view::go(format!("/admin/cron?done={word}")))
}

/// Runs a job now.
pub(crate) async fn run(act: Act, job: web::Path<String>) -> Result<HttpResponse, PageError> {
    ordered(act, &job, Order::Run).await
}

/// Pauses a job.
pub(crate) async fn pause(act: Act, job: web::Path<String>) -> Result<HttpResponse, PageError> {
    ordered(act, &job, Order::Pause(None)).await
}

/// Resumes a job.
pub(crate) async fn resume(act: Act, job: web::Path<String>) -> Result<HttpResponse, PageError> {
    ordered(act, &job, Order::Resume).await
}
