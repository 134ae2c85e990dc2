//! The console and the API, by their public door.

mod dead;
mod login;
mod routes;
mod stage;
