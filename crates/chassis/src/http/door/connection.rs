//! A connection from its first byte to its end, or to where it is shown in.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderName;
use actix_web::http::{Method, StatusCode};
use actix_web::rt::net::TcpStream;
use futures_util::future::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::asked::Held;
use super::resumed::Resumed;
use super::{Doorman, ShowIn};
use crate::http::HEAD_LIMIT;
use crate::http::observe::{self, Figures};

/// How long a connection may be idle between two requests; the framework's own time.
const IDLE_LIMIT: Duration = Duration::from_secs(5);
/// What is read at once. A request that is longer is not plain.
const READ_AT_ONCE: usize = 16 << 10;

/// What the connections of one thread share.
pub(super) struct Door<D> {
    doorman: Rc<D>,
    figures: Rc<Figures>,
    reads: [&'static [HeaderName]; 2],
    ending: Rc<Ending>,
    show_in: ShowIn,
    /// Where all of them read to: what is read is taken in before another one reads.
    room: RefCell<Box<[u8]>>,
}

/// The end of the service, as one thread hears of it. Idle connections wait for it at the price of a flag.
#[derive(Default)]
pub(super) struct Ending {
    begun: Cell<bool>,
    told: Notify,
}

impl Ending {
    pub(super) fn heard_of(shutdown: CancellationToken) -> Rc<Self> {
        let ending = Rc::new(Self::default());
        let heard = ending.clone();
        actix_web::rt::spawn(async move {
            shutdown.cancelled_owned().await;
            heard.begun.set(true);
            heard.told.notify_waiters();
        });
        ending
    }
}

/// What comes next on a connection.
enum Next {
    /// The request that is held.
    Request,
    /// Something else, which was read.
    Other(Vec<u8>),
    /// Nothing more.
    End,
    /// Nothing in time.
    Late,
}

impl<D: Doorman> Door<D> {
    pub(super) fn new(doorman: Rc<D>, figures: Rc<Figures>, ending: Rc<Ending>, show_in: ShowIn) -> Self {
        let reads = [D::reads(), observe::trail_headers()];
        let room = RefCell::new(vec![0; READ_AT_ONCE].into_boxed_slice());
        Self { doorman, figures, reads, ending, show_in, room }
    }

    /// Answers what comes, to the end of the connection.
    pub(super) async fn keep(&self, stream: TcpStream) {
        // One that has gone before it was looked at.
        let Ok(peer) = stream.peer_addr() else { return };
        if let Ok(Some(other)) = self.serve(stream, peer).await {
            (self.show_in)(other, peer).await;
        }
    }

    /// Answers plain requests; gives back a connection on which something else has come.
    async fn serve(&self, mut stream: TcpStream, peer: SocketAddr) -> io::Result<Option<Resumed>> {
        let (mut held, mut answer) = (Held::default(), Answer::new());
        let (mut idle_from, mut limit) = (Instant::now(), HEAD_LIMIT);
        let mut is_new = true;
        // Looked at when it rings, not wound up anew with each request.
        let mut bell = pin!(sleep(HEAD_LIMIT));
        let mut ending = pin!(self.ending.told.notified().fuse());
        let mut hears = false;
        loop {
            let next = poll_fn(|cx| {
                if let Poll::Ready(next) = self.read(cx, &mut stream, &mut held) {
                    return Poll::Ready(next);
                }
                if !hears {
                    // Once is enough: it is always this task that is woken.
                    hears = true;
                    let _not_yet = ending.as_mut().poll(cx);
                }
                if self.ending.begun.get() {
                    return Poll::Ready(Next::End);
                }
                while bell.as_mut().poll(cx).is_ready() {
                    let end = idle_from + limit;
                    if end <= Instant::now() {
                        return Poll::Ready(Next::Late);
                    }
                    bell.as_mut().reset(end.into());
                }
                Poll::Pending
            })
            .await;
            match next {
                Next::Request => {}
                Next::Other(read) => return Ok(Some(Resumed::new(stream, read))),
                Next::Late if is_new => {
                    answer.begin(false);
                    answer.empty(StatusCode::REQUEST_TIMEOUT, b"");
                    write(&mut stream, answer.finish(Instant::now(), true)).await?;
                    return Ok(None);
                }
                Next::Late | Next::End => return Ok(None),
            }
            let asked = held.asked(peer.ip());
            answer.begin(*asked.method == Method::HEAD);
            let now = observe::observed_at_door(&self.figures, &*self.doorman, asked, &mut answer).await;
            let closes = self.ending.begun.get();
            write(&mut stream, answer.finish(now, closes)).await?;
            if closes {
                return Ok(None);
            }
            (idle_from, limit, is_new) = (now, IDLE_LIMIT, false);
        }
    }

    fn read(&self, cx: &mut Context<'_>, stream: &mut TcpStream, held: &mut Held) -> Poll<Next> {
        let mut room = self.room.borrow_mut();
        let mut read = ReadBuf::new(&mut room);
        match Pin::new(stream).poll_read(cx, &mut read) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) if !read.filled().is_empty() => {}
            Poll::Ready(_) => return Poll::Ready(Next::End),
        }
        if held.take(read.filled(), D::ROUTE.prefix, &self.reads) {
            return Poll::Ready(Next::Request);
        }
        Poll::Ready(Next::Other(read.filled().to_vec()))
    }
}

/// Sends an answer; one call of the kernel where its buffer has room.
async fn write(stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await?;
        bytes = bytes.get(written..).filter(|_| written > 0).ok_or(io::ErrorKind::WriteZero)?;
    }
    Ok(())
}
