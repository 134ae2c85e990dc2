//! How many clicks a client has left in its minute.
//!
//! The count is kept in this process, where it is decided without waiting, and in Redis at
//! `ratelimit:redirect:{client}`, where all replicas add up. Nearly every client clicks once or twice a minute and comes
//! nowhere near the limit, so Redis hears of a client only when a twentieth of the limit is used up here, and then of all of it.
//! From there on a request's count travels to Redis together with its click; the reply tells what the other replicas have
//! counted. So the limit is exact within a process, and off by at most what each other replica has not told yet (less than
//! a twentieth) or has in hand during one round trip.
//!
//! A client's window is a minute by the clock, shifted by a hash of the client so that not all begin at once. Every
//! replica computes the same window, so a key's expiry is the same whoever sets it; a process sets it once a window.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::client::Client;
use crate::passing::Passing;

/// The length of a window, in milliseconds.
pub(crate) const WINDOW_MS: u64 = 60_000;
const SHARDS: u64 = 64;
/// Redis hears of a client when this part of the limit is used up.
const UNTOLD_SHARE: u32 = 20;
/// A shard that has grown beyond this throws out what is over before it grows further.
const SWEEP_AT: usize = 1_024;

/// What a client may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Whether this request is within the limit.
    pub(crate) allowed: bool,
    /// How many more requests are within it.
    pub(crate) remaining: u32,
    /// How far this one is beyond it; 0 when allowed.
    pub(crate) over: u32,
    /// When the window ends, in milliseconds since the Unix epoch.
    pub(crate) ends_ms: u64,
    /// How many clicks of this client Redis is told of with this one; 0 as long as they are few.
    pub(crate) told: u32,
    /// Whether Redis is told for the first time in the window, by this process.
    pub(crate) opens: bool,
}

#[derive(Clone, Copy)]
struct Window {
    ends_ms: u64,
    /// Counted in this process.
    ours: u32,
    /// Counted elsewhere, as far as we have heard.
    others: u32,
}

/// Counts clients, for all threads of the process.
pub(crate) struct Limiter {
    limit: u32,
    /// The click of a client's window with which Redis begins to hear of it.
    told_from: u32,
    shards: Vec<Mutex<Passing<Client, Window>>>,
    hasher: foldhash::fast::FixedState,
}

