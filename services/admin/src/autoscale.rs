//! `admin autoscale`: as many notifiers as their queues ask for, on Docker Swarm or Compose. On Kubernetes KEDA does the same,
//! from the same thresholds (`docker/notifier-scaling.env`).

mod docker;
mod governor;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use kv::Kv;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use self::docker::{Engine, Fleet};
use self::governor::Governor;
pub(crate) use self::governor::Thresholds;

/// Which containers, and how to reach the engine.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The Swarm service to scale, such as `shop_notifier`
    #[arg(long, conflicts_with = "compose", required_unless_present = "compose")]
    swarm: Option<String>,
    /// The Compose project and service to scale, such as `shop/notifier`
    #[arg(long, value_parser = project_and_service)]
    compose: Option<(String, String)>,
    /// The socket of the Docker engine
    #[arg(long, default_value = "/var/run/docker.sock")]
    socket: PathBuf,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

fn project_and_service(text: &str) -> Result<(String, String), String> {
    let (project, service) = text.split_once('/').ok_or("write it as PROJECT/SERVICE")?;
    Ok((project.to_owned(), service.to_owned()))
}

/// Looks and acts until SIGTERM.
pub(crate) async fn run(options: Options, kv: Kv, thresholds: Thresholds) -> anyhow::Result<()> {
    let fleet = match (options.swarm, options.compose) {
        (Some(service), _) => Fleet::Swarm { service },
        (None, Some((project, service))) => Fleet::Compose { project, service },
        (None, None) => anyhow::bail!("either --swarm or --compose must be given"),
    };
    let engine = Engine::at(options.socket);
    let mut governor = Governor::new(thresholds.clone());
    let begin = Instant::now();
    let mut term = signal(SignalKind::terminate()).context("SIGTERM cannot be received")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be received")?;
    loop {
        // Who cannot see leaves things as they are.
        match look_and_act(&kv, &engine, &fleet, &thresholds, &mut governor, begin.elapsed(), options.dry_run).await {
            Ok(()) => {}
            Err(error) => tracing::warn!(error.chain = format!("{error:#}"), "not scaled this time"),
        }
        tokio::select! {
            () = tokio::time::sleep(thresholds.poll) => {}
            _ = term.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

async fn look_and_act(
    kv: &Kv,
    engine: &Engine,
    fleet: &Fleet,
    thresholds: &Thresholds,
    governor: &mut Governor,
    now: Duration,
    dry_run: bool,
) -> anyhow::Result<()> {
    let mut depth: u64 = 0;
    for queue in &thresholds.queues {
        let stats =
            queue::admin::stats(kv, *queue).await.with_context(|| format!("queue {queue} cannot be counted"))?;
        depth = depth.saturating_add(stats.waiting).saturating_add(stats.urgent).saturating_add(stats.in_flight);
    }
    let running = engine.count(fleet).await.context("the containers cannot be counted")?;
    let wanted = governor.decide(depth, running, now);
    if wanted == running {
        tracing::debug!(depth, running, "as many as needed");
        return Ok(());
    }
    tracing::info!(depth, running, wanted, dry_run, "scaling the notifier");
    if !dry_run {
        engine.scale(fleet, wanted).await.with_context(|| format!("{wanted} cannot be made of {running}"))?;
    }
    Ok(())
}
