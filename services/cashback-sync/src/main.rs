//! cashback-sync: writes clicks down, asks networks what they know, and brings wallets in line with it.
//!
//! It consumes `queue:clicks` (thousands at a time, by `COPY`) and `queue:cashback` (`cashback.hint`: a postback said
//! something, the network is asked; `cashback.sync`: a pull; `cashback.match`: a transaction without a click).
//! `cashback-sync run` pulls by hand.

mod alarm;
mod apply;
mod command;
mod evidence;
mod parts;
mod pull;
mod settings;
mod tokens;
mod upkeep;
mod workers;

use std::process::ExitCode;

use anyhow::Context;
use chassis::Life;
use domain::job::Queue;
use queue::{BatchPolicy, Producer, Worker};

use crate::command::Command;
use crate::parts::Parts;
use crate::settings::Settings;

fn main() -> ExitCode {
    let service =
        chassis::Service { name: "cashback-sync", about: "Records clicks, pulls affiliate networks, settles cashback" };
    chassis::main_with(service, Settings::read, run)
}

async fn run(command: Option<Command>, settings: Settings, life: Life) -> anyhow::Result<()> {
    let kv = kv::Kv::connect(&settings.kv)?;
    let pool = store::Pool::connect_by_key(&settings.store)?;
    let parts = Parts::new(&settings, pool.clone(), &kv).context("the networks cannot be set up")?;
    if let Some(command) = command {
        return command::run(command, &parts, &life).await;
    }

    let policy = BatchPolicy { max: settings.click_batch, linger: settings.click_linger };
    let worker = Worker::builder(kv.clone(), "cashback-sync")
        .queue(Queue::Clicks, 2)
        .queue(Queue::Cashback, settings.concurrency)
        .register_batch(workers::clicks::Clicks::new(parts.clone()), policy)
        .register(workers::hints::Hints::new(parts.clone()))
        .register(workers::matches::Matches::new(parts.clone(), settings.click_linger))
        .register(workers::pulls::Pulls::new(parts.clone(), life.shutdown()))
        .build()?;

    life.answers("postgres", &pool, |pool| async move { pool.ping().await });
    life.answers("redis", &kv, |kv| async move { kv.ping().await });
    let health = worker.health();
    life.answers("worker", &health, |health| async move { health.check() });
    life.alive("worker", move || health.turning());
    life.tasks().spawn(outbox::Relay::new(pool, Producer::new(kv)).run(life.shutdown()));
    life.tasks().spawn(upkeep::run(parts, settings.upkeep_interval, life.shutdown()));
    worker.run(life.shutdown()).await?;
    Ok(())
}
