//! The notifier as a process, between real Redis, real Postgres and simulated providers with their faults.

mod faults;
mod kills;
mod post;
mod replays;
mod rules;
mod second;
