//! A worker for the proofs: a process that can be killed, stopped and terminated. Each run of a job is a line in the journal;
//! each effect is a file that only one run can make, as a unique key is in a database.
//!
//! ```text
//! REDIS_URL=redis://127.0.0.1:6379 FOLDER=/tmp/proof CONCURRENCY=8 proof-worker
//! ```

mod errand;

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use config::{Environment, Reader};
use domain::clock::{Clock, SystemClock};
use domain::job::Queue;
use queue::{BatchHandler, BatchPolicy, Handler, JobContext, JobError, Outcome, Worker, WorkerSettings};
use tokio_util::sync::CancellationToken;

use crate::errand::{Act, Errand, Parcel};

/// Where runs and effects are written.
struct Journal {
    file: File,
    effects: PathBuf,
}

impl Journal {
    /// One line in one write, so that lines of several processes do not mix.
    fn note(&self, what: &str, number: u64) -> anyhow::Result<()> {
        let now = SystemClock.now().timestamp_micros();
        let line = format!("{what} {number} {} {now}\n", std::process::id());
        (&self.file).write_all(line.as_bytes()).context("writing the journal")
    }

    /// Makes the effect, unless it is made.
    fn effect(&self, number: u64) -> anyhow::Result<()> {
        match OpenOptions::new().write(true).create_new(true).open(self.effects.join(number.to_string())) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error).context("making the effect"),
            _ => Ok(()),
        }
    }

    /// Whether this is the first run.
    fn is_first(&self, number: u64) -> bool {
        let mark = self.effects.join(format!("{number}.begun"));
        OpenOptions::new().write(true).create_new(true).open(mark).is_ok()
    }
}

struct Errands(Arc<Journal>);

impl Handler<Errand> for Errands {
    async fn handle(&self, job: Errand, _context: JobContext) -> Outcome {
        let journal = &self.0;
        // Marking costs a file; jobs that do the same each time do without.
        let act = if job.first == job.again || journal.is_first(job.number) { job.first } else { job.again };
        journal.note("began", job.number)?;
        match act {
            Act::Succeed(millis) => {
                if millis > 0 {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                }
                journal.effect(job.number)?;
                journal.note("ended", job.number)?;
                Ok(())
            }
            Act::Fail(millis) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Err(JobError::Fail(anyhow::anyhow!("told to fail")))
            }
            Act::Die => std::process::abort(),
        }
    }
}

struct Parcels(Arc<Journal>);

impl BatchHandler<Parcel> for Parcels {
    async fn handle(&self, jobs: Vec<(Parcel, JobContext)>) -> Vec<Outcome> {
        jobs.into_iter()
            .map(|(job, _context)| {
                self.0.note("began", job.number)?;
                self.0.effect(job.number)?;
                Ok(self.0.note("ended", job.number)?)
            })
            .collect()
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run() -> anyhow::Result<()> {
    let mut reader = Reader::new(&Environment);
    let folder = PathBuf::from(reader.required("FOLDER", "where the journal and the effects go"));
    let concurrency: usize = reader.default("CONCURRENCY", 8, "errands at a time");
    let drain: u64 = reader.default("DRAIN_MS", 25_000, "how long running errands have after SIGTERM");
    let linger: u64 = reader.default("LINGER_MS", 60_000, "how long parcels wait for company");
    let telemetry = telemetry::Settings::read(&mut reader);
    let redis = kv::Settings::read(&mut reader);
    let redis = reader.finish(redis).context("settings")?;
    let telemetry = telemetry::init("proof-worker", &telemetry)?;

    let file = OpenOptions::new().create(true).append(true).open(folder.join("journal"))?;
    let journal = Arc::new(Journal { file, effects: folder });
    let policy = BatchPolicy { max: 100, linger: Duration::from_millis(linger) };
    let worker = Worker::builder(kv::Kv::connect(&redis)?, "proof")
        .queue(Queue::Payments, concurrency)
        .queue(Queue::Clicks, 1)
        .register(Errands(journal.clone()))
        .register_batch(Parcels(journal), policy)
        .settings(WorkerSettings { drain: Duration::from_millis(drain), ..WorkerSettings::default() })
        .build()?;
    let stop = CancellationToken::new();
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let running = worker.run(stop.clone());
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => ended?,
        _ = terminated.recv() => { stop.cancel(); running.await?; }
    }
    telemetry.shutdown();
    Ok(())
}
