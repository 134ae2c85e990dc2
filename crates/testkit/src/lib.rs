//! What tests and the demo stand on: a private Redis, a database of one's own, the real binaries as processes, the
//! simulated providers, and waiting for a state instead of sleeping.
//!
//! Everything here may panic: it is for tests.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up must fail, loudly"
)]

mod cluster;
mod database;
mod eventually;
mod process;
mod redis;
pub mod seed;
mod service;
mod sim;
pub mod usage;

pub use cluster::Cluster;
pub use database::{Database, pool};
pub use eventually::{eventually, eventually_true};
pub use process::Process;
pub use redis::{Redis, ask_redis, free_port, kv};
pub use service::{Service, binary};
pub use sim::Sim;

/// An HTTP client that follows no redirects and waits 10 s at most.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "tests stand outside and use no door of ours")]
pub fn http() -> reqwest::Client {
    let _already = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(std::time::Duration::from_secs(10))
        .build()
        .expect("a client can be built")
}
