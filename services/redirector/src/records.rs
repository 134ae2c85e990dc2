//! Clicks that wait for the same round trip, one after the other in one piece of memory.

/// Several records. Emptied, it keeps its room for the next ones.
#[derive(Debug, Default)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

/// More room than this is given back: a stall must not be paid for in memory for ever.
const KEPT: usize = 256 << 10;

impl Records {
    /// Adds what `write` appends.
    pub(crate) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of all of them.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Each of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| self.bytes.get(begin..*end).unwrap_or_default())
    }

    /// Forgets them.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_as_they_went_in() {
        let mut records = Records::default();
        assert!(records.is_empty() && records.iter().next().is_none());
        for text in ["one", "", "three"] {
            records.add(|into| into.extend_from_slice(text.as_bytes()));
        }
        assert_eq!(records.iter().collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        assert_eq!((records.len(), records.size()), (3, 8));
        records.clear();
        records.add(|into| into.resize(KEPT * 2, 7));
        assert_eq!(records.iter().map(<[u8]>::len).collect::<Vec<_>>(), [KEPT * 2]);
        records.clear();
        assert!(records.is_empty() && records.bytes.capacity() <= KEPT);
    }
}
