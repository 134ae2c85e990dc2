//! Jobs on Redis lists: nothing lost, batches at both ends, one lease a worker.
//!
//! ```text
//!  RPUSH ──▶ queue:<name> ──┐ claim (one script, up to 500 at once)
//!  RPUSH ──▶ …:urgent ──────┴──▶ in flight, under the worker's lease ──┬─▶ done: gone from Redis, counted
//!               ▲                        │ lease runs out              ├─▶ retry, defer ──▶ delayed ──▶ back on the list when due
//!               │                        ▼                             ├─▶ failed for good, or tried too often ──▶ dead letters
//!               └──── replay      suspects: run alone, ────────────────┴─▶ too old ──▶ expired, counted
//!                                 buried after three crashes
//! ```
//!
//! # What is promised
//!
//! * **At least once.** A job that Redis acknowledged is run until a handler says done, or it is a dead letter with its
//!   exact bytes and the reason. There is no instant in which it is nowhere.
//! * **A live worker's jobs are its own.** The lease is renewed by a thread that no handler can stall; while it lives, a slow job
//!   is never run twice. When it ends, any worker hands its jobs on within six seconds.
//! * **A late answer is refused.** A worker that lost its lease cannot acknowledge, retry or bury; refusals are counted.
//! * **A poison pill falls alone.** What was in hand when a worker died runs one job at a time; after three crashes it is buried.
//!
//! # What is not
//!
//! Order is kept at the list's head only: retries and several workers change it. A second delivery can happen, so every effect
//! has a key of its own in Postgres. What Redis itself forgets (a crash within the second that `appendfsync everysec` allows)
//! is known to the outbox and the sweeps, not to this crate.
//!
//! # A worker
//!
//! ```no_run
//! use domain::job::Queue;
//! use domain::jobs::payment::StartPayout;
//! use queue::{Handler, JobContext, Outcome, Worker};
//! use tokio_util::sync::CancellationToken;
//!
//! struct Payouts;
//!
//! impl Handler<StartPayout> for Payouts {
//!     async fn handle(&self, job: StartPayout, _context: JobContext) -> Outcome {
//!         println!("pay out {}", job.withdrawal_id);
//!         Ok(())
//!     }
//! }
//!
//! # async fn run(kv: kv::Kv) -> anyhow::Result<()> {
//! let worker = Worker::builder(kv, "payouts").queue(Queue::Payments, 16).register(Payouts).build()?;
//! worker.run(CancellationToken::new()).await?;
//! # Ok(())
//! # }
//! ```

pub mod admin;
mod budget;
mod census;
mod circuit;
mod envelope;
mod execute;
mod handler;
mod histogram;
mod intake;
mod kinds;
mod lane;
mod layout;
mod lease;
mod measure;
#[cfg(test)]
mod model;
mod producer;
mod scripts;
mod settings;
mod verdict;
mod worker;

pub use circuit::{Circuit, CircuitPolicy};
pub use envelope::{Envelope, EnvelopeError, Failure, Replay};
pub use handler::{BatchHandler, BatchPolicy, Handler, JobContext, JobError, Outcome};
pub use producer::{Enqueue, EnqueueError, Producer};
pub use settings::{OutagePolicy, Rate, WorkerSettings};
pub use worker::{Worker, WorkerBuilder, WorkerError, WorkerHealth};
