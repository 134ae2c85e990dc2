//! Serving HTTP to the world.

mod door;
mod observe;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::rt::net::TcpStream;
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer};
use anyhow::Context;
use config::Reader;
use socket2::SockRef;

pub use door::{Answer, Asked, Doorman, is_sendable, serve_behind};
pub use observe::HotRoute;

use crate::{Life, Pulse};
use observe::Figures;

/// Where and how HTTP is served.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to bind; port 0 takes a free one.
    pub address: SocketAddr,
    /// How many threads serve.
    pub workers: usize,
    /// After how long a connection is closed whose client takes nothing of what is sent.
    pub stall: Duration,
}

const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080);

impl Settings {
    /// Reads `HTTP_ADDR`, `HTTP_WORKERS` and `HTTP_STALL_SECONDS`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            address: reader.default("HTTP_ADDR", DEFAULT_ADDRESS, "where HTTP is served"),
            workers: reader
                .optional_parsed("HTTP_WORKERS", "how many threads serve HTTP; one per core by default")
                .or_else(|| std::thread::available_parallelism().ok())
                .map_or(1, NonZero::get),
            stall: Duration::from_secs(reader.default(
                "HTTP_STALL_SECONDS",
                30,
                "after how many seconds a connection is closed whose client takes nothing of what is sent",
            )),
        }
    }
}

/// How long the head of a connection's first request may take.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// How long a client may take to hang up where we did.
const DISCONNECT_LIMIT: Duration = Duration::from_secs(1);
/// How many seconds running requests have after the signal.
const DRAIN_SECONDS: u64 = 20;

/// Serves `routes` until the service must end, then lets running requests finish.
pub async fn serve<F>(life: &Life, settings: &Settings, routes: F) -> anyhow::Result<()>
where
    F: Fn(&mut ServiceConfig) + Send + Clone + 'static,
{
    serve_hot(life, settings, &[], routes).await
}

/// Like [`serve`], for a service with routes that are asked for so often that finding their names must cost nothing.
#[expect(clippy::disallowed_methods, reason = "chassis is the room where HTTP is served")]
pub async fn serve_hot<F>(life: &Life, settings: &Settings, hot: &'static [HotRoute], routes: F) -> anyhow::Result<()>
where
    F: Fn(&mut ServiceConfig) + Send + Clone + 'static,
{
    let stall = settings.stall;
    let pulses = life.clone();
    let server = HttpServer::new(move || {
        // Once for each thread that serves, on that thread.
        actix_web::rt::spawn(beat(pulses.pulse("http")));
        let figures = Figures::new(hot);
        App::new()
            .wrap_fn(move |request, service| observe::observed(&figures, request, service))
            .configure(routes.clone())
    })
    .workers(settings.workers)
    .on_connect(move |connection, _data| {
        if let Some(stream) = connection.downcast_ref::<TcpStream>() {
            bound_stall(stream, stall);
        }
    })
    .client_request_timeout(HEAD_LIMIT)
    .client_disconnect_timeout(DISCONNECT_LIMIT)
    .shutdown_timeout(DRAIN_SECONDS)
    .disable_signals()
    .bind(settings.address)
    .with_context(|| format!("the port {} (HTTP_ADDR) cannot be bound", settings.address))?;
    for address in server.addrs() {
        tracing::info!(endpoint = "http", %address, "listening");
    }
    run(life, server.run()).await
}

/// Runs a server to the end of the service.
async fn run(life: &Life, server: Server) -> anyhow::Result<()> {
    let handle = server.handle();
    let shutdown = life.shutdown();
    life.tasks().spawn(async move {
        shutdown.cancelled().await;
        handle.stop(true).await;
    });
    server.await.context("serving HTTP failed")
}

/// Closes the connection of a client that takes nothing of what is sent.
fn bound_stall(stream: &TcpStream, stall: Duration) {
    // Without it such a client holds its connection for a quarter of an hour, which is no reason to refuse it.
    let _holds_longer = SockRef::from(stream).set_tcp_user_timeout(Some(stall));
}

/// Goes round as long as requests on this thread do.
async fn beat(pulse: Pulse) {
    loop {
        pulse.beat();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
