//! Every id of the system. A new kind of thing gets its id here and nowhere else.

use std::fmt;
use std::str::FromStr;

use postgres_types::{FromSql, ToSql};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not an id of the wanted kind.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a {kind} (a UUID such as 01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f)")]
pub struct InvalidId {
    /// Which id was wanted.
    pub kind: &'static str,
    /// What was given, cut to 64 characters.
    pub text: String,
    #[source]
    source: uuid::Error,
}

macro_rules! typed_ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            Serialize, Deserialize, JsonSchema, ToSql, FromSql,
        )]
        #[serde(transparent)]
        #[postgres(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id: a UUID of version 7, so ids sort by the time they were made.
            #[must_use]
            #[expect(clippy::disallowed_methods, reason = "this is the room where ids are made")]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// Takes an id that came from a store or a wire.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The bare UUID.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|source| InvalidId {
                    kind: stringify!($name),
                    text: text.chars().take(64).collect(),
                    source,
                })
            }
        }
    )+};
}

typed_ids! {
    /// A shopper.
    UserId,
    /// Somebody who may use the console.
    AdminId,
    /// A shop that pays commission through a network.
    MerchantId,
    /// One thing a shopper can click.
    OfferId,
    /// A product (voucher denomination or physical) that we sell.
    ProductId,
    /// One navigation of one shopper to one offer. It travels in the network's sub-id.
    ClickId,
    /// Our row for a network's transaction.
    TransactionId,
    /// The cashback that belongs to one transaction.
    CashbackId,
    /// A ledger account.
    AccountId,
    /// One row of the ledger.
    WalletTransactionId,
    /// A shopper's order with us.
    OrderId,
    /// One line of an order.
    OrderItemId,
    /// A voucher code.
    VoucherCodeId,
    /// A payment of an order.
    PaymentId,
    /// A refund of a payment.
    RefundId,
    /// Money that a shopper takes out of the wallet.
    WithdrawalId,
    /// One message on one channel to one person.
    NotificationId,
    /// A received webhook.
    WebhookId,
    /// A request to work off a webhook again; new each time.
    ReplayId,
    /// A replay of many webhooks.
    ReplayRunId,
    /// A row of the outbox; becomes the id of the queued job.
    OutboxId,
    /// A job on a queue.
    JobId,
    /// A run of a network sync.
    SyncRunId,
    /// A run of a cron job.
    CronRunId,
    /// A worker process; fresh at every start.
    WorkerId,
    /// A row of the audit log.
    AuditId,
    /// A trouble that admins are told of.
    AlertId,
    /// A program's token for the API.
    ApiTokenId,
    /// Money to be moved by hand.
    AdjustmentId,
    /// A wallet that does not hold what its entries come to.
    WalletDriftId,
    /// A wallet's balance to be set right by two persons.
    WalletRepairId,
}

impl ClickId {
    /// The id as 32 hexadecimal digits: the form that travels in sub-ids, where every network takes it.
    #[must_use]
    pub fn compact(&self) -> String {
        self.0.simple().to_string()
    }

    /// Milliseconds since the Unix epoch at which the click was made, read from the `UUIDv7` itself.
    /// `None` when the id is not version 7.
    #[must_use]
    pub fn unix_millis(&self) -> Option<u64> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        seconds.checked_mul(1_000)?.checked_add(u64::from(nanos) / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_text_and_json() {
        let id = ClickId::generate();
        assert_eq!(id.to_string().parse::<ClickId>().unwrap(), id);
        assert_eq!(id.compact().parse::<ClickId>().unwrap(), id);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<ClickId>(&json).unwrap(), id);
    }

    #[test]
    fn ids_made_later_sort_later() {
        let ids: Vec<_> = (0..1_000).map(|_| OrderId::generate()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn a_bad_id_says_what_was_wanted_and_what_came() {
        let error = "offer-7".parse::<OfferId>().unwrap_err().to_string();
        assert!(error.contains("OfferId") && error.contains("offer-7"), "{error}");
    }
}
