//! Months of a log as files: the rows, compressed, and beside them a manifest that says what they must come to.
//!
//! A month is verified by reading its file back and comparing it with the manifest. The manifest is written after the
//! file, so a run that was killed in its middle leaves nothing that looks whole.

mod check;

use std::io::Write as _;
use std::pin::pin;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use store::{Client, Transaction, archive};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc::Sender;

use self::check::{Sum, Unpacked};
use crate::depot::Depot;

/// How much compressed text is gathered before it is handed on.
const PIECE: usize = 256 * 1024;

/// What a file must come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) table: String,
    pub(crate) partition: String,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: i64,
    /// Of the file as it lies there.
    pub(crate) file_sha256: String,
    /// Of the rows in it.
    pub(crate) rows_sha256: String,
    pub(crate) archived_at: DateTime<Utc>,
}

/// Archived months in one place.
pub(crate) struct Archive {
    depot: Depot,
}

impl Archive {
    pub(crate) const fn new(depot: Depot) -> Self {
        Self { depot }
    }

    /// Writes a partition's rows and manifest, unless they are there.
    pub(crate) async fn keep(
        &self,
        client: &Client,
        table: &str,
        partition: &str,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Manifest> {
        let columns = archive::columns(client, partition).await?;
        let file = rows_file(partition);
        let mut target = self.depot.writer(&file);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let (mut packed, mut content) = (Sum::default(), Sum::default());
        let mut rows = pin!(archive::copy_out(client, table, partition, &columns).await?);
        while let Some(row) = rows.try_next().await? {
            content.take(&row);
            gzip.write_all(&row).context("rows could not be compressed")?;
            if gzip.get_ref().len() >= PIECE {
                let piece = std::mem::take(gzip.get_mut());
                packed.take(&piece);
                target.write_all(&piece).await.with_context(|| format!("{file} could not be written"))?;
            }
        }
        let rest = gzip.finish().context("rows could not be compressed")?;
        packed.take(&rest);
        let ended = async {
            target.write_all(&rest).await?;
            target.shutdown().await
        };
        ended.await.with_context(|| format!("{file} could not be written"))?;
        let manifest = Manifest {
            table: table.to_owned(),
            partition: partition.to_owned(),
            columns,
            rows: content.lines(),
            file_sha256: packed.hex(),
            rows_sha256: content.hex(),
            archived_at: now,
        };
        self.depot.put(&manifest_file(partition), serde_json::to_vec_pretty(&manifest)?).await?;
        Ok(manifest)
    }

    /// What a month must come to; `None` when it is not there.
    pub(crate) async fn manifest(&self, partition: &str) -> anyhow::Result<Option<Manifest>> {
        let Some(text) = self.depot.read_all(&manifest_file(partition)).await? else { return Ok(None) };
        Ok(Some(serde_json::from_slice(&text).with_context(|| format!("the manifest of {partition} is unreadable"))?))
    }

    /// Reads a month back. An error says what is not as its manifest has it.
    pub(crate) async fn verify(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let mut unpacked = Unpacked::new();
        self.pieces(manifest, &mut unpacked, None).await
    }

    /// The names of all months, in order.
    pub(crate) async fn months(&self) -> anyhow::Result<Vec<String>> {
        let names = self.depot.names().await?;
        Ok(names.iter().filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect())
    }

    /// Puts a month's rows back into their partition, which must be empty or gone.
    pub(crate) async fn restore(&self, transaction: &Transaction<'_>, manifest: &Manifest) -> anyhow::Result<u64> {
        let Manifest { table, partition, columns, .. } = manifest;
        let first = month_of(table, partition).with_context(|| format!("{partition} is no month of {table}"))?;
        let made = archive::ensure_partition(transaction, table, first).await?;
        ensure!(made || archive::lock_and_count(transaction, table, partition).await? == 0, "{partition} holds rows");
        let (pieces, received) = tokio::sync::mpsc::channel::<anyhow::Result<Bytes>>(4);
        let received = futures_util::stream::unfold(received, |mut received| async move {
            let piece = received.recv().await?;
            Some((piece, received))
        });
        let reading = async move {
            let mut unpacked = Unpacked::new();
            if let Err(error) = self.pieces(manifest, &mut unpacked, Some(&pieces)).await {
                // Then the rows that were put in are not kept.
                let _postgres_refused_before = pieces.send(Err(error)).await;
            }
        };
        let writing = archive::copy_in(transaction, (table, partition), columns, received);
        let ((), written) = tokio::join!(reading, writing);
        let rows = written.with_context(|| format!("{partition} could not be restored"))?;
        ensure!(i64::try_from(rows) == Ok(manifest.rows), "{rows} rows were restored, expected {}", manifest.rows);
        Ok(rows)
    }

    /// Reads a month's file piece by piece and hands on the rows in it, if somebody wants them; fails at the end when a sum is
    /// wrong.
    async fn pieces(
        &self,
        manifest: &Manifest,
        unpacked: &mut Unpacked,
        to: Option<&Sender<anyhow::Result<Bytes>>>,
    ) -> anyhow::Result<()> {
        let file = rows_file(&manifest.partition);
        let mut packed = Sum::default();
        let mut read = self.depot.read(&file).await?.with_context(|| format!("{file} is not there"))?;
        while let Some(piece) = read.try_next().await.with_context(|| format!("{file} could not be read"))? {
            packed.take(&piece);
            unpacked.write(&piece).with_context(|| format!("{file} is damaged"))?;
            hand_on(unpacked.rows(), to).await?;
        }
        let rows = unpacked.end().with_context(|| format!("{file} is cut off"))?;
        hand_on(rows, to).await?;
        ensure!(packed.hex() == manifest.file_sha256, "{file} is not what was written");
        ensure!(unpacked.sum().lines() == manifest.rows, "{file} does not hold the rows that were written");
        ensure!(unpacked.sum().hex() == manifest.rows_sha256, "the rows in {file} are not those that were written");
        Ok(())
    }
}

async fn hand_on(rows: Bytes, to: Option<&Sender<anyhow::Result<Bytes>>>) -> anyhow::Result<()> {
    match to {
        Some(to) if !rows.is_empty() => to.send(Ok(rows)).await.context("Postgres takes no more rows"),
        _ => Ok(()),
    }
}

fn rows_file(partition: &str) -> String {
    format!("{partition}.copy.gz")
}

fn manifest_file(partition: &str) -> String {
    format!("{partition}.json")
}

/// The first day of the month of the partition `<table>_YYYY_MM`.
pub(crate) fn month_of(table: &str, partition: &str) -> Option<NaiveDate> {
    let month = partition.strip_prefix(table)?.strip_prefix('_')?;
    NaiveDate::parse_from_str(&format!("{month}_01"), "%Y_%m_%d").ok()
}
