//! Clicks on affiliate links, and the landing pages they ended on.

use crate::provider::Network;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// How many clicks are kept.
const KEPT: usize = 20_000;

/// A click a network has counted.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Click {
    /// The network's own click id.
    pub(crate) id: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) network: Network,
    /// Campaign id, channel id or link hash, as the link has it.
    pub(crate) campaign: String,
    pub(crate) sub_ids: BTreeMap<String, String>,
    pub(crate) target: Option<String>,
    pub(crate) user_agent: String,
    /// When the shopper's browser asked for the landing page.
    pub(crate) landed_at: Option<DateTime<Utc>>,
}

/// The last clicks, found again by any of their sub-ids.
#[derive(Debug, Default)]
pub(crate) struct Clicks {
    list: VecDeque<Click>,
    /// Number of the click at the front of `list`.
    first: usize,
    by_sub_id: HashMap<(Network, String), usize>,
    by_id: HashMap<String, usize>,
}

impl Clicks {
    /// Counts a click.
    pub(crate) fn record(&mut self, click: Click) {
        let number = self.first + self.list.len();
        for value in click.sub_ids.values() {
            self.by_sub_id.insert((click.network, value.clone()), number);
        }
        self.by_id.insert(click.id.clone(), number);
        self.list.push_back(click);
        while self.list.len() > KEPT {
            if let Some(gone) = self.list.pop_front() {
                self.by_id.remove(&gone.id);
                let first = self.first;
                for value in gone.sub_ids.into_values() {
                    let key = (gone.network, value);
                    if self.by_sub_id.get(&key) == Some(&first) {
                        self.by_sub_id.remove(&key);
                    }
                }
                self.first += 1;
            }
        }
    }

    /// The last click that carried this sub-id.
    pub(crate) fn with_sub_id(&self, network: Network, sub_id: &str) -> Option<&Click> {
        let number = self.by_sub_id.get(&(network, sub_id.to_owned()))?;
        self.list.get(number.checked_sub(self.first)?)
    }

    /// Notes that the shopper has arrived.
    pub(crate) fn landed(&mut self, id: &str, at: DateTime<Utc>) {
        let first = self.first;
        let index = self.by_id.get(id).and_then(|n| n.checked_sub(first));
        if let Some(click) = index.and_then(|i| self.list.get_mut(i)) {
            click.landed_at.get_or_insert(at);
        }
    }

    /// The last `count` clicks, newest first.
    pub(crate) fn latest(&self, count: usize) -> Vec<Click> {
        self.list.iter().rev().take(count).cloned().collect()
    }
}
