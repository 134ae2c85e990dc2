//! `cron archive`: what was archived, whether it is whole, and back into the database with it.

use std::io::Write as _;

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use store::Pool;
use store::audit::{self, Action};

use crate::archive::{Archive, Manifest};
use crate::depot::Depot;
use crate::settings::Settings;

/// What can be done with archived months.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the months in the archive
    List,
    /// Read months back and compare them with what was written; all of them by default
    Verify {
        /// Months, such as `webhook_logs_2026_01`
        months: Vec<String>,
    },
    /// Put a month back into the database; the next run of `clean_logs` drops it again
    Restore {
        /// The month, such as `webhook_logs_2026_01`
        month: String,
        /// Why; it is kept in the audit log
        #[arg(long)]
        reason: String,
    },
}

impl Command {
    pub(crate) async fn run(self, settings: &Settings, pool: &Pool) -> anyhow::Result<()> {
        let place = settings.log_archive.as_ref().context("LOG_ARCHIVE_STORE is not set")?;
        let archive = Archive::new(Depot::open(place, &settings.s3)?);
        match self {
            Self::List => {
                for month in archive.months().await? {
                    let Manifest { rows, archived_at, .. } = wanted(&archive, &month).await?;
                    say(&format!("{month}  {rows} rows, archived {}", archived_at.format("%Y-%m-%d %H:%M UTC")));
                }
                Ok(())
            }
            Self::Verify { months } => {
                let months = if months.is_empty() { archive.months().await? } else { months };
                let mut damaged = 0;
                for month in &months {
                    match async { archive.verify(&wanted(&archive, month).await?).await }.await {
                        Ok(()) => say(&format!("{month} is whole")),
                        Err(error) => {
                            damaged += 1;
                            say(&format!("{month} is not: {error:#}"));
                        }
                    }
                }
                ensure!(damaged == 0, "{damaged} of {} months are damaged", months.len());
                Ok(())
            }
            Self::Restore { month, reason } => restore(&archive, pool, &month, &reason).await,
        }
    }
}

async fn restore(archive: &Archive, pool: &Pool, month: &str, reason: &str) -> anyhow::Result<()> {
    let manifest = wanted(archive, month).await?;
    let mut client = pool.get().await?;
    let transaction = client.transaction().await.context("a transaction could not begin")?;
    let rows = archive.restore(&transaction, &manifest).await?;
    let target = format!("archive:{month}");
    let action = Action {
        actor: "cli",
        role: "cli",
        action: "archive.restore",
        target: &target,
        reason,
        after: Some(serde_json::json!({ "rows": rows })),
        ..Action::default()
    };
    audit::insert(&transaction, &action).await?;
    transaction.commit().await.context("the restored rows were not committed")?;
    say(&format!("{month} is back with {rows} rows"));
    Ok(())
}

async fn wanted(archive: &Archive, month: &str) -> anyhow::Result<Manifest> {
    archive.manifest(month).await?.with_context(|| format!("{month} is not in the archive"))
}

fn say(line: &str) {
    // A reader that went away is no error.
    let _closed = writeln!(std::io::stdout(), "{line}");
}
