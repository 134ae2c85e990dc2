//! The money, on real Postgres: clicks, matching, cashback, ledger, withdrawals.

mod caps;
mod cashback;
mod chain;
mod histories;
mod ledger;
mod orderings;
mod shop;
mod withdrawals;
