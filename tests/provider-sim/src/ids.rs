//! Ids in the providers' forms, drawn from the seed.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The one source of chance.
#[derive(Debug)]
pub(crate) struct Ids {
    rng: StdRng,
}

impl Ids {
    /// Starts the sequence that belongs to `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed) }
    }

    /// `length` letters and digits.
    pub(crate) fn base62(&mut self, length: usize) -> String {
        self.draw(BASE62, length)
    }

    /// `length` lower-case hexadecimal digits.
    pub(crate) fn hex(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length.div_ceil(2)];
        self.rng.fill(bytes.as_mut_slice());
        let mut text = hex::encode(bytes);
        text.truncate(length);
        text
    }

    /// A Razorpay id: prefix and 14 letters and digits.
    pub(crate) fn razorpay(&mut self, prefix: &str) -> String {
        format!("{prefix}_{}", self.base62(14))
    }

    /// `digits` decimal digits, the first of them not 0.
    pub(crate) fn digits(&mut self, digits: usize) -> String {
        let first = self.draw(b"123456789", digits.min(1));
        first + &self.draw(b"0123456789", digits.saturating_sub(1))
    }

    /// A number within `low..=high`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.rng.random_range(low..=high.max(low))
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability.clamp(0.0, 1.0))
    }

    fn draw(&mut self, alphabet: &[u8], length: usize) -> String {
        let rng = &mut self.rng;
        (0..length)
            .filter_map(|_| alphabet.get(rng.random_range(0..alphabet.len())))
            .map(|byte| char::from(*byte))
            .collect()
    }
}
