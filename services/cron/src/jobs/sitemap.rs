//! Tells search engines which pages the shop has.

use std::pin::pin;
use std::str::FromStr;

use anyhow::Context as _;
use async_trait::async_trait;
use config::Reader;
use futures_util::TryStreamExt as _;
use store::{catalogue, cron_runs};
use url::Url;

use crate::depot::{Depot, Place};
use crate::job::{Context, CronJob, Report};
use crate::plan::Plan;
use crate::sitemap::{INDEX, PROTOCOL, Sitemaps, files_of};

pub(crate) struct Sitemap;

/// Which pages there are, and where their sitemaps go.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    place: Place,
    shop: Url,
    files: Url,
    paths: Paths,
}

impl Settings {
    /// Reads `SITEMAP_*`; `None` without a place.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let place = reader.optional_parsed::<Place>(
            "SITEMAP_STORE",
            "where sitemaps are written: a directory or s3://bucket/prefix; without it there are none",
        );
        let shop =
            reader.optional_parsed::<Url>("SITEMAP_BASE_URL", "the shop's address, such as https://shop.example");
        let about = "the address under which crawlers find the files of SITEMAP_STORE; SITEMAP_BASE_URL by default";
        let files = reader.optional_parsed::<Url>("SITEMAP_FILES_URL", about);
        let paths = reader.default(
            "SITEMAP_PATHS",
            Paths::usual(),
            "the pages of each kind, with commas; a kind that is left out has none",
        );
        let place = place?;
        if shop.is_none() {
            reader.problem("SITEMAP_BASE_URL is not set: SITEMAP_STORE needs it");
        }
        let shop = folder(shop?);
        let files = files.map_or_else(|| shop.clone(), folder);
        Some(Self { place, shop, files, paths })
    }
}

/// With a slash at its end, so that names are joined to it.
fn folder(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    url
}

const KINDS: [&str; 3] = ["merchant", "offer", "product"];

/// The path of each kind of page, with `{id}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Paths(Vec<(String, String)>);

impl Paths {
    fn usual() -> Self {
        let usual = |kind: &str, path: &str| (kind.to_owned(), path.to_owned());
        Self(vec![usual("merchant", "stores/{id}"), usual("offer", "offers/{id}"), usual("product", "products/{id}")])
    }

    fn of(&self, kind: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == kind).map(|(_, path)| path.as_str())
    }
}

impl std::fmt::Display for Paths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts: Vec<_> = self.0.iter().map(|(kind, path)| format!("{kind}={path}")).collect();
        f.write_str(&texts.join(","))
    }
}

impl FromStr for Paths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = |text: &str| {
            let (kind, path) = text.trim().split_once('=').ok_or(format!("{text:?} is not kind=path"))?;
            if !KINDS.contains(&kind) || !path.contains("{id}") {
                return Err(format!("{text:?} is not one of {} with a path that has {{id}}", KINDS.join(", ")));
            }
            Ok((kind.to_owned(), path.trim_start_matches('/').to_owned()))
        };
        text.split(',').map(one).collect::<Result<_, _>>().map(Self)
    }
}

#[async_trait]
impl CronJob for Sitemap {
    fn name(&self) -> &'static str {
        "sitemap"
    }

    fn about(&self) -> &'static str {
        "Sitemaps of all shops, offers and products are written anew"
    }

    fn plan(&self) -> Plan {
        Plan::daily("0 4 * * *")
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        let Some(settings) = &context.settings.sitemap else {
            return Ok(Report::new().count("configured", false));
        };
        let depot =
            if context.dry_run { Depot::nowhere() } else { Depot::open(&settings.place, &context.settings.s3)? };
        let before = depot.read_all(INDEX).await?.map(|index| String::from_utf8_lossy(&index).into_owned());
        let generation = format!("{}-{}", context.scheduled_for.format("%Y%m%dT%H%M%SZ"), context.held.token);
        let mut sitemaps = Sitemaps::begin(&depot, &settings.files, generation.clone(), PROTOCOL);
        sitemaps.add(&settings.shop, None).await?;
        {
            let client = context.client().await?;
            let kinds: Vec<_> = settings.paths.0.iter().map(|(kind, _)| kind.as_str()).collect();
            let mut pages = pin!(catalogue::public_pages(&client, context.now, &kinds).await?);
            while let Some(page) = pages.try_next().await.context("the pages could not be read")? {
                let Some(path) = settings.paths.of(&page.kind) else { continue };
                let url = settings.shop.join(&path.replace("{id}", &page.id.to_string()))?;
                sitemaps.add(&url, Some(page.changed_at)).await?;
            }
        }
        let (index, written) = sitemaps.end().await?;
        // A run that was overtaken leaves the other's index alone. Should it be paused right here and write it all the same,
        // then it leads to files that are there.
        anyhow::ensure!(cron_runs::is_held(&context.client().await?, context.held).await?, "the run was taken over");
        depot.put(INDEX, index.into_bytes()).await?;
        let removed =
            remove_old(&depot, &generation, &before.map(|index| files_of(&index)).unwrap_or_default()).await?;
        Ok(Report::new().count("urls", written.urls).count("files", written.files).count("removed", removed))
    }
}

/// Removes files of earlier runs, but for those to which the index led until now: a crawler may be reading them.
async fn remove_old(depot: &Depot, generation: &str, before: &[String]) -> anyhow::Result<usize> {
    let mut removed = 0;
    for name in depot.names().await? {
        let ours = name.strip_prefix("sitemap-").is_some_and(|rest| rest.ends_with(".xml.gz"));
        if ours && !name.contains(generation) && !before.contains(&name) {
            depot.delete(&name).await?;
            removed += 1;
        }
    }
    Ok(removed)
}
