//! What every service is built on: the way it starts, serves, shows its state, and ends.
//!
//! A service's `main.rs` names itself, its settings and its parts; everything that must be the same in all of them is here:
//!
//! * bad or missing settings are listed all at once, exit code 64, before a port is bound;
//! * `/healthz`, `/readyz` and `/metrics` on a port of their own ([`ops`]);
//! * SIGTERM or SIGINT begins the end ([`Life::shutdown`]); a second signal ends at once; what runs has
//!   [`DRAIN_LIMIT`] before the process gives up;
//! * systemd is told when the service is up, that it still runs, and that it is going, where it asked; a service whose loops
//!   stand still ([`Life::alive`]) tells it nothing and says so at `/healthz`, whatever Redis and Postgres do;
//! * every request has a span on its caller's trail, is counted by route, and is answered with the id it can be found by
//!   ([`http`]);
//! * errors of HTTP handlers become `application/problem+json` ([`problem`]);
//! * the address of a client is believed from trusted proxies only ([`remote`]).

mod command;
pub mod http;
mod life;
pub mod ops;
pub mod problem;
mod pulse;
pub mod remote;
mod start;
mod supervisor;

pub use command::{NoCommands, main, main_for, main_with};
pub use life::Life;
pub use pulse::Pulse;
pub use start::DRAIN_LIMIT;

/// Who the service is.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// The binary's name.
    pub name: &'static str,
    /// What it does, for `--help`.
    pub about: &'static str,
}
