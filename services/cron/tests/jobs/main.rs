//! Each job by the real binary: on real data, twice in a row, and killed in its middle.

mod bucket;
mod clean_logs;
mod clean_spool;
mod commands;
mod earlier;
mod failover;
mod remind_pending;
mod schema;
mod sitemap;
mod stage;
mod standing;
mod sync_inventory;
mod verify_wallets;
mod worker_watch;
