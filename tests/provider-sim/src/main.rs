//! Plays the outside world: SendGrid, MSG91, Admitad, vCommission, Cuelinks, Razorpay and the merchants'
//! shops, in one process on one port (and a mail server on another), with state, faults on request and an inbox. For development and tests only.
//!
//! It knows wire contracts and nothing of our own crates. `README.md` beside this crate describes its control API.

mod amount;
mod bulk;
mod clicks;
mod clock;
mod control;
mod deliveries;
mod faults;
mod gate;
mod ids;
mod inbox;
mod journal;
mod options;
mod pages;
mod provider;
mod providers;
mod settings;
mod sim;
mod transactions;

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, PayloadConfig, ServiceConfig};
use actix_web::{App, HttpServer};
use anyhow::{Context, bail};
use clap::Parser;
use options::Options;
use providers::smtp::Security;
use settings::Settings;
use sim::Sim;
use std::io::Write;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// `EX_USAGE`-like code for settings that cannot be used.
const BAD_SETTINGS: u8 = 64;

/// Bodies up to 30 MB, SendGrid's limit, and some air.
const LARGEST_BODY: usize = 31_000_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_unset| tracing_subscriber::EnvFilter::new("provider_sim=info,warn")),
        )
        .init();
    let settings = match serde_json::from_str(&options.config)
        .context("the settings are not JSON")
        .and_then(|given| Settings::default().with(given).context("the settings cannot be used"))
    {
        Ok(settings) => settings,
        Err(error) => {
            tracing::error!("{error:#}");
            return ExitCode::from(BAD_SETTINGS);
        }
    };
    match serve(options, settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the outside world shares no code with our services, so it has its own client and its own server"
)]
async fn serve(options: Options, settings: Settings) -> anyhow::Result<()> {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        bail!("another TLS provider is installed already");
    }
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .context("building the HTTP client")?;
    let listener = TcpListener::bind((options.host.as_str(), options.port))
        .with_context(|| format!("listening on {}:{}", options.host, options.port))?;
    let address = listener.local_addr().context("reading the port")?;
    let smtp = match options.smtp_port {
        Some(port) => Some((smtp_listener(&options.host, port).await?, Security::from_options(&options)?)),
        None => None,
    };
    let threads = options.threads.max(1);
    let mut terminate = signal(SignalKind::terminate()).context("watching for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watching for SIGINT")?;
    let sim = Data::new(Sim::new(options, settings, http));
    let shared = sim.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .app_data(PayloadConfig::new(LARGEST_BODY))
            .wrap(from_fn(gate::pass))
            .configure(routes)
    })
    .workers(threads)
    .backlog(4_096)
    // As providers have it. A connection that is closed sooner breaks off answers of a client that is slow, not of the provider.
    .client_request_timeout(Duration::from_secs(60))
    .keep_alive(Duration::from_secs(75))
    .on_connect(|io, data| {
        if let Some(wire) = gate::Wire::of(io) {
            data.insert(wire);
        }
    })
    .disable_signals()
    .shutdown_timeout(2)
    .listen(listener)
    .context("starting the server")?
    .run();
    let handle = server.handle();
    let mut stdout = std::io::stdout();
    if let Some((listener, security)) = smtp {
        let address = listener.local_addr().context("reading the mail server's port")?;
        writeln!(stdout, "smtp on {address}").context("telling the mail server's port")?;
        sim.in_background(providers::smtp::serve(sim::arc(&sim), listener, security));
    }
    writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush()).context("telling the port")?;
    tokio::select! {
        ended = server => ended.context("the server ended by itself")?,
        _ = terminate.recv() => handle.stop(false).await,
        _ = interrupt.recv() => handle.stop(false).await,
    }
    sim.stop().await;
    Ok(())
}

async fn smtp_listener(host: &str, port: u16) -> anyhow::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::bind((host, port)).await.with_context(|| format!("listening on {host}:{port} for mails"))
}

fn routes(config: &mut ServiceConfig) {
    config
        .service(web::scope("/_sim").configure(control::routes))
        .service(web::scope("/sendgrid").configure(providers::sendgrid::routes))
        .service(web::scope("/msg91").configure(providers::msg91::routes))
        .service(web::scope("/admitad").configure(providers::admitad::routes))
        .service(web::scope("/vcommission").configure(providers::vcommission::routes))
        .service(web::scope("/cuelinks").configure(providers::cuelinks::routes))
        .service(web::scope("/razorpay").configure(providers::razorpay::routes))
        .service(web::scope("/shop").configure(providers::shop::routes))
        .route("/", web::get().to(pages::home));
}
