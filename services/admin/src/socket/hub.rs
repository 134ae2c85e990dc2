//! Who looks, on this replica, and what they are told. A seat holds a few events; whoever is slower is told to look at the log, so
//! that nobody's slowness costs memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::ids::UserId;
use telemetry::metrics::{Counter, KeyValue, UpDownCounter};
use tokio::sync::mpsc;

use super::log::News;

/// Events that a seat holds.
const HELD: usize = 32;
/// Sockets of one shopper on one replica; more is a loop in somebody's page.
const MOST: usize = 20;

/// What a seat is told.
#[derive(Debug, Clone)]
pub(super) enum Signal {
    /// An event.
    News(Arc<News>),
    /// Something may have been missed: look at the log.
    LookUp,
}

struct Place {
    number: u64,
    sender: mpsc::Sender<Signal>,
    /// Whether the seat was full. It is told nothing more until it has looked at the log, or an event would be passed over.
    behind: Arc<AtomicBool>,
}

impl Place {
    fn tell(&self, signal: Signal) {
        if !self.behind.load(Ordering::Acquire) && self.sender.try_send(signal).is_err() {
            self.behind.store(true, Ordering::Release);
        }
    }
}

#[derive(Default)]
struct Seats {
    next: u64,
    of: HashMap<UserId, Vec<Place>>,
}

/// All sockets of this replica.
pub(crate) struct Hub {
    seats: Mutex<Seats>,
    open: UpDownCounter<i64>,
    dropped: Counter<u64>,
}

/// The seat of one socket; it is left when this is dropped.
pub(super) struct Seat {
    hub: Arc<Hub>,
    user: UserId,
    number: u64,
    signals: mpsc::Receiver<Signal>,
    behind: Arc<AtomicBool>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        let meter = telemetry::metrics::meter();
        Self {
            seats: Mutex::default(),
            open: meter.i64_up_down_counter("sockets_open").with_description("Open sockets of shoppers").build(),
            dropped: meter
                .u64_counter("sockets_dropped")
                .with_description("Sockets of shoppers that were closed by us, by why")
                .build(),
        }
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat; `None` when the shopper has too many.
    pub(super) fn enter(self: &Arc<Self>, user: UserId) -> Option<Seat> {
        let (sender, signals) = mpsc::channel(HELD);
        let behind = Arc::new(AtomicBool::new(false));
        let mut seats = self.seats();
        let number = seats.next;
        let places = seats.of.entry(user).or_default();
        if places.len() >= MOST {
            return None;
        }
        places.push(Place { number, sender, behind: behind.clone() });
        seats.next += 1;
        drop(seats);
        self.open.add(1, &[]);
        Some(Seat { hub: self.clone(), user, number, signals, behind })
    }

    /// Tells all sockets of a shopper.
    pub(super) fn tell(&self, user: UserId, news: News) {
        let signal = Signal::News(Arc::new(news));
        for place in self.seats().of.get(&user).into_iter().flatten() {
            place.tell(signal.clone());
        }
    }

    /// Tells everybody to look at the log.
    pub(super) fn look_up(&self) {
        for place in self.seats().of.values().flatten() {
            place.tell(Signal::LookUp);
        }
    }

    /// Counts a socket that was closed by us.
    pub(super) fn count_dropped(&self, why: &'static str) {
        self.dropped.add(1, &[KeyValue::new("reason", why)]);
    }
}

impl Seat {
    /// What comes next. It may be dropped and asked for again.
    pub(super) async fn next(&mut self) -> Signal {
        if let Ok(signal) = self.signals.try_recv() {
            return signal;
        }
        if self.behind.swap(false, Ordering::AcqRel) {
            return Signal::LookUp;
        }
        // The hub lives as long as the seat, and with it the sender.
        self.signals.recv().await.unwrap_or(Signal::LookUp)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.hub.seats();
        if let Some(places) = seats.of.get_mut(&self.user) {
            places.retain(|place| place.number != self.number);
            if places.is_empty() {
                seats.of.remove(&self.user);
            }
        }
        drop(seats);
        self.hub.open.add(-1, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news() -> News {
        News::heard(&format!("{} 1-1 {{}}", UserId::generate())).unwrap().1
    }

    #[tokio::test]
    async fn who_is_slow_is_told_to_look_at_the_log_and_nobody_else_is() {
        let (hub, asha) = (Arc::new(Hub::new()), UserId::generate());
        let (mut slow, mut quick) = (hub.enter(asha).unwrap(), hub.enter(asha).unwrap());
        for _ in 0..HELD + 2 {
            hub.tell(asha, news());
            assert!(matches!(quick.next().await, Signal::News(_)));
        }
        for _ in 0..HELD {
            assert!(matches!(slow.next().await, Signal::News(_)));
            hub.tell(asha, news());
        }
        assert!(matches!(slow.next().await, Signal::LookUp), "nothing that came after the gap is told before it");
        hub.tell(asha, news());
        assert!(matches!(slow.next().await, Signal::News(_)), "from then on it is told again");
        drop((slow, quick));
        assert!(hub.seats().of.is_empty(), "nothing is left behind");
    }

    #[test]
    fn a_shopper_has_a_bounded_number_of_sockets() {
        let (hub, asha) = (Arc::new(Hub::new()), UserId::generate());
        let mut seats: Vec<_> = (0..MOST).map(|_| hub.enter(asha).unwrap()).collect();
        assert!(hub.enter(asha).is_none());
        seats.pop();
        assert!(hub.enter(asha).is_some());
    }
}