impl Limiter {
    /// A limiter that allows `limit` requests a window.
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit,
            told_from: (limit / UNTOLD_SHARE).max(1),
            shards: (0..SHARDS).map(|_| Mutex::new(Passing::new(SWEEP_AT))).collect(),
            // Fixed, so that all replicas shift a client's window alike.
            hasher: foldhash::fast::FixedState::with_seed(0x7265_6469_7265_6374),
        }
    }

    /// The limit.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Counts a request of `client` at `now_ms`.
    pub(crate) fn count(&self, client: Client, now_ms: u64) -> Allowance {
        let hash = self.hash(client);
        let ends_ms = window_end(hash, now_ms);
        let Some(mut shard) = self.shard(hash) else {
            return Allowance { allowed: true, remaining: 0, over: 0, ends_ms, told: 1, opens: true };
        };
        let windows = shard.swept(|window| window.ends_ms <= now_ms);
        let window = windows.entry(client).or_insert(Window { ends_ms, ours: 0, others: 0 });
        if window.ends_ms != ends_ms {
            *window = Window { ends_ms, ours: 0, others: 0 };
        }
        window.ours = window.ours.saturating_add(1);
        let counted = window.ours.saturating_add(window.others);
        Allowance {
            allowed: counted <= self.limit,
            remaining: self.limit.saturating_sub(counted),
            over: counted.saturating_sub(self.limit),
            ends_ms,
            told: match window.ours.cmp(&self.told_from) {
                Ordering::Less => 0,
                Ordering::Equal => self.told_from,
                Ordering::Greater => 1,
            },
            opens: window.ours == self.told_from,
        }
    }

    /// Takes in what Redis says all replicas have counted in the window that ends at `ends_ms`.
    pub(crate) fn heard(&self, client: Client, ends_ms: u64, everywhere: u64) {
        let Some(mut shard) = self.shard(self.hash(client)) else { return };
        if let Some(window) = shard.get_mut(&client).filter(|window| window.ends_ms == ends_ms) {
            // Ours includes what is still on its way to Redis, so this never says more than others really have.
            let others = u32::try_from(everywhere).unwrap_or(u32::MAX).saturating_sub(window.ours);
            window.others = window.others.max(others);
        }
    }

    /// How many clients are remembered.
    #[cfg(test)]
    fn clients(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    fn hash(&self, client: Client) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        match client {
            Client::V4(address) => hasher.write_u32(address.to_bits()),
            Client::V6(prefix) => hasher.write_u64(prefix),
        }
        hasher.finish()
    }

    fn shard(&self, hash: u64) -> Option<MutexGuard<'_, Passing<Client, Window>>> {
        let index = usize::try_from(hash % SHARDS).ok()?;
        Some(self.shards.get(index)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn window_end(hash: u64, now_ms: u64) -> u64 {
    let shift = (hash >> 8) % WINDOW_MS;
    let into = now_ms.wrapping_add(shift) % WINDOW_MS;
    now_ms.saturating_add(WINDOW_MS - into)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    fn client(number: u32) -> Client {
        Client::V4(std::net::Ipv4Addr::from_bits(number))
    }

    #[test]
    fn the_hundred_and_first_request_of_a_minute_is_over() {
        let limiter = Limiter::new(100);
        let start = limiter.count(client(1), NOW).ends_ms;
        for number in 1..=100 {
            let allowance = limiter.count(client(1), start);
            assert!(allowance.allowed && allowance.remaining == 100 - number, "{number} {allowance:?}");
        }
        let over = limiter.count(client(1), start);
        assert_eq!((over.allowed, over.remaining, over.over, over.ends_ms), (false, 0, 1, start + WINDOW_MS));
        assert!(limiter.count(client(2), start).allowed, "another client");
        assert!(limiter.count(client(1), start + WINDOW_MS).allowed, "the next window");
    }

    #[test]
    fn redis_hears_of_a_client_when_a_twentieth_is_used_up_and_then_of_every_click() {
        let limiter = Limiter::new(100);
        let start = limiter.count(client(1), NOW).ends_ms;
        let told: Vec<_> = (0..8).map(|_| limiter.count(client(1), start)).collect();
        assert_eq!(told.iter().map(|one| one.told).collect::<Vec<_>>(), [0, 0, 0, 0, 5, 1, 1, 1]);
        assert_eq!(told.iter().position(|one| one.opens), Some(4));
        assert_eq!(told.iter().filter(|one| one.opens).count(), 1);
        let strict = Limiter::new(3);
        assert_eq!((strict.count(client(1), NOW).told, strict.count(client(1), NOW).told), (1, 1));
    }

    #[test]
    fn what_other_replicas_counted_is_counted() {
        let limiter = Limiter::new(100);
        let first = limiter.count(client(1), NOW);
        limiter.heard(client(1), first.ends_ms, 100);
        assert!(!limiter.count(client(1), NOW).allowed);
        limiter.heard(client(1), first.ends_ms, 2);
        assert!(!limiter.count(client(1), NOW).allowed, "an older reply takes nothing back");
        let other = limiter.count(client(2), NOW);
        limiter.heard(client(2), other.ends_ms - WINDOW_MS, 100);
        assert!(limiter.count(client(2), NOW).allowed, "a reply about the window before");
    }

    #[test]
    fn windows_are_the_same_in_every_replica_and_spread_over_the_minute() {
        let (one, two) = (Limiter::new(1), Limiter::new(1));
        let ends: Vec<_> = (0..1_000).map(|number| one.count(client(number), NOW).ends_ms).collect();
        assert!((0..1_000).all(|number| two.count(client(number), NOW).ends_ms == ends[number as usize]));
        assert!(ends.iter().all(|end| (1..=WINDOW_MS).contains(&(end - NOW))));
        let early = ends.iter().filter(|end| *end - NOW <= WINDOW_MS / 2).count();
        assert!((400..600).contains(&early), "{early}");
    }

    #[test]
    fn clients_that_are_gone_are_forgotten() {
        let limiter = Limiter::new(100);
        for number in 0..500_000 {
            limiter.count(client(number), NOW + u64::from(number) * 10);
        }
        // 6,000 of them fall into any one minute.
        assert!(limiter.clients() < 64 * (SWEEP_AT + 1), "{}", limiter.clients());
    }
}
