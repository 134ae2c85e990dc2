//! The contract that every network keeps: over recorded answers, over answers that are broken in every way that was seen,
//! and against the simulated providers as a process.

mod account;
mod broken;
mod recorded;
mod setup;
mod simulated;
