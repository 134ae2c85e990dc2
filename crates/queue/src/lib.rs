//! Jobs on Redis lists: nothing lost, batches at both ends, one lease a worker.
//!
//! # The life of a job
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
//! 1. A producer appends JSON to a list: [`Producer`], or any program with `RPUSH queue:email '{"kind":…,"payload":…}'`.
//! 2. A worker's turn, one script, acknowledges what is done and moves the next jobs from the list into the hash of what its
//!    lease has in hand. Urgent jobs go first; a tenth of each turn stays for the rest.
//! 3. The [`Handler`] of the job's kind runs, within its time-out, and answers with an [`Outcome`]. Only the worker counts tries,
//!    waits, buries and logs.
//! 4. The outcome is written under the claim's number. An idle worker sleeps in a blocking call that ends with a claim, so there
//!    is no polling, and one round trip from push to start.
//!
//! ```no_run
//! use domain::job::Queue;
//! use domain::jobs::payment::StartPayout;
//! use queue::{Enqueue, Handler, JobContext, JobError, Outcome, Producer, Worker};
//! use tokio_util::sync::CancellationToken;
//!
//! struct Payouts;
//!
//! impl Handler<StartPayout> for Payouts {
//!     async fn handle(&self, job: StartPayout, context: JobContext) -> Outcome {
//!         tracing::info!(withdrawal = %job.withdrawal_id, attempt = context.attempt, "paying out");
//!         let answer: Result<(), std::io::Error> = Ok(()); // Call the provider, with the withdrawal's id as key.
//!         answer.map_err(|error| JobError::Retry(error.into()))
//!     }
//! }
//!
//! # async fn run(kv: kv::Kv, job: StartPayout, stop: CancellationToken) -> anyhow::Result<()> {
//! Producer::new(kv.clone()).enqueue(Enqueue::new(&job).urgent()).await?;
//! let worker = Worker::builder(kv, "payouts").queue(Queue::Payments, 16).register(Payouts).build()?;
//! worker.run(stop).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! * **At least once.** A job that Redis acknowledged is run until a handler says done, or it is a dead letter with its
//!   exact bytes and the reason. There is no instant in which it is nowhere, and [`admin::census`] can count that at any time.
//! * **A live worker's jobs are its own.** The lease is renewed by a thread that no handler can stall; while it lives, a slow job
//!   is never run twice. When it ends, any worker hands its jobs on within six seconds. At SIGTERM what has not started is handed
//!   on at once, what runs has 25 s.
//! * **A late answer is refused.** A worker that lost its lease cannot acknowledge, retry or bury; refusals are counted.
//! * **A poison pill falls alone.** What was in hand when a worker died runs one job at a time; after three crashes it is buried.
//! * **An outage buries nothing.** While most of the fleet fails, or a queue's [`Circuit`] is open, tries are not counted.
//! * **Servers may go.** After a restart or a fail-over workers go on by themselves, in every arrangement (`REDIS_MODE`), and jobs
//!   whose outcome Redis took and then forgot run again.
//!
//! `tests/proofs` kills workers and servers to show it, and `src/model.rs` checks every script against a model.
//!
//! # What is not
//!
//! * **Exactly once.** A second delivery can happen, so every effect needs a key of its own, such as a unique row in Postgres.
//! * **Order.** It is kept at the list's head only: retries and several workers change it.
//! * **More than Redis keeps.** With `appendfsync everysec` a killed Redis loses nothing that it acknowledged, since the kernel has it.
//!   A machine that ends takes up to the last second with it, two when a sync hangs: jobs pushed in that time are gone, outcomes of
//!   that time are forgotten and their jobs run again, and nothing older is touched. A fail-over can take what the replica had
//!   not yet received, unless pushes wait for it (`REDIS_WAIT_REPLICAS`; a cluster cannot be asked for that). Whoever pushes from
//!   a transaction does it by the outbox, which knows what it pushed.
//! * **Speed after a crash.** Suspects run one at a time in the whole fleet, so a minute-long job holds up the other suspects (not the
//!   queue) for a minute.
//! * **Two clocks.** Leases run by Redis' clock, due times by the producers' and Redis'.
//!
//! What it costs is measured by `make bench`, beside bare Redis and beside peers.

pub mod admin;
mod budget;
mod census;
mod circuit;
mod envelope;
mod execute;
mod handler;
mod heartbeat;
mod histogram;
mod intake;
mod kinds;
mod lane;
mod layout;
mod lease;
mod measure;
#[cfg(test)]
mod model;
pub mod presence;
mod producer;
mod scripts;
mod settings;
mod span;
mod unreadable;
mod verdict;
mod worker;

pub use circuit::{Circuit, CircuitPolicy};
pub use envelope::{Envelope, EnvelopeError, Failure, Replay};
pub use handler::{BatchHandler, BatchPolicy, Handler, JobContext, JobError, Outcome};
pub use producer::{Enqueue, EnqueueError, Producer};
pub use settings::{OutagePolicy, Rate, WorkerSettings};
pub use unreadable::unreadable;
pub use worker::{Worker, WorkerBuilder, WorkerError, WorkerHealth};
