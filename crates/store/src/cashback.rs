//! Cashback: from networks' reports to what is in the wallets.

mod award;
mod limits;
mod matching;
pub mod notices;
mod settle;

pub use limits::{Rules, in_force, rules};
pub use settle::{SettleError, Settled, assign, commission_of, rematch, settle};
