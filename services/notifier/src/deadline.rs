//! How long a message may be asked for, so that what came of it is written down within the time of its job. A job whose time
//! runs out while somebody is asked leaves its message in doubt, also when nobody can have it.

use std::time::Duration;

use domain::job::Job;
use tokio::time::{Instant, timeout_at};

/// What is kept back for writing the outcome down.
const WRITING: Duration = Duration::from_secs(5);
/// What an answer has at least, once a message was handed over.
const ANSWER: Duration = Duration::from_secs(5);

/// The time of one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    hand_over: Instant,
    answer: Instant,
}

impl Deadline {
    /// That of a job which begins now.
    pub(crate) fn of<J: Job>() -> Self {
        let (begin, limit) = (Instant::now(), J::TIMEOUT.saturating_sub(WRITING));
        Self { hand_over: begin + limit.saturating_sub(ANSWER), answer: begin + limit }
    }

    /// Until when a message may be handed over. What takes longer before it ends with a message that nobody has.
    pub(crate) const fn hand_over(self) -> Instant {
        self.hand_over
    }

    /// Until when an answer is waited for; without one the provider may have the message.
    pub(crate) const fn answer(self) -> Instant {
        self.answer
    }

    /// Whether it is too late to hand a message over.
    pub(crate) fn is_over(self) -> bool {
        Instant::now() >= self.hand_over
    }

    /// Waits for what is needed before a message can be handed over; `None` when it is too late for that then.
    pub(crate) async fn before<T>(self, wait: impl Future<Output = T>) -> Option<T> {
        let waited = timeout_at(self.hand_over, wait).await.ok()?;
        (!self.is_over()).then_some(waited)
    }
}
