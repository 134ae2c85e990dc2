//! Takes in webhooks: verified first, committed second, answered third, and only then acted on. Its worker does what
//! payment events, payouts and delivery reports ask for.

mod alerts;
mod intake;
mod payments;
mod proof;
mod push;
mod receipts;
mod receive;
mod settings;
mod source;
mod sources;
mod unsubscribe;
mod work;

#[cfg(test)]
mod contract_tests;

use std::sync::Arc;

use actix_web::web;
use chassis::{Life, Service};
use domain::clock::SystemClock;
use domain::job::Queue;
use domain::jobs::payment::{ProcessPaymentEvent, StartPayout};
use domain::jobs::receipt::ProcessReceipts;
use domain::jobs::webhook::ReplayWebhook;
use queue::{Producer, Worker};

use crate::settings::Settings;

/// What a webhook takes is given back by another thread than took it, which is dear where threads share their heaps.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let about = "Receives webhooks of payment, affiliate and message providers, and works them off";
    chassis::main(Service { name: "webhooks", about }, Settings::read, run)
}

async fn run(settings: Settings, life: Life) -> anyhow::Result<()> {
    let pool = store::Pool::connect_by_key(&settings.store)?;
    let kv = kv::Kv::connect(&settings.kv)?;
    let producer = Producer::new(kv.clone());
    let (shutdown, tasks) = (life.shutdown(), life.tasks());

    let alerts = Arc::new(settings.alerts);
    let desk = work::Desk::new(pool.clone(), settings.sources.clone(), alerts.clone());
    let razorpay = outbound::Client::new("razorpay", &settings.outbound)?;
    let payouts = payments::start::Payouts::new(pool.clone(), razorpay, settings.payouts, alerts);
    let worker = Worker::builder(kv.clone(), "webhooks")
        .queue(Queue::Payments, settings.payments_at_once)
        .queue(Queue::Receipts, settings.receipts_at_once)
        .register::<ProcessPaymentEvent>(desk.clone())
        .register::<ReplayWebhook>(desk.clone())
        .register::<StartPayout>(payouts)
        .register::<ProcessReceipts>(desk)
        .build()?;
    let health = worker.health();
    life.answers("worker", &health, |health| async move { health.check() });
    life.alive("worker", move || health.turning());
    life.answers("postgres", &pool, |pool| async move { pool.ping().await });

    let pusher = push::Pusher::start(&settings.push, &pool, &kv, tasks);
    let intake = intake::Intake::start(&settings.intake, &pool, &kv, &pusher, tasks);
    tasks.spawn(push::Sweep::new(&settings.push, pool.clone(), producer.clone()).run(shutdown.clone()));
    tasks.spawn(payments::held::fill(pool.clone(), shutdown.clone()));
    tasks.spawn(outbox::Relay::new(pool.clone(), producer).run(shutdown.clone()));
    let working = tasks.spawn(worker.run(shutdown));

    let clock = Arc::new(SystemClock);
    let reception = web::Data::new(receive::Reception::new(settings.sources, intake, settings.trusted_proxies, clock));
    let routes = move |config: &mut web::ServiceConfig| {
        unsubscribe::routes(config, pool.clone());
        receive::routes(config, reception.clone());
    };
    chassis::http::serve_hot(&life, &settings.http, receive::HOT, routes).await?;
    working.await??;
    Ok(())
}
