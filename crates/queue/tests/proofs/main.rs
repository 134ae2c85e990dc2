//! What the queue promises, proved on real processes and real servers: crashes, stops, restarts, fail-overs.

mod company;
mod crash;
#[path = "../../examples/proof-worker/errand.rs"]
mod errand;
mod servers;
mod stage;
mod storm;
