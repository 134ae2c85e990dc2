//! Postgres, the truth. One module a table family; its statements are files in `sql/`, each prepared by a test.
//!
//! Functions take a client or a transaction, so the caller decides what commits together. No rules live here, no
//! HTTP and no Redis.

pub mod catalogue;
pub mod migrate;
pub mod notifications;
pub mod orders;
pub mod outbox;
mod pool;
pub mod sms_templates;
pub mod statements;
pub mod suppressions;
mod tls;
pub mod users;
pub mod vouchers;
pub mod webhooks;

pub use deadpool_postgres::GenericClient;
pub use pool::{Client, Listener, Notification, Pool, Settings, StoreError};
pub use tokio_postgres::Row;
