//! The networks' books: conversions, and how they change.

use crate::amount::Amount;
use crate::clicks::Click;
use crate::ids::Ids;
use crate::provider::Network;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A conversion in a network's books.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Transaction {
    pub(crate) network: Network,
    /// The network's own id: a number, or 24 hexadecimal digits at vCommission.
    pub(crate) id: String,
    /// The network's click, not ours.
    pub(crate) click_id: String,
    /// By the network's parameter names.
    pub(crate) sub_ids: BTreeMap<String, String>,
    pub(crate) campaign_id: u64,
    pub(crate) campaign_name: String,
    pub(crate) order_id: Option<String>,
    pub(crate) sale_amount: Option<Amount>,
    pub(crate) commission: Option<Amount>,
    pub(crate) currency: String,
    pub(crate) status: String,
    pub(crate) paid: bool,
    pub(crate) comment: Option<String>,
    pub(crate) clicked_at: DateTime<Utc>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

impl Transaction {
    /// A sub-id by the network's name for it.
    pub(crate) fn sub_id(&self, name: &str) -> Option<&str> {
        self.sub_ids.get(name).map(String::as_str)
    }
}

/// What `POST /_sim/transactions` takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTransaction {
    pub(crate) network: Network,
    #[serde(default)]
    pub(crate) id: Option<String>,
    /// The click id our link carried. A click with it, if one was seen, lends its time and other sub-ids.
    #[serde(default)]
    pub(crate) sub_id: Option<String>,
    /// Sub-ids by name, instead of or beside `sub_id`.
    #[serde(default)]
    pub(crate) sub_ids: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) campaign_id: Option<u64>,
    #[serde(default)]
    pub(crate) campaign_name: Option<String>,
    #[serde(default)]
    pub(crate) order_id: Option<String>,
    #[serde(default)]
    pub(crate) sale_amount: Option<Amount>,
    #[serde(default)]
    pub(crate) commission: Option<Amount>,
    #[serde(default)]
    pub(crate) currency: Option<String>,
    #[serde(default)]
    pub(crate) status: Option<String>,
    #[serde(default)]
    pub(crate) paid: bool,
    #[serde(default)]
    pub(crate) comment: Option<String>,
    /// When the order was placed; now unless given.
    #[serde(default)]
    pub(crate) at: Option<DateTime<Utc>>,
    /// `true` sends a postback even where the network would not, `false` sends none.
    #[serde(default)]
    pub(crate) postback: Option<bool>,
    /// Allows status words the network does not have.
    #[serde(default)]
    pub(crate) force: bool,
}

/// What `POST /_sim/transactions/{network}/{id}` takes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    #[serde(default)]
    pub(crate) status: Option<String>,
    #[serde(default)]
    pub(crate) commission: Option<Amount>,
    #[serde(default)]
    pub(crate) sale_amount: Option<Amount>,
    #[serde(default)]
    pub(crate) currency: Option<String>,
    #[serde(default)]
    pub(crate) paid: Option<bool>,
    #[serde(default)]
    pub(crate) comment: Option<String>,
    /// When it changed; now unless given.
    #[serde(default)]
    pub(crate) at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(crate) postback: Option<bool>,
    #[serde(default)]
    pub(crate) force: bool,
}

/// Why the books refused an entry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BookError {
    #[error("{network} has no status \"{status}\" (it has: {known}); \"force\":true writes it all the same", network = .network.name(), known = .network.statuses().join(", "))]
    UnknownStatus { network: Network, status: String },
    #[error("{network} has no sub-id \"{name}\" (it has: {known})", network = .network.name(), known = .network.sub_id_names().join(", "))]
    UnknownSubId { network: Network, name: String },
    #[error("{network} has a transaction {id} already", network = .network.name())]
    Duplicate { network: Network, id: String },
    #[error("ids at {network} are {form}", network = .network.name(), form = id_form(*.network))]
    BadId { network: Network },
    #[error("{network} has no transaction {id}", network = .network.name())]
    NotFound { network: Network, id: String },
}

fn id_form(network: Network) -> &'static str {
    match network {
        Network::Vcommission => "24 hexadecimal digits",
        Network::Admitad | Network::Cuelinks => "whole numbers",
    }
}

/// One network's conversions, in the order they were booked.
#[derive(Debug)]
pub(crate) struct Book {
    network: Network,
    rows: Vec<Transaction>,
    by_id: HashMap<String, usize>,
    /// When each was made, which never changes, and where it stands in `rows`.
    by_time: BTreeSet<(DateTime<Utc>, usize)>,
    next: u64,
}

impl Book {
    /// An empty book. Numbers start in another range for each seed.
    pub(crate) fn new(network: Network, seed: u64) -> Self {
        let base = match network {
            Network::Admitad => 700_000_001,
            Network::Vcommission => 0x66d0_0000_0001,
            Network::Cuelinks => 5_500_001,
        };
        let next = base + seed % 10_000 * 1_000_000;
        Self { network, rows: Vec::new(), by_id: HashMap::new(), by_time: BTreeSet::new(), next }
    }

    /// All rows.
    pub(crate) fn rows(&self) -> &[Transaction] {
        &self.rows
    }

