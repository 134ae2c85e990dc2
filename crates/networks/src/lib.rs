//! What the affiliate networks know, in our words.
//!
//! Each network is one file that implements [`AffiliateNetwork`]; [`all`] lists them, and that list is the only place
//! that names them. A network is asked page by page: the caller stores what a page held together with the page's
//! cursor, and a run that was cut off goes on from there. After the last page the rows are tied out against the
//! network's own sums with a [`Tally`].
//!
//! Nothing here guesses. A row that cannot be put into our words comes back as
//! [`Quarantined`](domain::transaction::Quarantined) with the reason, and a page that is not whole is an error, never
//! a short page. Personal data ends here: of a raw row only named fields are kept.
//!
//! To add a network: a variant of [`Network`], a file here, a line in [`all`], and recorded answers in
//! `tests/fixtures/<slug>/`, which the contract tests ask for.

pub mod admitad;
mod call;
pub mod cuelinks;
mod daily;
mod error;
pub mod lookback;
mod paging;
mod rates;
mod record;
mod report;
mod settings;
mod tally;
pub mod vcommission;

use std::sync::Arc;

use async_trait::async_trait;
use domain::clock::Clock;
use domain::network::Network;
use domain::transaction::ReportedRow;
use outbound::ClientError;
use outbound::oauth::TokenStore;

pub use error::NetworkError;
pub use rates::Rates;
pub use report::{Aggregate, CheckValue, Cursor, Page, Sum, Window};
pub use settings::Settings;
pub use tally::{Tally, TieOut};

/// A network that can be asked for our transactions.
#[async_trait]
pub trait AffiliateNetwork: Send + Sync + 'static {
    /// Which one.
    fn network(&self) -> Network;

    /// Whether it can be asked for what changed since a time ([`Window::UpdatedSince`]); if not, changes are only seen
    /// by asking for the same action dates again (see [`lookback`]).
    fn tells_updates(&self) -> bool;

    /// One page of a window: the first, or the one a cursor of the same window points to. Failing calls are repeated
    /// here as far as the settings say; an error leaves the caller's cursor good.
    async fn page(&self, window: Window, cursor: Option<&Cursor>) -> Result<Page, NetworkError>;

    /// How many rows the network counts in a window, and their sums where it tells them.
    async fn aggregate(&self, window: Window) -> Result<Aggregate, NetworkError>;

    /// The transaction with the network's own id: what is believed when a postback said something about it.
    async fn by_id(&self, external_id: &str) -> Result<Vec<ReportedRow>, NetworkError>;

    /// The transactions that carry a sub-id: what is believed when a postback named a click only.
    async fn by_sub_id(&self, sub_id: &str) -> Result<Vec<ReportedRow>, NetworkError>;
}

/// What the networks stand on.
#[derive(Clone)]
pub struct Foundation {
    /// Where replicas share access tokens.
    pub tokens: Arc<dyn TokenStore>,
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Every network whose credentials are set, in the order of [`Network::ALL`].
pub fn all(settings: &Settings, foundation: &Foundation) -> Result<Vec<Arc<dyn AffiliateNetwork>>, ClientError> {
    let mut networks: Vec<Arc<dyn AffiliateNetwork>> = Vec::new();
    if let Some(admitad) = &settings.admitad {
        networks.push(Arc::new(admitad::Admitad::new(admitad, &settings.calls, foundation)?));
    }
    if let Some(vcommission) = &settings.vcommission {
        networks.push(Arc::new(vcommission::Vcommission::new(vcommission, &settings.calls, foundation)?));
    }
    if let Some(cuelinks) = &settings.cuelinks {
        networks.push(Arc::new(cuelinks::Cuelinks::new(cuelinks, &settings.calls, foundation)?));
    }
    Ok(networks)
}
