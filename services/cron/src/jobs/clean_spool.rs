//! Looks after the redirectors' spool: what was set aside as damaged goes after a while; what nobody replays is told. A
//! click that waits for its replay is never deleted.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use anyhow::Context as _;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use config::Reader;

use crate::alarm;
use crate::job::{Context, CronJob, Report};
use crate::plan::Plan;

pub(crate) struct CleanSpool;

/// Long enough for a person to look at what was damaged.
const DAMAGED_KEPT: Duration = Duration::from_hours(30 * 24);
/// A segment is replayed seconds after Redis is back.
const REPLAYED_WITHIN: Duration = Duration::from_hours(1);

/// Reads where the spool is.
pub(crate) fn read(reader: &mut Reader<'_>) -> Option<PathBuf> {
    let about = "the folder of REDIRECT_SPOOL_DIR, where cron can see it; without it the spool is not looked after";
    reader.optional("CRON_SPOOL_DIR", about).map(PathBuf::from)
}

/// What the spool holds.
#[derive(Debug, Default)]
struct Found {
    /// Damaged files beyond their time, and files that say how far a segment is that is gone.
    expired: Vec<PathBuf>,
    /// Segments that should have been replayed.
    stuck: usize,
    damaged: usize,
}

#[async_trait]
impl CronJob for CleanSpool {
    fn name(&self) -> &'static str {
        "clean_spool"
    }

    fn about(&self) -> &'static str {
        "Damaged files of the spool go after 30 days; clicks that nobody replays are told"
    }

    fn plan(&self) -> Plan {
        Plan::daily("45 3 * * *")
    }

    async fn run(&self, context: &Context) -> anyhow::Result<Report> {
        let Some(folder) = context.settings.spool.clone() else {
            return Ok(Report::new().count("configured", false));
        };
        let now = context.now;
        let tried = format!("{} could not be looked through", folder.display());
        let found = tokio::task::spawn_blocking(move || look(&folder, now)).await?.context(tried)?;
        let detail = format!(
            "{} files hold clicks that should be in Redis for an hour. A redirector that starts takes them over.",
            found.stuck
        );
        let trouble = (found.stuck > 0).then_some(("Spooled clicks are not replayed", detail.as_str()));
        let mut client = context.client().await?;
        let transaction = context.begin(&mut client).await?;
        alarm::set(&transaction, &context.settings, "spool-stuck", trouble).await?;
        context.commit(transaction).await?;
        let report = Report::new().count("stuck", found.stuck).count("damaged", found.damaged);
        if !context.dry_run {
            for path in &found.expired {
                remove(path).with_context(|| format!("{} could not be removed", path.display()))?;
            }
        }
        Ok(report.count("removed", found.expired.len()))
    }
}

fn look(folder: &Path, now: DateTime<Utc>) -> io::Result<Found> {
    let mut found = Found::default();
    for slot in fs::read_dir(folder)? {
        let slot = slot?;
        if !slot.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(slot.path())? {
            let file = file?;
            let Some(age) = age(&file, now)? else { continue };
            match file.path().extension().and_then(|extension| extension.to_str()) {
                Some("damaged") if age > DAMAGED_KEPT => found.expired.push(file.path()),
                Some("damaged") => found.damaged += 1,
                Some("pushed") if age > DAMAGED_KEPT && !file.path().with_extension("clicks").exists() => {
                    found.expired.push(file.path());
                }
                Some("clicks") if age > REPLAYED_WITHIN => found.stuck += 1,
                _ => {}
            }
        }
    }
    Ok(found)
}

/// How long ago a file was written; `None` when it went meanwhile, or is from the future.
fn age(file: &fs::DirEntry, now: DateTime<Utc>) -> io::Result<Option<Duration>> {
    match file.metadata().and_then(|metadata| metadata.modified()) {
        Ok(written) => Ok(SystemTime::from(now).duration_since(written).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file. One that is gone already is fine.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
