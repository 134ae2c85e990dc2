//! The port for operators: `/healthz` (its loops go round), `/readyz` (can work), `/metrics`.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::header;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::Context;
use config::Reader;

use crate::Life;

/// Where operators look.
#[derive(Debug, Clone)]
pub struct Settings {
    address: SocketAddr,
}

const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9090);

impl Settings {
    /// Reads `OPS_ADDR`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self { address: reader.default("OPS_ADDR", DEFAULT_ADDRESS, "where /healthz, /readyz and /metrics are served") }
    }
}

/// Serves the ops port until the handle is stopped.
#[expect(clippy::disallowed_methods, reason = "chassis is the room where HTTP is served")]
pub(crate) fn serve(life: &Life, settings: &Settings) -> anyhow::Result<ServerHandle> {
    let shared = web::Data::new(life.clone());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .route("/healthz", web::get().to(healthz))
            .route("/readyz", web::get().to(readyz))
            .route("/metrics", web::get().to(metrics))
            .default_service(web::to(nothing_here))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(1)
    .bind(settings.address)
    .with_context(|| format!("the ops port {} (OPS_ADDR) cannot be bound", settings.address))?;
    for address in server.addrs() {
        tracing::info!(endpoint = "ops", %address, "listening");
    }
    let server = server.run();
    let handle = server.handle();
    life.tasks().spawn(server);
    Ok(handle)
}

async fn healthz(life: web::Data<Life>) -> HttpResponse {
    let stuck = life.stuck();
    if stuck.is_empty() {
        return HttpResponse::Ok().body("alive\n");
    }
    HttpResponse::ServiceUnavailable().body(format!("stuck\n{}\n", stuck.join("\n")))
}

async fn readyz(life: web::Data<Life>) -> HttpResponse {
    if life.shutdown().is_cancelled() {
        return HttpResponse::ServiceUnavailable().body("stopping\n");
    }
    let results = life.readiness().await;
    let line = |(name, result): &(&str, Result<(), String>)| match result {
        Ok(()) => format!("{name}: ok\n"),
        Err(problem) => format!("{name}: {problem}\n"),
    };
    let text: String = results.iter().map(line).collect();
    if results.iter().all(|(_, result)| result.is_ok()) {
        HttpResponse::Ok().body(format!("ready\n{text}"))
    } else {
        HttpResponse::ServiceUnavailable().body(format!("not ready\n{text}"))
    }
}

async fn nothing_here(request: HttpRequest) -> HttpResponse {
    let served = "/healthz, /readyz and /metrics, by GET\n";
    if ["/healthz", "/readyz", "/metrics"].contains(&request.path()) {
        return HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "GET")).body(served);
    }
    HttpResponse::NotFound().body(served)
}

async fn metrics() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .body(telemetry::metrics::text())
}

/// Asks `/readyz`, or only `/healthz`, of the service that runs beside us, as a container's health check does. No runtime, no
/// client: the image has neither shell nor curl.
pub(crate) fn healthcheck(only_alive: bool) -> ExitCode {
    let mut reader = Reader::new(&config::Environment);
    let settings = Settings::read(&mut reader);
    let mut address = match reader.finish(settings) {
        Ok(settings) => settings.address,
        Err(problems) => {
            let _gone = writeln!(std::io::stderr(), "{problems}");
            return ExitCode::FAILURE;
        }
    };
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let path = if only_alive { "/healthz" } else { "/readyz" };
    match ask(address, path) {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => ExitCode::SUCCESS,
        Ok(answer) => {
            let _gone = writeln!(std::io::stderr(), "not well: {}", answer.lines().last().unwrap_or("no answer"));
            ExitCode::FAILURE
        }
        Err(error) => {
            let _gone = writeln!(std::io::stderr(), "{address} (OPS_ADDR) did not answer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let limit = Duration::from_secs(4);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    async fn health(life: &Life) -> (u16, String) {
        let answer = healthz(web::Data::new(life.clone())).await;
        let status = answer.status().as_u16();
        (status, String::from_utf8(to_bytes(answer.into_body()).await.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_service_is_alive_while_its_loops_go_round_whatever_else_is_away() {
        let life = Life::default();
        life.ready("postgres", || async { Err("away".to_owned()) });
        let _pulse = life.pulse("http");
        assert_eq!(health(&life).await, (200, "alive\n".to_owned()));
        life.alive("scheduler", || Err("has not gone round for 30 s".to_owned()));
        assert_eq!(health(&life).await, (503, "stuck\nscheduler: has not gone round for 30 s\n".to_owned()));
        life.shutdown().cancel();
        assert_eq!(health(&life).await.0, 200, "an end that takes time is no standstill");
    }
}