    /// All rows, the oldest first; of one instant, in the order they were booked.
    pub(crate) fn by_time(&self) -> impl Iterator<Item = &Transaction> {
        self.by_time.iter().filter_map(|(_, place)| self.rows.get(*place))
    }

    /// One row.
    pub(crate) fn get(&self, id: &str) -> Option<&Transaction> {
        self.by_id.get(id).and_then(|i| self.rows.get(*i))
    }

    /// The id of the next row, in the network's form.
    pub(crate) fn next_id(&mut self) -> String {
        loop {
            let number = self.next;
            self.next += 1;
            let id = match self.network {
                Network::Vcommission => format!("{number:012x}000000000000"),
                Network::Admitad | Network::Cuelinks => number.to_string(),
            };
            if !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }

    /// Books a conversion and returns it.
    pub(crate) fn add(
        &mut self,
        new: NewTransaction,
        click: Option<&Click>,
        ids: &mut Ids,
        now: DateTime<Utc>,
    ) -> Result<Transaction, BookError> {
        let network = self.network;
        if let Some(name) = new.sub_ids.keys().find(|name| !network.sub_id_names().contains(&name.as_str())) {
            return Err(BookError::UnknownSubId { network, name: name.clone() });
        }
        let status = new.status.unwrap_or_else(|| network.statuses().first().copied().unwrap_or_default().to_owned());
        check_status(network, &status, new.force)?;
        let id = match new.id {
            None => self.next_id(),
            Some(id) => self.checked_id(id)?,
        };
        let at = new.at.unwrap_or(now);
        let mut sub_ids = click.map(|c| c.sub_ids.clone()).unwrap_or_default();
        if let (None, Some(sub_id)) = (click, new.sub_id) {
            // Without a click we do as our own links do: the click id in the parameter meant for it.
            let names: &[&str] =
                if network == Network::Admitad { &["subid", "subid4"] } else { network.sub_id_names() };
            for name in names.iter().take(if network == Network::Admitad { 2 } else { 1 }) {
                sub_ids.insert((*name).to_owned(), sub_id.clone());
            }
        }
        sub_ids.extend(new.sub_ids);
        let campaign_id = new.campaign_id.unwrap_or(10_001);
        self.insert(Transaction {
            network,
            click_id: click.map_or_else(|| ids.hex(24), |c| c.id.clone()),
            sub_ids,
            campaign_id,
            campaign_name: new.campaign_name.unwrap_or_else(|| format!("Campaign {campaign_id}")),
            order_id: Some(new.order_id.unwrap_or_else(|| format!("OD-SIM-{}", ids.digits(8))))
                .filter(|o| !o.is_empty()),
            sale_amount: new.sale_amount,
            commission: new.commission,
            currency: new.currency.unwrap_or_else(|| "INR".to_owned()),
            status,
            paid: new.paid,
            comment: new.comment,
            clicked_at: click.map_or_else(|| at - chrono::Duration::minutes(15), |c| c.at.min(at)),
            at,
            updated_at: at,
            id: id.clone(),
        });
        self.get(&id).cloned().ok_or(BookError::NotFound { network, id })
    }

    /// Books a row as it is.
    pub(crate) fn insert(&mut self, row: Transaction) {
        let place = self.rows.len();
        self.by_id.insert(row.id.clone(), place);
        self.by_time.insert((row.at, place));
        self.rows.push(row);
    }

    /// Changes a row; returns it as it was and as it is.
    pub(crate) fn change(
        &mut self,
        id: &str,
        change: Change,
        now: DateTime<Utc>,
    ) -> Result<(Transaction, Transaction), BookError> {
        let network = self.network;
        let not_found = || BookError::NotFound { network, id: id.to_owned() };
        if let Some(status) = &change.status {
            check_status(network, status, change.force)?;
        }
        let index = *self.by_id.get(id).ok_or_else(not_found)?;
        let row = self.rows.get_mut(index).ok_or_else(not_found)?;
        let before = row.clone();
        row.updated_at = change.at.unwrap_or(now);
        if let Some(status) = change.status {
            row.status = status;
        }
        row.commission = change.commission.or(row.commission);
        row.sale_amount = change.sale_amount.or(row.sale_amount);
        row.paid = change.paid.unwrap_or(row.paid);
        if let Some(currency) = change.currency {
            row.currency = currency;
        }
        row.comment = change.comment.or_else(|| row.comment.take());
        Ok((before, row.clone()))
    }

    fn checked_id(&self, id: String) -> Result<String, BookError> {
        let network = self.network;
        let well_formed = match network {
            Network::Vcommission => id.len() == 24 && id.bytes().all(|b| b.is_ascii_hexdigit()),
            Network::Admitad | Network::Cuelinks => id.parse::<u64>().is_ok(),
        };
        if !well_formed {
            return Err(BookError::BadId { network });
        }
        if self.by_id.contains_key(&id) {
            return Err(BookError::Duplicate { network, id });
        }
        Ok(id)
    }
}

fn check_status(network: Network, status: &str, force: bool) -> Result<(), BookError> {
    if force || network.statuses().contains(&status) {
        return Ok(());
    }
    Err(BookError::UnknownStatus { network, status: status.to_owned() })
}
