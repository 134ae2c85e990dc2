//! The money, on real Postgres: clicks, matching, cashback, ledger, withdrawals.

mod caps;
mod cashback;
mod chain;
mod clicks;
mod guards;
mod histories;
mod ledger;
mod orderings;
mod orders;
mod poster;
mod shares;
mod shop;
mod withdrawals;
