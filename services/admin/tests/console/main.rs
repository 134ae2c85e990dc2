//! The console and the API, by their public door.

mod dead;
mod health;
mod ledger;
mod live;
mod login;
mod money;
mod records;
mod replays;
mod routes;
mod socket;
mod stage;
mod suppressions;
mod tokens;
mod unmatched;
