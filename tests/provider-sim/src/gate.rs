//! The gate every provider request passes: the journal, the rate limit and the faults.

use crate::faults::{Fault, Kind};
use crate::journal::{self, Entry};
use crate::provider::Provider;
use crate::providers::failure;
use crate::sim::Shared;
use actix_web::body::{BoxBody, MessageBody, SizedStream};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpResponse};
use std::any::Any;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long `accept_then_timeout` keeps silent unless told.
const SILENCE: Duration = Duration::from_secs(30);

/// A second handle on a connection's socket, to break it off.
#[derive(Debug, Clone)]
pub(crate) struct Wire(Arc<TcpStream>);

impl Wire {
    /// Takes hold of a new connection.
    pub(crate) fn of(io: &dyn Any) -> Option<Self> {
        use std::os::fd::AsFd;
        let stream = io.downcast_ref::<actix_web::rt::net::TcpStream>()?;
        let fd = stream.as_fd().try_clone_to_owned().ok()?;
        Some(Self(Arc::new(TcpStream::from(fd))))
    }

    fn cut(&self) {
        // The peer may have gone already, which is all we want.
        let _gone = self.0.shutdown(Shutdown::Both);
    }
}

/// The middleware.
pub(crate) async fn pass(
    sim: Shared,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(provider) = Provider::of_path(request.path()) else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let started = Instant::now();
    let body = match request.extract::<Bytes>().await {
        Ok(body) => body,
        Err(error) => {
            let status = error.as_response_error().status_code();
            let answer =
                if status == StatusCode::PAYLOAD_TOO_LARGE { failure::html(status) } else { error.error_response() };
            return Ok(request.into_response(answer));
        }
    };
    request.set_payload(Payload::from(body.clone()));
    let mut entry = entry(provider, &request, &body);
    let (fault, allowance) = {
        let mut world = sim.world();
        entry.at = world.now();
        let world = &mut *world;
        let ids = &mut world.ids;
        let fault = world.faults.meet(provider, request.path(), |probability| ids.chance(probability));
        (fault, world.count_request(provider))
    };
    let wire = request.conn_data::<Wire>().cloned();
    let mut response = match (&fault, allowance) {
        (None, Some(allowance)) if allowance.exceeded => {
            request.into_response(failure::rate_limited(provider, Some(allowance)))
        }
        (Some(fault), _) => faulty(&sim, provider, fault, wire, request, next).await?,
        (None, _) => call(&sim, provider, request, next).await?,
    };
    if let Some(allowance) = allowance {
        failure::add_rate_headers(provider, response.headers_mut(), allowance);
    }
    entry.status = response.status().as_u16();
    entry.fault = fault.map(|f| f.kind.name());
    entry.micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    sim.world().journal.record(entry);
    Ok(response)
}

fn entry(provider: Provider, request: &ServiceRequest, body: &Bytes) -> Entry {
    Entry {
        seq: 0,
        at: chrono::DateTime::UNIX_EPOCH,
        provider,
        method: request.method().to_string(),
        path: request.path().to_owned(),
        query: request.query_string().to_owned(),
        auth: auth_scheme(request.headers()),
        idempotency_key: text(request.headers(), "x-payout-idempotency"),
        body: journal::kept(body),
        body_bytes: body.len(),
        status: 0,
        micros: 0,
        fault: None,
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn auth_scheme(headers: &HeaderMap) -> String {
    if let Some(value) = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()) {
        return value.split(' ').next().unwrap_or_default().to_owned();
    }
    let own = ["authkey", "x-api-key"].into_iter().find(|name| headers.contains_key(*name));
    own.unwrap_or_default().to_owned()
}

/// Hands the request on, after the delay that mail and SMS calls have.
async fn call(
    sim: &Shared,
    provider: Provider,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let latency = sim.options.latency();
    if !latency.is_zero() && matches!(provider, Provider::Sendgrid | Provider::Msg91) {
        tokio::time::sleep(latency).await;
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

async fn faulty(
    sim: &Shared,
    provider: Provider,
    fault: &Fault,
    wire: Option<Wire>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let status = |or: StatusCode| fault.status.and_then(|s| StatusCode::from_u16(s).ok()).unwrap_or(or);
    match fault.kind {
        Kind::Latency => {
            tokio::time::sleep(Duration::from_millis(fault.ms.unwrap_or(1_000))).await;
            call(sim, provider, request, next).await
        }
        Kind::Status => {
            let status = status(StatusCode::INTERNAL_SERVER_ERROR);
            Ok(request.into_response(failure::with_body(provider, status, fault.body.as_ref())))
        }
        Kind::RateLimit => Ok(request.into_response(failure::rate_limited(provider, None))),
        Kind::Html => Ok(request.into_response(failure::html(status(StatusCode::BAD_GATEWAY)))),
        Kind::Reset => {
            cut(wire.as_ref());
            Ok(request.into_response(HttpResponse::InternalServerError().finish()))
        }
        Kind::AcceptThenTimeout => {
            let response = call(sim, provider, request, next).await?;
            tokio::time::sleep(fault.ms.map_or(SILENCE, Duration::from_millis)).await;
            cut(wire.as_ref());
            Ok(response)
        }
        Kind::CutBody => {
            let response = call(sim, provider, request, next).await?;
            half(response, wire).await
        }
    }
}

fn cut(wire: Option<&Wire>) {
    if let Some(wire) = wire {
        wire.cut();
    }
}

/// The same answer, broken off in the middle of its body.
async fn half(response: ServiceResponse<BoxBody>, wire: Option<Wire>) -> Result<ServiceResponse<BoxBody>, Error> {
    let (request, response) = response.into_parts();
    let (response, body) = response.into_parts();
    let body = actix_web::body::to_bytes(body).await.unwrap_or_default();
    // An empty body cannot be cut, so a length is claimed that never comes.
    let claimed = body.len().max(64);
    let first = body.slice(..body.len() / 2);
    let stream = futures_util::stream::unfold(Some(first), move |rest| {
        let wire = wire.clone();
        async move {
            match rest {
                Some(first) if !first.is_empty() => Some((Ok(first), Some(Bytes::new()))),
                Some(_) => {
                    // Let what was written leave before the connection goes.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    cut(wire.as_ref());
                    Some((Err(std::io::Error::other("cut on purpose")), None))
                }
                None => None,
            }
        }
    });
    let length = u64::try_from(claimed).unwrap_or(u64::MAX);
    let body = SizedStream::new(length, Box::pin(stream));
    Ok(ServiceResponse::new(request, response.set_body(BoxBody::new(body))))
}

/// Whether a request carries a JSON body by its own word.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    text(headers, CONTENT_TYPE.as_str()).is_some_and(|t| t.to_ascii_lowercase().starts_with("application/json"))
}
