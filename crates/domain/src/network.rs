//! The affiliate networks we work with.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An affiliate network. A new one is a variant here and a file in `crates/networks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Admitad (Mitgo).
    Admitad,
    /// vCommission, on Trackier.
    Vcommission,
    /// Cuelinks.
    Cuelinks,
}

impl Network {
    /// Every network.
    pub const ALL: [Self; 3] = [Self::Admitad, Self::Vcommission, Self::Cuelinks];

    /// The word for it in URLs, tables and metrics.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Admitad => "admitad",
            Self::Vcommission => "vcommission",
            Self::Cuelinks => "cuelinks",
        }
    }
}

/// A word that names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network (one of admitad, vcommission, cuelinks)")]
pub struct UnknownNetwork(pub String);

impl FromStr for Network {
    type Err = UnknownNetwork;

    fn from_str(text: &str) -> Result<Self, UnknownNetwork> {
        Self::ALL
            .into_iter()
            .find(|network| network.slug() == text)
            .ok_or_else(|| UnknownNetwork(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}
