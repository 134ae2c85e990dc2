//! Sums over what flows by.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzDecoder;
use sha2::{Digest as _, Sha256};

/// SHA-256 and the number of lines of what it was given.
#[derive(Clone, Default)]
pub(super) struct Sum {
    hash: Sha256,
    lines: i64,
}

impl Sum {
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        let lines = bytes.split(|byte| *byte == b'\n').count() - 1;
        self.lines += i64::try_from(lines).unwrap_or(i64::MAX);
    }

    pub(super) const fn lines(&self) -> i64 {
        self.lines
    }

    pub(super) fn hex(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }
}

/// Unpacks what it was given and keeps the sum of it.
pub(super) struct Unpacked {
    gzip: GzDecoder<Vec<u8>>,
    sum: Sum,
}

impl Unpacked {
    pub(super) fn new() -> Self {
        Self { gzip: GzDecoder::new(Vec::new()), sum: Sum::default() }
    }

    pub(super) fn write(&mut self, packed: &[u8]) -> io::Result<()> {
        self.gzip.write_all(packed)
    }

    /// What was unpacked since the last call.
    pub(super) fn rows(&mut self) -> Bytes {
        let rows = std::mem::take(self.gzip.get_mut());
        self.sum.take(&rows);
        rows.into()
    }

    /// The rest. Fails when the end is not there.
    pub(super) fn end(&mut self) -> io::Result<Bytes> {
        self.gzip.try_finish()?;
        Ok(self.rows())
    }

    pub(super) const fn sum(&self) -> &Sum {
        &self.sum
    }
}
