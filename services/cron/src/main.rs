//! Decides when. Several replicas may run; each nominal time is carried out once.

mod alarm;
mod archive;
mod certificates;
mod command;
mod depot;
mod feed;
mod job;
mod jobs;
mod plan;
mod schedule;
mod scheduler;
mod settings;
mod sitemap;
mod standing;

use std::process::ExitCode;
use std::sync::Arc;

use chassis::{Life, Service};
use kv::Kv;
use queue::Producer;
use store::Pool;

use crate::command::Command;
use crate::scheduler::{Scheduler, Time};
use crate::settings::Settings;

fn main() -> ExitCode {
    let service = Service { name: "cron", about: "Runs the shop's recurring jobs, each nominal time once" };
    chassis::main_with(service, Settings::read, run)
}

async fn run(command: Option<Command>, settings: Arc<Settings>, life: Life) -> anyhow::Result<()> {
    let pool = Pool::connect(&settings.store)?;
    let kv = Kv::connect(&settings.kv)?;
    let entries = jobs::entries(&settings.schedules, settings.zone);
    let entries = entries.map_err(|problems| anyhow::anyhow!(problems.join("; ")))?;
    let scheduler = Scheduler::new(entries, pool.clone(), kv.clone(), settings.clone(), Time::Database);
    if let Some(command) = command {
        return command.run(&scheduler, &settings, &pool).await;
    }
    life.answers("postgres", &pool, |pool| async move { pool.ping().await });
    life.answers("redis", &kv, |kv| async move { kv.ping().await });
    life.tasks().spawn(standing::show(pool.clone(), kv.clone(), settings, life.shutdown()));
    life.tasks().spawn(outbox::Relay::new(pool, Producer::new(kv)).run(life.shutdown()));
    scheduler.run(life.shutdown(), &life.pulse("scheduler")).await
}
