//! What goes to Redis together: clicks, and what it is told of clients.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Waker;

use super::Outcome;
use crate::client::Client;
use crate::limit::Allowance;
use crate::records::Records;

#[derive(Default)]
pub(super) struct Batch {
    pub(super) records: Records,
    pub(super) counts: HashMap<Client, Count, foldhash::fast::RandomState>,
    pub(super) arrival: Rc<Arrival>,
}

/// What a batch tells Redis of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) ends_ms: u64,
    pub(super) clicks: u32,
    /// Whether the counter is told when to go.
    pub(super) expires: bool,
}

#[derive(Default)]
pub(super) struct Arrival {
    pub(super) outcome: Cell<Option<Outcome>>,
    pub(super) waiting: RefCell<Vec<Waker>>,
}

impl Batch {
    pub(super) fn tell(&mut self, client: Client, allowance: Allowance) {
        if allowance.told > 0 {
            self.count(client, allowance.ends_ms, allowance.told, allowance.opens);
        }
    }

    /// Adds to what is told of a client in the window that ends at `ends_ms`. The next window takes the place of the one before;
    /// what is heard late of the one before changes nothing in the next.
    pub(super) fn count(&mut self, client: Client, ends_ms: u64, clicks: u32, expires: bool) {
        let entry = self.counts.entry(client).or_insert(Count { ends_ms, clicks: 0, expires: false });
        if ends_ms < entry.ends_ms {
            return;
        }
        if ends_ms > entry.ends_ms {
            *entry = Count { ends_ms, clicks: 0, expires: false };
        }
        entry.clicks += clicks;
        entry.expires |= expires;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.counts.is_empty()
    }

    /// Empties it for others; who waits for these has the arrival.
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.counts.clear();
        self.arrival = Rc::default();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const CLIENT: Client = Client::V4(Ipv4Addr::LOCALHOST);

    fn told(counts: &[(u64, u32, bool)]) -> Count {
        let mut batch = Batch::default();
        counts.iter().for_each(|(ends_ms, clicks, expires)| batch.count(CLIENT, *ends_ms, *clicks, *expires));
        batch.counts[&CLIENT]
    }

    #[test]
    fn clicks_of_a_window_are_told_together_and_the_next_window_begins_anew() {
        assert_eq!(told(&[(60_000, 5, true), (60_000, 1, false)]), Count { ends_ms: 60_000, clicks: 6, expires: true });
        let next = told(&[(60_000, 5, true), (120_000, 1, false)]);
        assert_eq!(next, Count { ends_ms: 120_000, clicks: 1, expires: false });
    }

    #[test]
    fn what_is_heard_late_of_the_last_window_takes_nothing_from_the_next() {
        let late = told(&[(120_000, 5, true), (60_000, 0, true), (120_000, 1, false)]);
        assert_eq!(late, Count { ends_ms: 120_000, clicks: 6, expires: true });
        let not_opened_here = told(&[(120_000, 1, false), (60_000, 0, true)]);
        assert_eq!(not_opened_here, Count { ends_ms: 120_000, clicks: 1, expires: false });
    }
}
