//! The ledger's words: accounts, kinds of transfers, payouts' states.
//!
//! A transfer takes an amount above zero from one account and gives it to another, so the sum over all accounts stays zero.
//! At most one side is a shopper.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{AccountId, UserId};
use crate::money::Paise;
use crate::words::{UnknownWord, words};

/// A ledger account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Account {
    /// A shopper's wallet.
    User(UserId),
    /// What cashback costs us.
    CashbackExpense,
    /// Withdrawals that have left a wallet and have not reached a bank.
    PayoutClearing,
    /// Our bank account.
    Bank,
    /// Corrections and goodwill.
    Adjustments,
}

impl Account {
    /// The accounts that are ours.
    const PLATFORM: [Self; 4] = [Self::CashbackExpense, Self::PayoutClearing, Self::Bank, Self::Adjustments];

    /// The account's id: a shopper's own id, or one of the lowest ids there are.
    #[must_use]
    pub const fn id(self) -> AccountId {
        AccountId::from_uuid(match self {
            Self::User(user) => user.as_uuid(),
            Self::CashbackExpense => Uuid::from_u128(1),
            Self::PayoutClearing => Uuid::from_u128(2),
            Self::Bank => Uuid::from_u128(3),
            Self::Adjustments => Uuid::from_u128(4),
        })
    }

    /// The account with that id.
    #[must_use]
    pub fn of(id: AccountId) -> Self {
        Self::PLATFORM
            .into_iter()
            .find(|account| account.id() == id)
            .unwrap_or_else(|| Self::User(UserId::from_uuid(id.as_uuid())))
    }
}

/// The account's code, such as `platform:bank`.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user:{user}"),
            Self::CashbackExpense => f.write_str("platform:cashback_expense"),
            Self::PayoutClearing => f.write_str("platform:payout_clearing"),
            Self::Bank => f.write_str("platform:bank"),
            Self::Adjustments => f.write_str("platform:adjustments"),
        }
    }
}

words! {
    /// Why money moved.
    TransferKind, "kind of transfer", {
        /// Cashback was confirmed, or its amount rose.
        CashbackCredit = "cashback_credit",
        /// Credited cashback was declined, held again or lowered. The only kind that may take a wallet below zero.
        CashbackClawback = "cashback_clawback",
        /// A withdrawal left the wallet.
        Withdrawal = "withdrawal",
        /// A withdrawal failed or came back.
        WithdrawalReturn = "withdrawal_return",
        /// The bank sent a payout out.
        PayoutSettled = "payout_settled",
        /// The bank sent a settled payout back.
        PayoutRecalled = "payout_recalled",
        /// A gift to a shopper.
        Goodwill = "goodwill",
        /// A correction by two persons.
        Correction = "correction",
    }
}

/// One transfer to post.
#[derive(Debug, Clone, PartialEq)]
pub struct Transfer {
    /// Who gives.
    pub debit: Account,
    /// Who gets.
    pub credit: Account,
    /// How much; above zero.
    pub amount: Paise,
    /// Why.
    pub kind: TransferKind,
    /// The same key with the same input posts once; with other input it is an error.
    pub key: String,
    /// What explains it; not part of the input that the key stands for.
    pub reason: serde_json::Value,
}

words! {
    /// What a withdrawal has come to.
    WithdrawalStatus, "withdrawal status", {
        /// The money has left the wallet; no payout is known yet.
        Requested = "requested",
        /// The provider works on it.
        Processing = "processing",
        /// The shopper's bank has it.
        Processed = "processed",
        /// It failed; the money is in the wallet again.
        Failed = "failed",
        /// It came back, before or after it was processed; the money is in the wallet again.
        Reversed = "reversed",
    }
}

/// What the provider says of a payout. The order is the provider's life cycle: what is lower never undoes what is higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PayoutState {
    /// It waits: for a balance, an approval, a time.
    Waiting,
    /// It is on its way.
    Processing,
    /// The beneficiary's bank has it.
    Processed,
    /// It will not happen: failed, rejected or cancelled.
    Failed,
    /// The money came back to us.
    Reversed,
}

impl PayoutState {
    /// Its place in the life cycle, from 1.
    #[must_use]
    pub const fn rank(self) -> i32 {
        match self {
            Self::Waiting => 1,
            Self::Processing => 2,
            Self::Processed => 3,
            Self::Failed => 4,
            Self::Reversed => 5,
        }
    }

    /// What a withdrawal is when this is the highest state seen.
    #[must_use]
    pub const fn withdrawal(self) -> WithdrawalStatus {
        match self {
            Self::Waiting | Self::Processing => WithdrawalStatus::Processing,
            Self::Processed => WithdrawalStatus::Processed,
            Self::Failed => WithdrawalStatus::Failed,
            Self::Reversed => WithdrawalStatus::Reversed,
        }
    }

    /// Whether the shopper gets the money back.
    #[must_use]
    pub const fn returns_money(self) -> bool {
        matches!(self, Self::Failed | Self::Reversed)
    }
}

impl FromStr for PayoutState {
    type Err = UnknownWord;

    /// Reads the provider's `status`.
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "pending" | "queued" | "scheduled" => Ok(Self::Waiting),
            "processing" | "initiated" => Ok(Self::Processing),
            "processed" => Ok(Self::Processed),
            "failed" | "rejected" | "cancelled" => Ok(Self::Failed),
            "reversed" => Ok(Self::Reversed),
            _ => Err(UnknownWord::new("payout status", text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_id() {
        for account in Account::PLATFORM {
            assert_eq!(Account::of(account.id()), account);
        }
        let user = UserId::generate();
        assert_eq!(Account::of(Account::User(user).id()), Account::User(user));
    }

    #[test]
    fn every_word_is_read_back() {
        for kind in TransferKind::ALL {
            assert_eq!(kind.word().parse(), Ok(*kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
        assert!("theft".parse::<TransferKind>().is_err());
        assert!("lost".parse::<PayoutState>().is_err());
    }
}
