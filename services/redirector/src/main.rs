//! Sends shoppers to merchants, and loses no click.

mod answers;
mod changes;
mod class;
mod client;
mod crawlers;
mod limit;
mod lint;
mod metrics;
mod out;
mod pages;
mod passing;
mod recent;
mod record;
mod records;
mod resolve;
mod settings;
mod ship;
mod shopper;
mod spool;
mod stats;
mod tally;
mod terms;

use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use anyhow::Context;
use chassis::problem::Problem;
use config::ExposeSecret;

use crate::out::{Desk, Shared};
use crate::settings::Settings;

fn main() -> ExitCode {
    let service =
        chassis::Service { name: "redirector", about: "Sends shoppers to merchants and records every click." };
    chassis::main(service, Settings::read, run)
}

async fn run(settings: Settings, life: chassis::Life) -> anyhow::Result<()> {
    crawlers::prepare();
    let pool = store::Pool::connect(&settings.store)?;
    let kv = kv::Kv::connect(&settings.kv)?;
    let folder = &settings.spool_folder;
    let spool = spool::Spool::open(folder, settings.spool_max_bytes)
        .with_context(|| format!("the spool in {} (REDIRECT_SPOOL_DIR) cannot be opened", folder.display()))?;
    let health = Arc::new(ship::Health::default());
    let limiter = Arc::new(limit::Limiter::new(settings.limit));
    let catalogue = resolve::Catalogue::new(
        pool.clone(),
        kv.clone(),
        settings.keeping,
        settings.visits.schemes,
        health.clone(),
        life.tasks().clone(),
    );
    let hash_key = match &settings.visits.client_hash_key {
        Some(key) => key.expose_secret().as_bytes().to_vec(),
        None => rand::random::<[u8; 32]>().to_vec(),
    };
    let schemes = settings.visits.schemes;
    let shared = Shared {
        repeats: Arc::new(class::Repeats::new(settings.visits.repeat_seconds)),
        visits: settings.visits,
        catalogue: catalogue.clone(),
        limiter: limiter.clone(),
        client_hash: record::ClientHash::new(&hash_key),
        route: ship::Route {
            kv: kv.clone(),
            spool: spool.clone(),
            limiter,
            health: health.clone(),
            patience: settings.redis_patience,
        },
        tally: Arc::new(tally::Tally::new()),
    };

    metrics::register(&shared, &spool);
    let stats = settings
        .stats_token
        .map(|token| stats::Stats::new(pool.clone(), kv.clone(), spool.clone(), shared.clone(), token));
    let stats = web::Data::new(stats);

    let tasks = life.tasks();
    tasks.spawn(lint::at_start(pool.clone(), schemes, life.shutdown()));
    tasks.spawn(catalogue.clone().look_again(life.shutdown()));
    tasks.spawn(changes::follow(pool, catalogue, life.shutdown()));
    tasks.spawn(queue::presence::show(kv.clone(), "redirector", life.shutdown()));
    tasks.spawn(spool::replay(spool, queue::Producer::new(kv), health, life.shutdown()));
    // Clicks are answered at the door; what is not plain enough for it comes through the framework, to the same desk.
    let desk = move || Rc::new(Desk::open(shared.clone()));
    chassis::http::serve_behind(&life, &settings.http, desk, move |routes, desk| {
        routes
            .app_data(stats.clone())
            .app_data(desk)
            .service(web::resource("/stats").route(web::get().to(stats::stats)).default_service(web::to(other_method)))
            .default_service(web::to(out_or_nothing));
    })
    .await
}

async fn other_method() -> HttpResponse {
    let mut answer =
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", "This path takes GET only").response();
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    answer
}

async fn out_or_nothing(request: HttpRequest) -> HttpResponse {
    match request.app_data::<Rc<Desk>>() {
        Some(desk) if request.path().starts_with(out::PREFIX) => answers::through_framework(&request, desk).await,
        _ => Problem::new(StatusCode::NOT_FOUND, "not-found", "There is nothing at this path").response(),
    }
}
