//! `admin webhooks replay`: what was received is worked off again, or a preview says what that would do.

use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use domain::clock::{Clock as _, SystemClock};
use domain::ids::{ReplayId, WebhookId};
use store::audit::{self, Action};
use store::webhooks::{self, Replay};
use store::{Client, Pool};
use tokio::time::Instant;

use crate::command::print;
use crate::mask;

/// How often it is looked whether replays have ended.
const LOOK: Duration = Duration::from_millis(200);

/// What can be done with stored webhooks on the command line.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Work stored webhooks off again and report what that did; the effect of each stays one, however often it is asked for
    Replay(Choice),
}

/// Which webhooks, and how.
#[derive(Debug, Args)]
pub(crate) struct Choice {
    /// This webhook; may be given several times
    #[arg(long = "id", value_name = "ID", required_unless_present = "source", conflicts_with = "source")]
    ids: Vec<WebhookId>,
    /// Those of this source…
    #[arg(long, requires = "since")]
    source: Option<String>,
    /// …that came at this time or later, such as 2026-11-24T10:00:00Z…
    #[arg(long, requires = "source")]
    since: Option<DateTime<Utc>>,
    /// …and before this one; now by default
    #[arg(long, requires = "source")]
    until: Option<DateTime<Utc>>,
    /// Of these only those that did nothing so far
    #[arg(long, requires = "source")]
    without_effect: bool,
    /// Of these at most so many, the oldest first
    #[arg(long, default_value_t = 1_000)]
    limit: u32,
    /// Change nothing, and report what a replay would do
    #[arg(long)]
    dry_run: bool,
    /// Why, for the audit log
    #[arg(long, default_value = "asked for on the command line")]
    reason: String,
    /// For how many seconds the reports are waited for
    #[arg(long, default_value_t = 60)]
    wait: u64,
}

impl Command {
    pub(crate) async fn run(self, pool: &Pool) -> anyhow::Result<()> {
        let Self::Replay(choice) = self;
        let mut client = pool.get().await?;
        let chosen = choice.find(&client).await?;
        if chosen.is_empty() {
            print("no accepted webhook is like that");
            return Ok(());
        }
        let mut asked = Vec::with_capacity(chosen.len());
        for webhook in chosen {
            asked.push(choice.ask(&mut client, webhook).await?);
        }
        report(&client, asked, Duration::from_secs(choice.wait)).await
    }
}

impl Choice {
    async fn find(&self, client: &Client) -> anyhow::Result<Vec<WebhookId>> {
        let (Some(source), Some(since)) = (&self.source, self.since) else {
            for id in &self.ids {
                let stored =
                    webhooks::find(client, *id).await?.with_context(|| format!("webhook {id} is not stored"))?;
                if !stored.verdict.counts() {
                    bail!("webhook {id} is {}: only what was verified can be replayed", stored.verdict.word());
                }
            }
            return Ok(self.ids.clone());
        };
        let until = self.until.unwrap_or_else(|| SystemClock.now());
        let found =
            webhooks::replayable(client, source, since, until, self.without_effect, i64::from(self.limit)).await?;
        if u32::try_from(found.len()).is_ok_and(|found| found >= self.limit) {
            print(&format!("only the {} oldest are taken (--limit)", self.limit));
        }
        Ok(found)
    }

    async fn ask(&self, client: &mut Client, webhook: WebhookId) -> anyhow::Result<ReplayId> {
        let transaction = client.transaction().await?;
        let replay = webhooks::replay(&transaction, webhook, "cli", self.dry_run).await?;
        let target = format!("webhook:{webhook}");
        let action = Action {
            actor: "cli",
            role: "cli",
            action: if self.dry_run { "webhook.preview" } else { "webhook.replay" },
            target: &target,
            reason: &self.reason,
            after: Some(serde_json::json!({ "replay": replay })),
            ..Action::default()
        };
        audit::insert(&transaction, &action).await?;
        transaction.commit().await?;
        Ok(replay)
    }
}

/// Prints each report as it comes.
async fn report(client: &Client, asked: Vec<ReplayId>, patience: Duration) -> anyhow::Result<()> {
    let (count, end) = (asked.len(), Instant::now() + patience);
    let mut open = asked;
    loop {
        let mut still = Vec::new();
        for id in open {
            match webhooks::find_replay(client, id).await? {
                Some(replay) if replay.finished_at.is_some() => print(&line(&replay)),
                _ => still.push(id),
            }
        }
        open = still;
        if open.is_empty() {
            print(&format!("{count} asked for, all ended"));
            return Ok(());
        }
        if Instant::now() >= end {
            bail!(
                "{} of {count} have not ended after {} s: do `webhooks` run, and what do the dead letters of `payments` say?",
                open.len(),
                patience.as_secs()
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn line(replay: &Replay) -> String {
    let outcome = replay.outcome.as_deref().unwrap_or_default();
    format!("{}  {outcome}  {}", replay.webhook_id, mask::text(replay.report.as_deref().unwrap_or_default()))
}
