//! The thread that writes: everything that waits is one write and one sync.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::{Append, Level, Order, SpoolError, segment_name};

/// A segment is ended when it has grown to this.
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// The most orders that share one sync.
const GROUP: usize = 256;

pub(super) struct Writer {
    slot: PathBuf,
    next: u64,
    max_bytes: u64,
    level: Arc<Level>,
    segment: Option<(File, u64)>,
}

impl Writer {
    pub(super) fn new(slot: PathBuf, next: u64, max_bytes: u64, level: Arc<Level>) -> Self {
        Self { slot, next, max_bytes, level, segment: None }
    }

    /// Works until the last handle on the spool is gone.
    pub(super) fn run(mut self, inbox: &Receiver<Order>) {
        while let Ok(first) = inbox.recv() {
            let mut appends = Vec::new();
            let mut close = None;
            for order in std::iter::once(first).chain(inbox.try_iter()).take(GROUP) {
                match order {
                    Order::Append(append) => appends.push(append),
                    Order::Close(done) => {
                        close = Some(done);
                        break;
                    }
                }
            }
            self.take(appends);
            if let Some(done) = close {
                self.segment = None;
                let _gone = done.send(self.next);
            }
        }
    }

    fn take(&mut self, mut appends: Vec<Append>) {
        let refused = appends.split_off(self.fitting(&appends));
        let outcome = if appends.is_empty() { Ok(()) } else { self.write(&appends) };
        if let Err(error) = &outcome {
            tracing::error!(%error, "clicks cannot be spooled");
        }
        if !refused.is_empty() {
            let bytes = self.level.bytes();
            tracing::error!(spool.bytes = bytes, batches = refused.len(), "the spool is full: clicks are refused");
        }
        // Who no longer waits has gone away with the connection; the click is kept all the same.
        for append in appends {
            let _gone = append.done.send(outcome.clone());
        }
        for append in refused {
            let _gone = append.done.send(Err(SpoolError::Full(self.max_bytes)));
        }
    }

    fn fitting(&self, appends: &[Append]) -> usize {
        let mut bytes = self.level.bytes();
        let fits = |append: &&Append| {
            bytes = bytes.saturating_add(append.length());
            bytes <= self.max_bytes
        };
        appends.iter().take_while(fits).count()
    }

    fn write(&mut self, appends: &[Append]) -> Result<(), SpoolError> {
        let (mut file, length) = match self.segment.take() {
            Some((file, length)) if length < SEGMENT_BYTES => (file, length),
            _ => (self.begin_segment()?, 0),
        };
        if let Err(error) = appends.iter().try_for_each(|append| file.write_all(&append.frames)) {
            // A full disk took a part. The segment ends again where it did: a torn end would keep room, and each further
            // attempt would leave a file.
            if file.set_len(length).is_ok() {
                self.segment = Some((file, length));
            }
            return Err(error.into());
        }
        // Where this fails, what the file now ends with is unknown; a new one begins clean.
        file.sync_data()?;
        let bytes = appends.iter().map(Append::length).sum();
        self.level.add(bytes, appends.iter().map(|append| append.records).sum());
        self.segment = Some((file, length + bytes));
        Ok(())
    }

    fn begin_segment(&mut self) -> Result<File, SpoolError> {
        let path = self.slot.join(segment_name(self.next));
        self.next += 1;
        let file = OpenOptions::new().create_new(true).append(true).open(path)?;
        // The file's name must outlive a power cut too.
        File::open(&self.slot)?.sync_all()?;
        Ok(file)
    }
}
