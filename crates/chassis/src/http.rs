//! Serving HTTP to the world.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::rt::net::TcpStream;
use actix_web::web::ServiceConfig;
use actix_web::{App, Error, HttpServer};
use anyhow::Context;
use config::Reader;
use socket2::SockRef;
use tracing::Span;
use tracing_actix_web::{RootSpanBuilder, TracingLogger};

use crate::Life;

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
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            address: reader.default("HTTP_ADDR", DEFAULT_ADDRESS, "where HTTP is served"),
            workers: reader
                .optional_parsed("HTTP_WORKERS", "how many threads serve HTTP; one per core by default")
                .unwrap_or(cores),
            stall: Duration::from_secs(reader.default(
                "HTTP_STALL_SECONDS",
                30,
                "after how many seconds a connection is closed whose client takes nothing of what is sent",
            )),
        }
    }
}

/// Serves `routes` until the service must end, then lets running requests finish.
#[expect(clippy::disallowed_methods, reason = "chassis is the room where HTTP is served")]
pub async fn serve<F>(life: &Life, settings: &Settings, routes: F) -> anyhow::Result<()>
where
    F: Fn(&mut ServiceConfig) + Send + Clone + 'static,
{
    let stall = settings.stall;
    let server =
        HttpServer::new(move || App::new().wrap(TracingLogger::<RequestSpan>::new()).configure(routes.clone()))
            .workers(settings.workers)
            .on_connect(move |connection, _data| {
                if let Some(stream) = connection.downcast_ref::<TcpStream>() {
                    // Without it such a client holds its connection for a quarter of an hour, which is no reason to refuse it.
                    let _holds_longer = SockRef::from(stream).set_tcp_user_timeout(Some(stall));
                }
            })
            .client_request_timeout(Duration::from_secs(5))
            .client_disconnect_timeout(Duration::from_secs(1))
            .shutdown_timeout(20)
            .disable_signals()
            .bind(settings.address)
            .with_context(|| format!("the port {} (HTTP_ADDR) cannot be bound", settings.address))?;
    for address in server.addrs() {
        tracing::info!(endpoint = "http", %address, "listening");
    }
    let server = server.run();
    let handle = server.handle();
    let shutdown = life.shutdown();
    life.tasks().spawn(async move {
        shutdown.cancelled().await;
        handle.stop(true).await;
    });
    server.await.context("serving HTTP failed")
}

/// One span a request, joined to the caller's trace.
struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let route = request.match_pattern().unwrap_or_default();
        let span = tracing::info_span!("request", http.method = %request.method(), http.route = route, http.status = tracing::field::Empty);
        if let Some(traceparent) = request.headers().get("traceparent").and_then(|value| value.to_str().ok()) {
            telemetry::propagation::set_parent(&span, traceparent);
        }
        span
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.record("http.status", status.as_u16());
    }
}
