//! What a thread has looked up lately, as much of it as it may keep.
//!
//! Beyond that each new one takes the place of one that was not asked for since the hand last came by (the clock of page caches):
//! what is asked for again and again stays, whatever else comes once, and nothing has to be thrown away all at once.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Values by key, `most` of them.
pub(crate) struct Recent<K, V> {
    most: usize,
    places: HashMap<K, usize, foldhash::fast::RandomState>,
    slots: Vec<Slot<K, V>>,
    /// Where the next one to go is looked for.
    hand: usize,
}

struct Slot<K, V> {
    key: K,
    value: V,
    /// Whether it was asked for since the hand last came by.
    asked: bool,
}

impl<K: Eq + Hash + Clone, V> Recent<K, V> {
    /// Room for `most`, at least one; it is taken as it is needed.
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), places: HashMap::default(), slots: Vec::new(), hand: 0 }
    }

    /// What is kept under `key`.
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let slot = self.slots.get_mut(*self.places.get(key)?)?;
        slot.asked = true;
        Some(&slot.value)
    }

    /// Keeps `value` under `key`, instead of what was there.
    pub(crate) fn put(&mut self, key: K, value: V) {
        let slot = Slot { key: key.clone(), value, asked: false };
        let place = match self.places.get(&key).copied() {
            Some(place) => place,
            None if self.slots.len() < self.most => self.slots.len(),
            None => self.clear_place(),
        };
        match self.slots.get_mut(place) {
            Some(old) => *old = slot,
            None => self.slots.push(slot),
        }
        self.places.insert(key, place);
    }

    /// The place of one that nobody asked for lately. After one round at the latest there is one.
    fn clear_place(&mut self) -> usize {
        loop {
            let place = self.hand;
            self.hand = (place + 1) % self.most;
            match self.slots.get_mut(place) {
                Some(slot) if slot.asked => slot.asked = false,
                Some(slot) => {
                    self.places.remove(&slot.key);
                    return place;
                }
                None => return place,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_while_others_come_and_go() {
        let mut recent = Recent::new(100);
        (0..10).for_each(|number| recent.put(number, number));
        for number in 10..10_000 {
            let asked = number % 10;
            assert_eq!(recent.get(&asked), Some(&asked), "after {number}");
            recent.put(number, number);
            assert!(recent.slots.len() <= 100 && recent.places.len() == recent.slots.len());
        }
        // Of those that came once the last ones are there.
        assert_eq!(recent.get(&5_000), None);
        assert_eq!((0..10_000).filter(|number| recent.get(number).is_some()).count(), 100);
    }

    #[test]
    fn a_new_one_costs_one_old_one_and_not_all() {
        let mut recent = Recent::new(1_000);
        (0..1_000).for_each(|number| recent.put(number, ()));
        recent.put(1_000, ());
        assert_eq!((0..=1_000).filter(|number| recent.get(number).is_some()).count(), 1_000);
    }

    #[test]
    fn what_is_put_again_takes_its_own_place() {
        let mut recent = Recent::new(2);
        for value in 0..10 {
            recent.put("a", value);
            recent.put("b", -value);
        }
        assert_eq!(recent.get("a"), Some(&9));
        assert_eq!(recent.slots.len(), 2);
        recent.put("c", 7);
        let found = ["a", "b", "c"].map(|key| recent.get(key).copied());
        assert_eq!(found, [Some(9), None, Some(7)]);
    }
}
