//! A door before the framework, for a service of which nearly all that is asked for is one plain route.
//!
//! The way through the framework (a request's object and its map of headers, layers, routing, an answer's map, its encoder) costs
//! several times what a short answer needs. So each connection begins here: as long as each of its requests is a plain `GET` or
//! `HEAD` of the one route, complete in one read, the [`Doorman`] answers it into a buffer and that is all. With the first request
//! that is anything else the connection is shown in, with what was read of it, and is the framework's from there on: nothing that
//! is rare, large, slow, malformed or has a body is understood here, and so nothing of it can be misunderstood.

mod answer;
mod asked;
mod connection;
mod resumed;

use std::net::SocketAddr;
use std::rc::Rc;

use actix_http::{HttpService, Protocol};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_factory, fn_service, map_config};
use actix_web::dev::{AppConfig, Server, ServiceFactory};
use actix_web::http::header::HeaderName;
use actix_web::rt::net::TcpStream;
use actix_web::web::ServiceConfig;
use actix_web::{App, Error, HttpResponse};
use anyhow::Context;
use futures_util::future::LocalBoxFuture;

pub use answer::{Answer, is_sendable};
pub use asked::Asked;

use self::connection::Ending;
use self::resumed::Resumed;
use super::observe::{self, Figures};
use super::{DISCONNECT_LIMIT, DRAIN_SECONDS, HEAD_LIMIT, HotRoute, Settings, beat};
use crate::Life;

/// Answers at the door. One in each thread that serves.
pub trait Doorman: 'static {
    /// The route that it takes: `GET` and `HEAD` of the paths below its prefix.
    const ROUTE: HotRoute;

    /// The headers that it looks at, beside those of its trail. Others it does not see.
    fn reads() -> &'static [HeaderName];

    /// Answers a request.
    fn answer(&self, asked: Asked<'_>, answer: &mut Answer) -> impl Future<Output = ()>;
}

type ShowIn = Rc<dyn Fn(Resumed, SocketAddr) -> LocalBoxFuture<'static, ()>>;

/// Like [`serve`](super::serve), with a doorman in front. `doorman` is called once in each thread that serves; the routes of the
/// same thread get it too, for what is shown in.
pub async fn serve_behind<D, M, F>(life: &Life, settings: &Settings, doorman: M, routes: F) -> anyhow::Result<()>
where
    D: Doorman,
    M: Fn() -> Rc<D> + Send + Clone + 'static,
    F: Fn(&mut ServiceConfig, Rc<D>) + Send + Clone + 'static,
{
    let listener = listen(settings.address)
        .with_context(|| format!("the port {} (HTTP_ADDR) cannot be bound", settings.address))?;
    let address = listener.local_addr().context("the port has no address")?;
    let (stall, pulses, shutdown) = (settings.stall, life.clone(), life.shutdown());
    let server = Server::build()
        .workers(settings.workers)
        .shutdown_timeout(DRAIN_SECONDS)
        .disable_signals()
        .listen("http", listener, move || {
            let (doorman, routes, pulses, shutdown) =
                (doorman.clone(), routes.clone(), pulses.clone(), shutdown.clone());
            // Once for each thread that serves, on that thread.
            fn_factory(move || {
                actix_web::rt::spawn(beat(pulses.pulse("http")));
                let (doorman, ending) = (doorman(), Ending::heard_of(shutdown.clone()));
                let figures = Figures::new(std::slice::from_ref(const { &D::ROUTE }));
                let (routes, for_routes, at_door) = (routes.clone(), doorman.clone(), figures.clone());
                let app = App::new()
                    .wrap_fn(move |request, service| observe::observed(&figures, request, service))
                    .configure(move |config| routes(config, for_routes));
                let app = app.into_factory().map_err(|error: Error| HttpResponse::from_error(error));
                let shutdown = shutdown.clone();
                let framework = HttpService::build()
                    .graceful_shutdown_signal(move || shutdown.clone().cancelled_owned())
                    .client_request_timeout(HEAD_LIMIT)
                    .client_disconnect_timeout(DISCONNECT_LIMIT)
                    .local_addr(address)
                    .finish(map_config(app, |()| AppConfig::default()))
                    .new_service(());
                async move {
                    let framework = Rc::new(framework.await?);
                    let show_in: ShowIn = Rc::new(move |stream, peer| {
                        let rest = actix_service::Service::call(&*framework, (stream, Protocol::Http1, Some(peer)));
                        Box::pin(async move {
                            if let Err(error) = rest.await {
                                tracing::debug!(%error, "a connection ended early");
                            }
                        })
                    });
                    let door = Rc::new(connection::Door::new(doorman, at_door, ending, show_in));
                    Ok::<_, ()>(fn_service(move |stream: TcpStream| {
                        let door = door.clone();
                        async move {
                            super::bound_stall(&stream, stall);
                            door.keep(stream).await;
                            Ok::<_, ()>(())
                        }
                    }))
                }
            })
        })
        .with_context(|| format!("the port {address} (HTTP_ADDR) cannot be served"))?;
    tracing::info!(endpoint = "http", %address, "listening");
    super::run(life, server.run()).await
}

/// As the framework listens: again at once after a restart, and with the same backlog.
fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1_024)?;
    Ok(socket.into())
}
