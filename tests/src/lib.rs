//! The whole system as processes, and the story of one shopper through it. Tests play it, and `make demo` plays it for
//! people.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    reason = "a story that cannot be played must fail, loudly"
)]

mod ledger;
mod orders;
mod secrets;
mod session;
mod story;
mod system;
mod traffic;

pub use ledger::Ledger;
pub use orders::{Orders, unfinished};
pub use secrets::{razorpay_signature, sealed};
pub use story::{Scene, Story};
pub use system::{Cast, POSTBACK_TOKEN, Place, Ports, STATS_TOKEN, System};
pub use traffic::{Pace, Sent, Traffic};
