//! Large worlds: transactions by the thousand, the same ones for the same seed.

use crate::amount::Amount;
use crate::ids::Ids;
use crate::provider::Network;
use crate::transactions::{Book, BookError, Transaction};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rows one call may make.
const MOST: usize = 1_000_000;

/// What `POST /_sim/transactions/bulk` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bulk {
    pub(crate) network: Network,
    count: usize,
    /// Orders are spread over so many days before now (or before `until`).
    #[serde(default = "thirty")]
    days: i64,
    #[serde(default)]
    seed: u64,
    /// Used in turn; without any, a tenth of the rows has no sub-id and the others have fresh ones.
    #[serde(default)]
    sub_ids: Vec<String>,
    #[serde(default)]
    campaign_ids: Vec<u64>,
    /// Used in turn; without any, drawn from the network's words, most often the first.
    #[serde(default)]
    statuses: Vec<String>,
    #[serde(default)]
    until: Option<DateTime<Utc>>,
}

fn thirty() -> i64 {
    30
}

/// What was made.
#[derive(Debug, Serialize)]
pub(crate) struct Made {
    count: usize,
    first_id: Option<String>,
    last_id: Option<String>,
    by_status: BTreeMap<String, Sum>,
}

/// Rows and sums of a status.
#[derive(Debug, Serialize)]
struct Sum {
    count: usize,
    commission: Amount,
    sale_amount: Amount,
}

/// Makes the rows. Order ids, amounts and times depend on the seed and the end of the period only.
pub(crate) fn make(book: &mut Book, asked: &Bulk, now: DateTime<Utc>) -> Result<Made, BookError> {
    let network = asked.network;
    if let Some(unknown) = asked.statuses.iter().find(|s| !network.statuses().contains(&s.as_str())) {
        return Err(BookError::UnknownStatus { network, status: unknown.clone() });
    }
    let mut ids = Ids::new(asked.seed);
    let until = asked.until.unwrap_or(now);
    let span = Duration::days(asked.days.clamp(0, 3_650)).num_seconds();
    let names: &[&str] = if network == Network::Admitad { &["subid", "subid4"] } else { network.sub_id_names() };
    let carriers = names.get(..if network == Network::Admitad { 2 } else { 1 }).unwrap_or(names);
    let mut made = Made { count: 0, first_id: None, last_id: None, by_status: BTreeMap::new() };
    for number in 0..asked.count.min(MOST) {
        let sale = ids.between(9_900, 999_900);
        let commission = sale.saturating_mul(ids.between(100, 1_200)) / 10_000;
        let at = until - Duration::seconds(ids.between(0, span));
        let status = pick(&asked.statuses, number).cloned().unwrap_or_else(|| draw_status(&mut ids, network));
        let sub_id = match pick(&asked.sub_ids, number) {
            Some(sub_id) => Some(sub_id.clone()),
            None if ids.chance(0.1) => None,
            None => Some(ids.hex(32)),
        };
        let sub_ids = sub_id
            .map(|sub_id| carriers.iter().map(|name| ((*name).to_owned(), sub_id.clone())).collect())
            .unwrap_or_default();
        let campaign_id = pick(&asked.campaign_ids, number).copied().unwrap_or(10_001);
        let row = Transaction {
            network,
            id: book.next_id(),
            click_id: ids.hex(24),
            sub_ids,
            campaign_id,
            campaign_name: format!("Campaign {campaign_id}"),
            order_id: Some(format!("OD-BULK-{}-{number}", asked.seed)),
            sale_amount: Some(Amount::from_minor(sale)),
            commission: Some(Amount::from_minor(commission)),
            currency: "INR".to_owned(),
            paid: status == "paid",
            status,
            comment: None,
            clicked_at: at - Duration::seconds(ids.between(30, 7_200)),
            at,
            updated_at: at,
        };
        let sum = made.by_status.entry(row.status.clone()).or_insert(Sum {
            count: 0,
            commission: Amount::ZERO,
            sale_amount: Amount::ZERO,
        });
        sum.count += 1;
        sum.commission.0 += Amount::from_minor(commission).0;
        sum.sale_amount.0 += Amount::from_minor(sale).0;
        made.count += 1;
        made.first_id.get_or_insert_with(|| row.id.clone());
        made.last_id = Some(row.id.clone());
        book.insert(row);
    }
    Ok(made)
}

/// The list's members in turn.
fn pick<T>(list: &[T], number: usize) -> Option<&T> {
    list.get(number.checked_rem(list.len())?)
}

/// Three in five are fresh, the others are spread over the network's other words.
fn draw_status(ids: &mut Ids, network: Network) -> String {
    let words = network.statuses();
    let last = i64::try_from(words.len()).unwrap_or(1) - 1;
    let index = if ids.chance(0.6) { 0 } else { ids.between(1, last) };
    usize::try_from(index).ok().and_then(|i| words.get(i)).copied().unwrap_or_default().to_owned()
}
