//! `make demo`: the whole system on this machine, and one shopper's story through it as a timeline.

mod servers;
mod teller;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;
use e2e::{Place, Ports, Story, System};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{LocalSet, spawn_local};

use crate::servers::Servers;
use crate::teller::Teller;

/// The person who may do everything in the demo's console.
const OWNER: (&str, &str) = ("owner@example.in", "demo-password-2026");

/// Plays the shop's main job on this machine and shows it.
#[derive(Debug, Parser)]
struct Options {
    /// End after the story, with 0 only when every step was seen
    #[arg(long)]
    check: bool,
    /// The first of four ports in a row: providers and inbox, redirector, webhooks, console
    #[arg(long, default_value_t = 8400)]
    port: u16,
    /// Where the private servers keep their data; emptied at the beginning and at the end
    #[arg(long, default_value = ".local")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    let options = Options::parse();
    // What was waited for is in the message; a backtrace tells people nothing.
    std::panic::set_hook(Box::new(|info| teller::line(&format!("\n{}", teller::message(info)))));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome =
        runtime.context("no runtime").and_then(|runtime| runtime.block_on(LocalSet::new().run_until(run(options))));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            teller::line(&format!("\nThe demo stopped: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> anyhow::Result<()> {
    for port in options.port..options.port.saturating_add(4) {
        TcpListener::bind(("127.0.0.1", port)).with_context(|| {
            format!("port {port} is in use. End what uses it (another demo?), or take other ports: make demo PORT=9400")
        })?;
    }
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut teller = Teller::new();
    teller.say("starting a private Postgres and Redis");
    let servers = Servers::start(&options.folder)?;
    teller.say("migrating, seeding, starting the simulated providers and six services");
    let place = Place {
        settings: Vec::new(),
        database_url: servers.database_url.clone(),
        redis_url: servers.redis_url(),
        ports: Ports::From(options.port),
        folder: servers.folder.clone(),
        people: vec![format!("finance:{}:{}", OWNER.0, OWNER.1)],
    };
    // A step that is not seen panics with what was waited for; the task's end is our answer.
    let mut play = spawn_local(async move {
        let system = System::start(place).await;
        teller.say("all services are ready; the story begins");
        let mut story = Story::new();
        teller.tell(&story.click(&system).await);
        teller.tell(&story.purchase(&system).await);
        teller.tell(&story.approval(&system).await);
        teller.tell(&story.payment(&system).await);
        teller.tell(&story.withdrawal(&system).await);
        teller.say("every step was seen");
        system
    });
    let played = tokio::select! {
        played = &mut play => played,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("told to end"),
    };
    let Ok(system) = played else {
        bail!("a step was not seen; the lines above say which, and what each service said last");
    };
    if !options.check {
        teller::where_to_look(&system, OWNER);
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        teller::line("\nEnding.");
    }
    drop(system);
    drop(servers);
    Ok(())
}
