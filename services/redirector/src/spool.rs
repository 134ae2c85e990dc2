//! Clicks that Redis could not take, on the local disk until it can.
//!
//! An append-only file of framed, checksummed records, cut into segments. A thread of its own writes: everything that
//! waits is written together and synced once, and only then are those who wait told. The folder has slots, each locked
//! by one process, so replicas may share it; what a process left behind is taken over by the next one that starts.

mod frame;
mod replay;
mod writer;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use tokio::sync::{Notify, oneshot};

pub(crate) use replay::replay;

use crate::records::Records;

/// Why clicks could not be spooled.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum SpoolError {
    #[error("the spool is full ({0} bytes)")]
    Full(u64),
    #[error("the spool cannot be written: {0}")]
    Io(Arc<io::Error>),
    #[error("the spool's writer has ended")]
    Ended,
    #[error("every slot of the spool's folder is in use")]
    NoSlot,
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// What waits in the spool.
#[derive(Debug, Default)]
pub(crate) struct Level {
    bytes: AtomicU64,
    records: AtomicU64,
    damaged: AtomicU64,
}

impl Level {
    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Clicks that wait for Redis.
    pub(crate) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Files set aside because something in them was not as written.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: u64, records: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
    }

    fn take(&self, bytes: u64, records: u64) {
        let less = |by: u64| move |old: u64| Some(old.saturating_sub(by));
        let _always = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less(bytes));
        let _always = self.records.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less(records));
    }
}

/// Records to write together.
struct Append {
    frames: Vec<u8>,
    records: u64,
    done: oneshot::Sender<Result<(), SpoolError>>,
}

impl Append {
    fn length(&self) -> u64 {
        u64::try_from(self.frames.len()).unwrap_or(u64::MAX)
    }
}

enum Order {
    Append(Append),
    /// Ends the segment being written, so that it can be replayed; answers with the number of the next one.
    Close(oneshot::Sender<u64>),
}

/// The spool. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Spool {
    folder: Arc<PathBuf>,
    orders: mpsc::Sender<Order>,
    level: Arc<Level>,
    filled: Arc<Notify>,
    _lock: Arc<File>,
}

const SLOTS: u32 = 64;

impl Spool {
    /// Opens a free slot of `folder` and takes over what ended processes left in others. At most `max_bytes` are kept.
    pub(crate) fn open(folder: &Path, max_bytes: u64) -> Result<Self, SpoolError> {
        let slot = |number: u32| folder.join(format!("slot-{number}"));
        let mut own = None;
        for number in 0..SLOTS {
            fs::create_dir_all(slot(number))?;
            if let Some(lock) = lock(&slot(number))? {
                own = Some((slot(number), lock));
                break;
            }
        }
        let (own, lock) = own.ok_or(SpoolError::NoSlot)?;
        let mut next = unused_number(&own)?;
        for left in (0..SLOTS).map(slot).filter(|left| *left != own && left.exists()) {
            next = adopt(&left, &own, next)?;
        }
        let level = Arc::new(Level::default());
        for (_, path) in segments(&own)? {
            let waiting = replay::waiting(&path)?;
            level.add(waiting.bytes, waiting.records);
        }
        let (orders, inbox) = mpsc::channel();
        let writer = writer::Writer::new(own.clone(), next, max_bytes, level.clone());
        std::thread::Builder::new().name("spool".to_owned()).spawn(move || writer.run(&inbox))?;
        let filled = Arc::new(Notify::new());
        Ok(Self { folder: Arc::new(own), orders, level, filled, _lock: Arc::new(lock) })
    }

    /// Writes records and waits until they are on disk.
    pub(crate) async fn append(&self, records: &Records) -> Result<(), SpoolError> {
        let mut frames = Vec::with_capacity(records.size() + records.len() * frame::OVERHEAD);
        records.iter().for_each(|record| frame::write(record, &mut frames));
        let (done, written) = oneshot::channel();
        let records = u64::try_from(records.len()).unwrap_or(u64::MAX);
        self.orders.send(Order::Append(Append { frames, records, done })).map_err(|_gone| SpoolError::Ended)?;
        written.await.map_err(|_gone| SpoolError::Ended)??;
        self.filled.notify_one();
        Ok(())
    }

    /// What waits.
    pub(crate) fn level(&self) -> &Level {
        &self.level
    }

    /// Ends the segment being written; segments below the number returned are written no more.
    async fn close_segment(&self) -> Result<u64, SpoolError> {
        let (done, closed) = oneshot::channel();
        self.orders.send(Order::Close(done)).map_err(|_gone| SpoolError::Ended)?;
        closed.await.map_err(|_gone| SpoolError::Ended)
    }
}

fn lock(slot: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(slot.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Moves the segments of a slot that nobody holds into ours; gives the next free number.
fn adopt(left: &Path, own: &Path, mut next: u64) -> io::Result<u64> {
    let Some(_held_until_moved) = lock(left)? else { return Ok(next) };
    for (_, path) in segments(left)? {
        fs::rename(replay::position_file(&path), replay::position_file(&own.join(segment_name(next))))
            .or_else(absent)?;
        fs::rename(&path, own.join(segment_name(next)))?;
        next += 1;
    }
    Ok(next)
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn segment_name(number: u64) -> String {
    format!("{number:016}.clicks")
}

/// A number above that of every file in a slot: a segment with the number of one that was pushed or set aside would be taken for it.
fn unused_number(slot: &Path) -> io::Result<u64> {
    let mut highest = 0;
    for entry in fs::read_dir(slot)? {
        let path = entry?.path();
        let number: Option<u64> = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        highest = highest.max(number.unwrap_or(0));
    }
    Ok(highest.saturating_add(1))
}

/// The segments of a slot, oldest first.
fn segments(slot: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(slot)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".clicks")?.parse().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found)
}
