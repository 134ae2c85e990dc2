//! The money, on real Postgres: clicks, matching, cashback, ledger, withdrawals.

mod cashback;
mod shop;
