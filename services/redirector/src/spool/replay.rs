//! Takes the spool's clicks to Redis, in order, as soon as Redis is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::job::Queue;
use queue::Producer;
use tokio_util::sync::CancellationToken;

use super::{Spool, absent, frame, segments};
use crate::ship::Health;

/// How many clicks are pushed at once.
const CHUNK: usize = 500;
const RETRY: Duration = Duration::from_millis(500);
/// How often an empty spool is looked at, in case a signal was missed.
const IDLE: Duration = Duration::from_secs(10);

/// What is still to be pushed of a segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) bytes: u64,
    pub(super) records: u64,
}

/// Replays until `end`. A click that was pushed but not yet noted as pushed when the process is killed is pushed again;
/// Postgres keeps it once, by its id.
pub(crate) async fn replay(spool: Spool, producer: Producer, health: Arc<Health>, end: CancellationToken) {
    // What an ended process left may have no whole click in it. It is looked at all the same, or it would lie there for good.
    let mut is_left_over = true;
    loop {
        if (is_left_over || spool.level().records() > 0) && !health.is_down() {
            match pass(&spool, &producer, &end).await {
                Ok(clicks) => {
                    is_left_over = false;
                    if clicks > 0 {
                        tracing::info!(clicks, "spooled clicks are in Redis");
                    }
                }
                Err(error) => {
                    let chain = format!("{error:#}");
                    tracing::warn!(error.chain = chain, "the spool could not be replayed; it is tried again");
                }
            }
        }
        let wait = if spool.level().records() > 0 { RETRY } else { IDLE };
        tokio::select! {
            () = end.cancelled() => return,
            () = spool.filled.notified() => tokio::time::sleep(RETRY).await,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn pass(spool: &Spool, producer: &Producer, end: &CancellationToken) -> anyhow::Result<u64> {
    let open_from = spool.close_segment().await?;
    let folder = spool.folder.clone();
    let found = tokio::task::spawn_blocking(move || segments(&folder)).await??;
    let mut pushed = 0;
    for (_, path) in found.into_iter().take_while(|(number, _)| *number < open_from) {
        let file = path.clone();
        let Segment { bytes, mut offset, records, clean } =
            tokio::task::spawn_blocking(move || Segment::read(&file)).await??;
        for chunk in records.chunks(CHUNK) {
            if end.is_cancelled() {
                return Ok(pushed);
            }
            producer.push_bodies(Queue::Clicks, false, chunk).await?;
            let length: usize = chunk.iter().map(|record| record.len() + frame::OVERHEAD).sum();
            offset += length;
            // A full disk has no room for it. Then the segment is pushed from the start after a kill, which is harmless;
            // to push it again and again until there is room would be not.
            if let Err(error) = tokio::fs::write(position_file(&path), offset.to_string()).await {
                tracing::warn!(%error, "how far a spool segment has been pushed cannot be noted");
            }
            spool.level().take(number(length), number(chunk.len()));
            pushed += number(chunk.len());
        }
        if clean {
            tokio::fs::remove_file(&path).await?;
        } else {
            // The torn end of a killed process was never acknowledged; anything else is for a person to look at.
            let aside = path.with_extension("damaged");
            tracing::error!(file = %aside.display(), offset, "the rest of a spool segment is not as written and is set aside");
            tokio::fs::rename(&path, aside).await?;
            spool.level().damaged.fetch_add(1, Ordering::Relaxed);
            spool.level().take(number(bytes.saturating_sub(offset)), 0);
        }
        tokio::fs::remove_file(position_file(&path)).await.or_else(absent)?;
    }
    Ok(pushed)
}

/// A segment as it lies on the disk.
struct Segment {
    bytes: usize,
    /// How far it has been pushed.
    offset: usize,
    /// What is to be pushed.
    records: Vec<Vec<u8>>,
    /// Whether the file ends with the last of them.
    clean: bool,
}

impl Segment {
    /// Reads it, on a thread that may wait for a disk.
    fn read(path: &Path) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let offset = position(path);
        let (records, clean) = records(&bytes, offset);
        Ok(Self { bytes: bytes.len(), offset, records, clean })
    }
}

/// The records from `offset` on, and whether the file ends with the last of them.
fn records(bytes: &[u8], offset: usize) -> (Vec<Vec<u8>>, bool) {
    let mut rest = bytes.get(offset..).unwrap_or_default();
    let mut found = Vec::new();
    while let Some((record, behind)) = frame::read(rest) {
        found.push(record.to_vec());
        rest = behind;
    }
    (found, rest.is_empty())
}

/// What waits in a segment.
pub(super) fn waiting(path: &Path) -> io::Result<Waiting> {
    let Segment { bytes, offset, records, .. } = Segment::read(path)?;
    Ok(Waiting { bytes: number(bytes.saturating_sub(offset)), records: number(records.len()) })
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The file that says how far a segment has been pushed.
pub(super) fn position_file(segment: &Path) -> PathBuf {
    segment.with_extension("pushed")
}

/// How far a segment has been pushed; from the start when that cannot be told.
fn position(segment: &Path) -> usize {
    fs::read_to_string(position_file(segment)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
