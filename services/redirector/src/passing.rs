//! What is remembered until it is over. Nothing ends by itself: what is over is thrown out when there is much of it.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::RandomState;

/// Values by key, each of which is over some time.
pub(crate) struct Passing<K, V> {
    values: HashMap<K, V, RandomState>,
    /// Of fewer than these nothing is thrown out.
    least: usize,
    sweep_at: usize,
}

impl<K: Eq + Hash, V> Passing<K, V> {
    /// Nothing yet.
    pub(crate) fn new(least: usize) -> Self {
        Self { values: HashMap::default(), least, sweep_at: least }
    }

    /// All of them; without those that are over, if there are many.
    pub(crate) fn swept(&mut self, is_over: impl Fn(&V) -> bool) -> &mut HashMap<K, V, RandomState> {
        if self.values.len() >= self.sweep_at {
            self.values.retain(|_, value| !is_over(value));
            // Twice what is left: sweeping stays cheap however much that is.
            self.sweep_at = self.least.max(self.values.len().saturating_mul(2));
            self.values.shrink_to(self.sweep_at);
        }
        &mut self.values
    }

    /// The one under `key`.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.values.get_mut(key)
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn sweeping_stays_cheap_while_nothing_is_over_and_then_all_goes() {
        let (mut passing, looks) = (Passing::new(10), Cell::new(0));
        for number in 0..10_240 {
            let is_over = |_: &i32| {
                looks.set(looks.get() + 1);
                false
            };
            passing.swept(is_over).insert(number, number);
        }
        assert!(looks.get() < 2 * 10_240, "{} looks", looks.get());
        assert!(passing.swept(|_| true).is_empty());
    }
}
