//! From settings to the last log line.

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use config::{Environment, Problems, Reader};
use tokio_util::sync::CancellationToken;

use crate::supervisor::Supervisor;
use crate::{Life, Service, ops};

/// How long running work has after the signal. Longer than a worker's own drain (25 s), shorter than the 30 s after
/// which orchestrators kill.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(28);

/// `EX_USAGE` of sysexits: the configuration is wrong, trying again will not help.
const BAD_CONFIGURATION: u8 = 64;

/// Settings that every service has.
struct Common {
    ops: ops::Settings,
    telemetry: telemetry::Settings,
}

impl Common {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { ops: ops::Settings::read(reader), telemetry: telemetry::Settings::read(reader) }
    }
}

fn read_all<S>(read: fn(&mut Reader<'_>) -> S) -> Result<(S, Common), Problems> {
    let mut reader = Reader::new(&Environment);
    let settings = read(&mut reader);
    let common = Common::read(&mut reader);
    reader.finish((settings, common))
}

/// Everything that the service and chassis ask for when nothing is set, and then what they ask for besides when all is: the
/// key that goes with an id, say. What is asked for only then is not required by itself.
fn entries<S>(read: fn(&mut Reader<'_>) -> S) -> Vec<config::Entry> {
    let asked = |source: &dyn config::Source| {
        let mut reader = Reader::new(source);
        let _settings = read(&mut reader);
        let _common = Common::read(&mut reader);
        reader.entries().to_vec()
    };
    let mut entries = asked(&config::Map::default());
    for mut entry in asked(&AllSet) {
        if !entries.iter().any(|known| known.key == entry.key) {
            entry.required = false;
            entries.push(entry);
        }
    }
    entries
}

/// Has some text for every setting. Not the right one: what is made of it is thrown away.
struct AllSet;

impl config::Source for AllSet {
    fn get(&self, _key: &str) -> Option<String> {
        Some("1".to_owned())
    }

    fn keys(&self, _prefix: &str) -> Vec<String> {
        Vec::new()
    }
}

/// Every setting of the service as lines of an environment file, for `settings`.
pub(crate) fn settings_text<S>(read: fn(&mut Reader<'_>) -> S) -> String {
    let line = |entry: &config::Entry| {
        let state = match (&entry.default, entry.required) {
            (_, true) => "required",
            (Some(_), false) => "has a default",
            (None, false) => "optional",
        };
        let value = entry.default.as_deref().unwrap_or_default();
        let comment = if entry.required { "" } else { "# " };
        format!("# {} ({state})\n{comment}{}={value}\n", entry.about, entry.key)
    };
    entries(read).iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The same for programs, for `settings --json`: what the generator of the reference reads.
pub(crate) fn settings_json<S>(read: fn(&mut Reader<'_>) -> S) -> String {
    let object = |entry: &config::Entry| {
        serde_json::json!({
            "key": entry.key,
            "about": entry.about,
            "default": entry.default,
            "required": entry.required,
            "secret": entry.secret,
        })
    };
    let list: serde_json::Value = entries(read).iter().map(object).collect();
    format!("{list}\n")
}

/// Runs a service to its end.
pub(crate) fn start<S, F, Fut>(service: Service, read: fn(&mut Reader<'_>) -> S, serve: bool, run: F) -> ExitCode
where
    F: FnOnce(S, Life) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let (settings, common) = match read_all(read) {
        Ok(all) => all,
        Err(problems) => {
            complain(&format!("{}: {problems}", service.name));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    // rustls asks for one provider per process; only a second call could fail, and it would find the same one.
    let _already_chosen = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("{}: the runtime cannot start: {error}", service.name));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(live(service, settings, common, serve, run));
    runtime.shutdown_timeout(Duration::from_secs(1));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{}: {error:#}", service.name));
            ExitCode::FAILURE
        }
    }
}

async fn live<S, F, Fut>(service: Service, settings: S, common: Common, serve: bool, run: F) -> anyhow::Result<()>
where
    F: FnOnce(S, Life) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let telemetry = telemetry::init(service.name, &common.telemetry).context("telemetry could not start")?;
    let life = Life::default();
    #[expect(clippy::disallowed_methods, reason = "it must outlive every tracked task, to hear the second signal")]
    let signals = tokio::spawn(watch_signals(life.shutdown()));
    let outcome = if serve {
        tracing::info!("starting");
        let ops = ops::serve(&life, &common.ops)?;
        let told = Supervisor::find(&Environment).map(|supervisor| {
            #[expect(clippy::disallowed_methods, reason = "it goes on through the drain and is ended right after it")]
            tokio::spawn(supervisor.keep_told(life.clone()))
        });
        let outcome = bounded(&life, run(settings, life.clone())).await;
        ops.stop(true).await;
        if let Some(told) = told {
            told.abort();
        }
        outcome
    } else {
        run(settings, life.clone()).await
    };
    life.shutdown().cancel();
    life.tasks().close();
    if tokio::time::timeout(Duration::from_secs(2), life.tasks().wait()).await.is_err() {
        tracing::warn!("background tasks did not end in time");
    }
    if serve {
        match &outcome {
            Ok(()) => tracing::info!("stopped"),
            Err(error) => {
                tracing::error!(error.chain = format!("{error:#}"), "stopped by an error");
            }
        }
    }
    signals.abort();
    telemetry.shutdown();
    outcome
}

/// Runs to the end, or to [`DRAIN_LIMIT`] after the signal.
async fn bounded(life: &Life, run: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let shutdown = life.shutdown();
    let limit = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN_LIMIT).await;
    };
    tokio::select! {
        outcome = run => outcome,
        () = limit => Err(anyhow::anyhow!("work was still running {} s after the signal", DRAIN_LIMIT.as_secs())),
    }
}

/// The first SIGTERM or SIGINT begins the end, the second one is the end.
async fn watch_signals(shutdown: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("signals cannot be received; the process can only be killed");
        return;
    };
    let first = tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal = first, "stopping: no new work is taken");
    shutdown.cancel();
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::warn!("second signal: ending now");
    std::process::exit(130);
}

fn complain(text: &str) {
    use std::io::Write;
    // Nobody is left to tell when stderr is gone.
    let _gone = writeln!(std::io::stderr(), "{text}");
}
