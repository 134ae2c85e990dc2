//! `/ws`: what happens to shoppers' orders and cashback, told to their open pages. Workers of `queue:events` write each event to
//! the shopper's log and say it to all replicas; each replica passes it to its sockets.

mod hub;
mod log;
mod origins;
mod relay;

use std::time::Duration;

use actix_web::rt::time::Instant;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session};
use domain::clock::{Clock as _, SystemClock};
use domain::ids::UserId;
use serde::Deserialize;
use shopper::Pass;

use self::hub::{Seat, Signal};
use self::log::Place;
use crate::api::ApiError;
use crate::state::State;

pub(crate) use self::hub::Hub;
pub(crate) use self::origins::{Gate, Origins, Refusal};
pub(crate) use self::relay::{Announcer, listen};

/// How often a socket is tried, and after how much silence it is given up.
const PING: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(75);
/// How long a frame may take to be passed on. Behind it are the connection's buffers: a client that reads is never near it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Clients have nothing to say but that they live.
const LARGEST: usize = 1_024;
/// The session is over: log in again, then come back.
const EXPIRED: u16 = 4_401;

/// Where a shopper goes on.
#[derive(Deserialize)]
pub(crate) struct After {
    /// The id of the last event that was seen.
    after: Option<String>,
}

/// Opens a socket.
pub(crate) async fn open(
    state: web::Data<State>,
    request: HttpRequest,
    pass: web::ReqData<Pass>,
    query: web::Query<After>,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (user, expires_at) = (pass.user, pass.expires_at);
    let after = query.after.as_deref().map(str::parse::<Place>).transpose();
    let after = after.map_err(|()| ApiError::Invalid("after is not the id of an event".to_owned()))?;
    let seat = state.hub.enter(user).ok_or(ApiError::TooMany(PING))?;
    let newest = log::newest(&state.kv, user).await?;
    let handshake = actix_ws::handle_with_protocols(&request, body, &[origins::PROTOCOL]);
    let (answer, session, stream) = handshake.map_err(|error| ApiError::Invalid(error.to_string()))?;
    let socket = Socket { state: state.clone(), user, session, seat, last: after.unwrap_or(newest) };
    let left = expires_at.saturating_sub(u64::try_from(SystemClock.now().timestamp()).unwrap_or(0));
    let end = Instant::now() + Duration::from_secs(left.min(7 * 24 * 60 * 60));
    let forgotten = after.is_some_and(Place::is_forgotten);
    state.tasks.spawn_local(socket.serve(stream.max_frame_size(LARGEST), end, forgotten));
    Ok(answer)
}

struct Socket {
    state: web::Data<State>,
    user: UserId,
    session: Session,
    seat: Seat,
    /// The last event that was sent.
    last: Place,
}

/// Why a socket ends.
enum End {
    /// The client went.
    Gone,
    /// We close it.
    Closed(&'static str, CloseCode),
}

const SLOW: End = End::Closed("slow", CloseCode::Policy);

impl Socket {
    async fn serve(mut self, stream: MessageStream, end: Instant, forgotten: bool) {
        let why = match self.greet(forgotten).await {
            Ok(()) => self.talk(stream, end).await,
            Err(why) => why,
        };
        if let End::Closed(word, code) = why {
            self.state.hub.count_dropped(word);
            let reason = CloseReason { code, description: Some(word.to_owned()) };
            // A client that does not read does not read this either.
            let _not_read = tokio::time::timeout(PATIENCE, self.session.close(Some(reason))).await;
        }
    }

    /// The first frame says where the log is, so that whoever loses the socket before any event knows what to ask for.
    async fn greet(&mut self, forgotten: bool) -> Result<(), End> {
        let hello = serde_json::json!({ "type": "hello", "id": self.last.to_string(), "gap": forgotten });
        self.send(hello.to_string()).await?;
        self.look_up().await
    }

    async fn talk(&mut self, mut stream: MessageStream, end: Instant) -> End {
        let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
        let mut heard = Instant::now();
        let shutdown = self.state.shutdown.clone();
        loop {
            let step = tokio::select! {
                signal = self.seat.next() => match signal {
                    Signal::News(news) if news.place > self.last => {
                        self.last = news.place;
                        self.send(news.text.clone()).await
                    }
                    Signal::News(_) => Ok(()),
                    Signal::LookUp => self.look_up().await,
                },
                message = stream.recv() => {
                    heard = Instant::now();
                    self.answer(message).await
                }
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE { Err(End::Closed("silent", CloseCode::Away)) } else { self.ping().await }
                }
                () = tokio::time::sleep_until(end) => Err(End::Closed("session over", CloseCode::Other(EXPIRED))),
                () = shutdown.cancelled() => Err(End::Closed("restart", CloseCode::Restart)),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn answer<E>(&mut self, message: Option<Result<Message, E>>) -> Result<(), End> {
        match message {
            Some(Ok(Message::Ping(bytes))) => in_time(self.session.pong(&bytes)).await,
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(End::Gone),
            Some(Ok(_)) => Ok(()),
        }
    }

    /// Sends what is in the log and was not sent yet.
    async fn look_up(&mut self) -> Result<(), End> {
        loop {
            let missed = log::after(&self.state.kv, self.user, self.last).await.map_err(|error| {
                tracing::warn!(error.chain = telemetry::chain(&error), "a socket is closed: its log was not read");
                End::Closed("try again", CloseCode::Again)
            })?;
            if missed.is_empty() {
                return Ok(());
            }
            for news in missed {
                self.last = news.place;
                self.send(news.text).await?;
            }
        }
    }

    async fn send(&mut self, text: String) -> Result<(), End> {
        in_time(self.session.text(text)).await
    }

    async fn ping(&mut self) -> Result<(), End> {
        in_time(self.session.ping(b"")).await
    }
}

async fn in_time(sending: impl Future<Output = Result<(), actix_ws::Closed>>) -> Result<(), End> {
    match tokio::time::timeout(PATIENCE, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_closed)) => Err(End::Gone),
        Err(_elapsed) => Err(SLOW),
    }
}
