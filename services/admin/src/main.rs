//! Sees and steers the shop: the console for people, the API for programs, and the commands for schema, first data and
//! first people.

mod access;
mod api;
mod assets;
mod autoscale;
mod chart;
mod command;
mod cron;
mod dead;
mod deed;
mod deliveries;
mod error;
mod ledger;
mod live;
mod login;
mod mask;
mod offers;
mod password;
mod people;
mod queues;
mod records;
mod replays;
mod role;
mod routes;
mod seed;
mod settings;
mod socket;
mod state;
mod statement;
mod suppressions;
mod sync;
mod timeline;
mod view;
mod wall_time;
mod wallets;
mod webhooks;
mod workers;

use std::process::ExitCode;
use std::sync::Arc;

use actix_web::web;
use chassis::{Life, Service};
use domain::job::Queue;
use queue::{Producer, Worker};
use tokio::sync::Semaphore;

use crate::command::Command;
use crate::settings::Settings;
use crate::state::State;

/// Events that are told at once: each is one round trip to Redis.
const EVENTS_AT_ONCE: usize = 16;

fn main() -> ExitCode {
    let service = Service { name: "admin", about: "Sees and steers the shop: console, API, schema, first data" };
    chassis::main_for(service, Settings::for_serving, Settings::for_commands, run)
}

async fn run(command: Option<Command>, settings: Settings, life: Life) -> anyhow::Result<()> {
    match command {
        Some(command) => command.run(settings).await,
        None => serve(&settings, &life).await,
    }
}

async fn serve(settings: &Settings, life: &Life) -> anyhow::Result<()> {
    let (pool, kv) = (settings.postgres()?, settings.redis()?);
    let producer = Producer::new(kv.clone());
    life.answers("postgres", &pool, |pool| async move { pool.ping().await });
    life.answers("redis", &kv, |kv| async move { kv.ping().await });
    life.tasks().spawn(outbox::Relay::new(pool.clone(), producer.clone()).run(life.shutdown()));
    let hub = Arc::new(socket::Hub::new());
    life.tasks().spawn(socket::listen(kv.clone(), hub.clone(), life.shutdown()));
    let worker = Worker::builder(kv.clone(), "admin")
        .queue(Queue::Events, EVENTS_AT_ONCE)
        .register(socket::Announcer(kv.clone()))
        .build()?;
    let health = worker.health();
    life.alive("worker", move || health.turning());
    let working = life.tasks().spawn(worker.run(life.shutdown()));
    let state = web::Data::new(State {
        pool,
        kv,
        producer,
        secure_cookies: settings.secure_cookies,
        trusted_proxies: settings.trusted_proxies.clone(),
        passwords: Semaphore::new(2),
        live: live::Live::new(),
        trace_link: settings.trace_link.clone(),
        hub,
        gate: socket::Gate::new(&settings.shopper, settings.socket_origins.clone()),
        shutdown: life.shutdown(),
        tasks: life.tasks().clone(),
    });
    life.tasks().spawn(live::keep(state.clone()));
    life.tasks().spawn(replays::keep(state.clone()));
    life.tasks().spawn(dead::keep(state.clone()));
    chassis::http::serve(life, &settings.http, move |config| {
        config.app_data(state.clone()).configure(routes::configure);
    })
    .await?;
    working.await??;
    Ok(())
}
