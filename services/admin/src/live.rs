//! What changes by the second, pushed to whoever looks. One reader serves all: it reads only while somebody looks, and who is
//! slow misses the states in between.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use askama::Template as _;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::PageError;
use crate::state::State;
use crate::workers::Now;

/// How often it is read.
const EVERY: Duration = Duration::from_secs(1);
/// How long a stream lasts. Browsers open a new one, and then the session is checked again.
const LIFE: Duration = Duration::from_secs(300);

/// The newest state, shared by all streams.
pub(crate) struct Live(watch::Sender<Arc<str>>);

impl Live {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Arc::from("")))
    }
}

/// Reads while somebody looks, until the end.
pub(crate) async fn keep(state: web::Data<State>) {
    let shutdown = state.shutdown.clone();
    loop {
        tokio::select! { () = tokio::time::sleep(EVERY) => {}, () = shutdown.cancelled() => return }
        if state.live.0.receiver_count() == 0 {
            continue;
        }
        let read = async {
            let now = Now::read(&state).await?;
            now.render().map_err(|error| PageError::Failed(error.into()))
        };
        match read.await {
            Ok(text) => drop(state.live.0.send_replace(Arc::from(text))),
            Err(error) => tracing::warn!(error.chain = telemetry::chain(&error), "the live view was not read"),
        }
    }
}

/// The stream of an `EventSource`.
pub(crate) async fn events(state: web::Data<State>) -> HttpResponse {
    let receiver = state.live.0.subscribe();
    let (shutdown, end) = (state.shutdown.clone(), Instant::now() + LIFE);
    let stream = stream::unfold((receiver, shutdown), move |(mut receiver, shutdown)| async move {
        tokio::select! {
            changed = receiver.changed() => changed.ok()?,
            () = tokio::time::sleep_until(end) => return None,
            () = shutdown.cancelled() => return None,
        }
        let text = receiver.borrow_and_update().clone();
        let mut event = String::with_capacity(text.len() + 256);
        for line in text.lines() {
            event.push_str("data: ");
            event.push_str(line);
            event.push('\n');
        }
        event.push('\n');
        Some((Ok::<_, actix_web::Error>(Bytes::from(event)), (receiver, shutdown)))
    });
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/event-stream")).streaming(Box::pin(stream))
}

/// The same for browsers whose stream breaks off: asked for every few seconds.
pub(crate) async fn now(state: web::Data<State>) -> Result<HttpResponse, PageError> {
    crate::view::html(&Now::read(&state).await?)
}
