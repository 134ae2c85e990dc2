//! Sitemaps as sitemaps.org describes them: files of at most 50,000 addresses and 50 MB, compressed, and an index over
//! them. Nothing is held in memory but a piece of the file being written.
//!
//! The files of each run have names of their own. The index is written last and in one go, and it is the index that
//! crawlers are told: until then the old ones stand, also when the run is killed in its middle.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use object_store::buffered::BufWriter;
use quick_xml::escape::escape;
use tokio::io::AsyncWriteExt as _;
use url::Url;

use crate::depot::Depot;

/// The name that is told to crawlers.
pub(crate) const INDEX: &str = "sitemap.xml";
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const SPACE: &str = "http://www.sitemaps.org/schemas/sitemap/0.9";
const FOOT: &str = "</urlset>\n";
/// How much compressed text is gathered before it is handed on.
const PIECE: usize = 64 * 1024;

/// How much a file may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) urls: usize,
    pub(crate) bytes: usize,
}

/// What the protocol allows, before compression.
pub(crate) const PROTOCOL: Limits = Limits { urls: 50_000, bytes: 50 * 1024 * 1024 };

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) urls: usize,
    pub(crate) files: usize,
}

struct File {
    name: String,
    gzip: GzEncoder<Vec<u8>>,
    target: BufWriter,
    urls: usize,
    bytes: usize,
    changed_at: Option<DateTime<Utc>>,
}

/// Writes the files of one run.
pub(crate) struct Sitemaps<'a> {
    depot: &'a Depot,
    /// Where the files are read.
    files_url: &'a Url,
    generation: String,
    limits: Limits,
    open: Option<File>,
    done: Vec<(String, Option<DateTime<Utc>>)>,
    urls: usize,
}

impl<'a> Sitemaps<'a> {
    /// Begins the files of a run; `generation` is part of their names.
    pub(crate) fn begin(depot: &'a Depot, files_url: &'a Url, generation: String, limits: Limits) -> Self {
        Self { depot, files_url, generation, limits, open: None, done: Vec::new(), urls: 0 }
    }

    /// Adds an address.
    pub(crate) async fn add(&mut self, url: &Url, changed_at: Option<DateTime<Utc>>) -> anyhow::Result<()> {
        let lastmod = changed_at.map(|at| format!("<lastmod>{}</lastmod>", written(at))).unwrap_or_default();
        let entry = format!("<url><loc>{}</loc>{lastmod}</url>\n", escape(url.as_str()));
        let full =
            |file: &File| file.urls >= self.limits.urls || file.bytes + entry.len() + FOOT.len() > self.limits.bytes;
        if self.open.as_ref().is_some_and(full) {
            self.close().await?;
        }
        let mut file = match self.open.take() {
            Some(file) => file,
            None => self.next_file()?,
        };
        file.write(&entry).await?;
        file.urls += 1;
        file.changed_at = file.changed_at.max(changed_at);
        self.open = Some(file);
        self.urls += 1;
        Ok(())
    }

    fn next_file(&self) -> anyhow::Result<File> {
        let name = format!("sitemap-{}-{:05}.xml.gz", self.generation, self.done.len() + 1);
        let target = self.depot.writer(&name);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let head = format!("{HEAD}<urlset xmlns=\"{SPACE}\">\n");
        gzip.write_all(head.as_bytes()).context("a sitemap could not be begun")?;
        Ok(File { name, gzip, target, urls: 0, bytes: head.len(), changed_at: None })
    }

    async fn close(&mut self) -> anyhow::Result<()> {
        let Some(mut file) = self.open.take() else { return Ok(()) };
        file.write(FOOT).await?;
        let File { name, gzip, mut target, changed_at, .. } = file;
        let rest = gzip.finish().context("a sitemap could not be compressed")?;
        let ended = async {
            target.write_all(&rest).await?;
            target.shutdown().await
        };
        ended.await.with_context(|| format!("{name} could not be written"))?;
        self.done.push((name, changed_at));
        Ok(())
    }

    /// Ends the last file and gives the index, which is to be written when the run is sure to be the right one.
    pub(crate) async fn end(mut self) -> anyhow::Result<(String, Written)> {
        self.close().await?;
        let mut text = format!("{HEAD}<sitemapindex xmlns=\"{SPACE}\">\n");
        for (name, changed_at) in &self.done {
            let url = self.files_url.join(name).with_context(|| format!("{name} has no address"))?;
            let lastmod = changed_at.map(|at| format!("<lastmod>{}</lastmod>", written(at))).unwrap_or_default();
            let _ = writeln!(text, "<sitemap><loc>{}</loc>{lastmod}</sitemap>", escape(url.as_str()));
        }
        text.push_str("</sitemapindex>\n");
        Ok((text, Written { urls: self.urls, files: self.done.len() }))
    }
}

impl File {
    async fn write(&mut self, text: &str) -> anyhow::Result<()> {
        self.gzip.write_all(text.as_bytes()).context("a sitemap could not be compressed")?;
        self.bytes += text.len();
        if self.gzip.get_ref().len() >= PIECE {
            let piece = std::mem::take(self.gzip.get_mut());
            self.target.write_all(&piece).await.with_context(|| format!("{} could not be written", self.name))?;
        }
        Ok(())
    }
}

/// The names of the files that an index leads to.
pub(crate) fn files_of(index: &str) -> Vec<String> {
    let names = index.split("<loc>").skip(1).filter_map(|rest| rest.split_once("</loc>")?.0.rsplit_once('/'));
    names.map(|(_, name)| name.to_owned()).collect()
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests;
