//! Postgres, the truth. One module a table family; its statements are files in `sql/`, each prepared by a test.
//!
//! Functions take a client or a transaction, so the caller decides what commits together. No rules live here, no
//! HTTP and no Redis.

pub mod adjustments;
pub mod admin_users;
pub mod alerts;
pub mod api_tokens;
pub mod archive;
pub mod audit;
pub mod cashback;
pub mod catalogue;
pub mod click_stats;
pub mod clicks;
pub mod console;
pub mod cron_runs;
pub mod drifts;
pub mod inventory;
pub mod migrate;
pub mod notifications;
pub mod orders;
pub mod outbox;
pub mod payments;
mod pool;
pub mod previews;
pub mod sms_templates;
pub mod standing;
pub mod statements;
pub mod suppressions;
pub mod sync;
mod tls;
pub mod transactions;
pub mod upkeep;
pub mod users;
pub mod vouchers;
pub mod wallet;
pub mod webhooks;
pub mod withdrawals;

pub use deadpool_postgres::{GenericClient, Transaction};
pub use pool::{Client, Listener, Notification, Pool, Settings, StoreError};
pub use tokio_postgres::Row;
