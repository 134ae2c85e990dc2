//! Waiting for a list to have something in it, and claiming it in the same round trip.
//!
//! On a connection of its own a watch sends two commands at once: a `BLMOVE` of the list's head onto itself, which blocks
//! until there is a head and changes nothing, and a turn. Redis runs the turn in the instant in which the first ends, so
//! from push to claim there is no round trip, and the claim has all the guards of any other turn.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use kv::redis::{self, Cmd, RedisResult, Value};
use kv::{Connection, Kv};

/// How long a list is watched before the watch is set anew. A connection that died without a word is found out by this.
const BLOCK: Duration = Duration::from_secs(2);

type Answer = RedisResult<(Value, Vec<Value>)>;

/// A turn that waits for its list.
struct Armed {
    answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
    numbers: Range<u64>,
}

pub(super) struct Watch {
    kv: Kv,
    /// Which of a lease's turns this is: see `turn.lua`.
    pub(super) channel: u8,
    list: String,
    connection: Connection,
    armed: Option<Armed>,
}

impl Watch {
    pub(super) fn new(kv: &Kv, channel: u8, list: &str) -> Self {
        Self { kv: kv.clone(), channel, list: list.to_owned(), connection: kv.dedicated(BLOCK), armed: None }
    }

    pub(super) fn is_armed(&self) -> bool {
        self.armed.is_some()
    }

    /// Under which numbers it may claim, or may have claimed.
    pub(super) fn numbers(&self) -> Option<Range<u64>> {
        self.armed.as_ref().map(|armed| armed.numbers.clone())
    }

    /// Sends `turn` behind a wait for the list. It may claim under `numbers`.
    pub(super) fn arm(&mut self, turn: Cmd, numbers: Range<u64>) {
        let mut wait = redis::cmd("BLMOVE");
        wait.arg(&self.list).arg(&self.list).arg("LEFT").arg("LEFT").arg(BLOCK.as_secs_f64());
        let mut connection = self.connection.clone();
        let answer =
            Box::pin(
                async move { redis::pipe().add_command(wait).add_command(turn).query_async(&mut connection).await },
            );
        self.armed = Some(Armed { answer, numbers });
    }

    /// Forgets the turn and closes the connection, so that Redis forgets it too. It may still have been carried out: gives
    /// the numbers under which.
    pub(super) fn disarm(&mut self) -> Option<Range<u64>> {
        let armed = self.armed.take()?;
        self.connection = self.kv.dedicated(BLOCK);
        Some(armed.numbers)
    }
}

/// The first answer of any watch: the numbers it could claim under, and what came.
pub(super) async fn answered(watches: &mut [Watch]) -> (Range<u64>, RedisResult<Vec<Value>>) {
    std::future::poll_fn(|context| {
        for watch in watches.iter_mut() {
            let Some(armed) = &mut watch.armed else { continue };
            if let Poll::Ready(answer) = armed.answer.as_mut().poll(context) {
                let numbers = armed.numbers.clone();
                watch.armed = None;
                return Poll::Ready((numbers, answer.map(|(_head, turn)| turn)));
            }
        }
        Poll::Pending
    })
    .await
}
