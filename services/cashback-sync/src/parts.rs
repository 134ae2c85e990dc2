//! What the workers, the command line and the upkeep have in common.

use std::collections::HashMap;
use std::sync::Arc;

use domain::clock::{Clock, SystemClock};
use domain::network::Network;
use kv::Kv;
use networks::{AffiliateNetwork, Foundation};
use outbound::ClientError;
use store::Pool;

use crate::alarm::Alarm;
use crate::settings::Settings;
use crate::tokens::RedisTokens;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) pool: Pool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) alarm: Arc<Alarm>,
    networks: Arc<HashMap<Network, Arc<dyn AffiliateNetwork>>>,
}

impl Parts {
    pub(crate) fn new(settings: &Settings, pool: Pool, kv: &Kv) -> Result<Self, ClientError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let foundation = Foundation { tokens: Arc::new(RedisTokens::new(kv.clone())), clock: clock.clone() };
        let networks = networks::all(&settings.networks, &foundation)?;
        let networks: HashMap<_, _> = networks.into_iter().map(|network| (network.network(), network)).collect();
        Ok(Self { pool, clock, alarm: Arc::new(Alarm::new(settings)), networks: Arc::new(networks) })
    }

    /// A network, unless it has no credentials here.
    pub(crate) fn network(&self, network: Network) -> Option<Arc<dyn AffiliateNetwork>> {
        self.networks.get(&network).cloned()
    }
}
