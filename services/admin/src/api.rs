//! What programs may ask for.

/// Every scope a token can have.
pub(crate) const SCOPES: [&str; 7] =
    ["queues:read", "queues:write", "webhooks:read", "wallets:read", "withdrawals:write", "orders:write", "cron:write"];
