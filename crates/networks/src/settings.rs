//! How the networks are reached.

use config::Reader;
use outbound::retry::RetryPolicy;

use crate::rates::Rates;
use crate::{admitad, cuelinks, vcommission};

/// How the networks are reached. A network without credentials is off.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) calls: Calls,
    pub(crate) admitad: Option<admitad::Settings>,
    pub(crate) vcommission: Option<vcommission::Settings>,
    pub(crate) cuelinks: Option<cuelinks::Settings>,
}

/// What all networks have in common.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    pub(crate) outbound: outbound::Settings,
    pub(crate) retry: RetryPolicy,
    pub(crate) rates: Rates,
}

impl Settings {
    /// Reads the settings of all networks.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            calls: Calls {
                outbound: outbound::Settings::read(reader),
                retry: RetryPolicy::read(reader),
                rates: Rates::read(reader),
            },
            admitad: admitad::Settings::read(reader),
            vcommission: vcommission::Settings::read(reader),
            cuelinks: cuelinks::Settings::read(reader),
        }
    }
}

/// A number within bounds.
pub(crate) fn bounded(reader: &mut Reader<'_>, key: &str, default: u64, most: u64, about: &str) -> u64 {
    let number = reader.default(key, default, about);
    if !(1..=most).contains(&number) {
        reader.problem(format!("{key}: must be between 1 and {most}"));
    }
    number.clamp(1, most)
}
