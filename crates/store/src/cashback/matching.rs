//! Which click a transaction belongs to: the one that its sub-id names, else the one that another transaction of the same
//! order of the same merchant belongs to. Nothing else is good enough to move money by itself.

use std::collections::{HashMap, HashSet};

use deadpool_postgres::GenericClient;
use domain::ids::{ClickId, MerchantId};
use domain::network::Network;
use futures_util::future::try_join;

use super::settle::Case;
use crate::clicks::{self, Click};
use crate::statements::query;
use crate::transactions::MatchedBy;
use crate::{StoreError, sql};

/// What the search for a click came to.
pub(super) enum Verdict {
    /// This one.
    Found {
        /// The click.
        click: Click,
        /// How it was found.
        by: MatchedBy,
    },
    /// None, for this reason (a word of `unmatched_transactions.reason`).
    Lost(&'static str),
}

type Order = (MerchantId, String);

/// Finds the clicks of the cases that have none.
pub(super) async fn find_clicks(
    client: &impl GenericClient,
    network: Network,
    cases: &mut [Case<'_>],
) -> Result<(), StoreError> {
    let claimed: HashSet<_> = open(cases).filter_map(|case| case.transaction.claimed_click).collect();
    let (merchants, mut clicks) = try_join(merchants(client, network, cases), by_id(client, claimed)).await?;
    for case in cases.iter_mut() {
        let transaction = &mut case.transaction;
        let of_campaign = transaction.campaign_id.as_ref().and_then(|campaign| merchants.get(campaign));
        transaction.merchant_id = transaction.merchant_id.or(of_campaign.copied());
    }

    for case in cases.iter_mut().filter(|case| is_open(case)) {
        case.verdict = by_sub_id(case, network, &clicks);
    }

    let mut known = order_clicks(client, cases).await?;
    for case in cases.iter() {
        let transaction = &case.transaction;
        let click = match &case.verdict {
            Some(Verdict::Found { click, .. }) => Some(click.id),
            _ => transaction.click_id,
        };
        if let (Some(click), Some(merchant), Some(order)) =
            (click, transaction.merchant_id, transaction.order_id.clone())
        {
            known.entry((merchant, order)).or_default().insert(click);
        }
    }
    let missing = known.values().flatten().filter(|click| !clicks.contains_key(click)).copied().collect();
    clicks.extend(by_id(client, missing).await?);
    for case in cases.iter_mut().filter(|case| is_open(case)) {
        case.verdict = Some(by_order(case, network, &known, &clicks));
    }
    Ok(())
}

/// Whether a case still looks for its click. A sub-id that names a click which contradicts the report is an answer.
fn is_open(case: &Case<'_>) -> bool {
    case.transaction.click_id.is_none() && case.verdict.is_none()
}

fn open<'a, 'b>(cases: &'a [Case<'b>]) -> impl Iterator<Item = &'a Case<'b>> {
    cases.iter().filter(|case| is_open(case))
}

fn by_sub_id(case: &Case<'_>, network: Network, clicks: &HashMap<ClickId, Click>) -> Option<Verdict> {
    let click = clicks.get(&case.transaction.claimed_click?)?;
    let differs = case.transaction.merchant_id.is_some_and(|merchant| merchant != click.merchant_id);
    Some(if click.network != network {
        Verdict::Lost("network_differs")
    } else if differs {
        // The promise was made for another shop: its rate does not fit this commission.
        Verdict::Lost("merchant_differs")
    } else {
        Verdict::Found { click: click.clone(), by: MatchedBy::Click }
    })
}

fn by_order(
    case: &Case<'_>,
    network: Network,
    known: &HashMap<Order, HashSet<ClickId>>,
    clicks: &HashMap<ClickId, Click>,
) -> Verdict {
    let transaction = &case.transaction;
    // A sub-id of ours whose click is on its way is waited for; the order could name another shopper's click.
    if transaction.claimed_click.is_some() {
        return Verdict::Lost("unknown_click");
    }
    let order = transaction.merchant_id.zip(transaction.order_id.clone());
    let Some(candidates) = order.and_then(|order| known.get(&order)) else { return Verdict::Lost("no_click") };
    let mut candidates =
        candidates.iter().filter_map(|click| clicks.get(click)).filter(|click| click.network == network);
    match (candidates.next(), candidates.next()) {
        (Some(click), None) => Verdict::Found { click: click.clone(), by: MatchedBy::Order },
        (Some(_), Some(_)) => Verdict::Lost("several_clicks"),
        (None, _) => Verdict::Lost("no_click"),
    }
}

async fn by_id(client: &impl GenericClient, ids: HashSet<ClickId>) -> Result<HashMap<ClickId, Click>, StoreError> {
    let ids: Vec<_> = ids.into_iter().collect();
    Ok(clicks::find_many(client, &ids).await?.into_iter().map(|click| (click.id, click)).collect())
}

/// The shops of the campaigns that the cases name.
async fn merchants(
    client: &impl GenericClient,
    network: Network,
    cases: &[Case<'_>],
) -> Result<HashMap<String, MerchantId>, StoreError> {
    let campaigns: HashSet<_> = open(cases)
        .filter(|case| case.transaction.merchant_id.is_none())
        .filter_map(|case| case.transaction.campaign_id.as_deref())
        .collect();
    if campaigns.is_empty() {
        return Ok(HashMap::new());
    }
    let campaigns: Vec<_> = campaigns.into_iter().collect();
    let rows = query(client, sql!("transactions/merchants_of_campaigns.sql"), &[&network.slug(), &campaigns]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The clicks that stored transactions of the open cases' orders belong to.
async fn order_clicks(
    client: &impl GenericClient,
    cases: &[Case<'_>],
) -> Result<HashMap<Order, HashSet<ClickId>>, StoreError> {
    let orders: HashSet<_> = open(cases)
        .filter(|case| case.transaction.claimed_click.is_none())
        .filter_map(|case| case.transaction.merchant_id.zip(case.transaction.order_id.as_deref()))
        .collect();
    let mut known: HashMap<Order, HashSet<ClickId>> = HashMap::new();
    if orders.is_empty() {
        return Ok(known);
    }
    let (merchants, numbers): (Vec<_>, Vec<_>) = orders.into_iter().unzip();
    for row in query(client, sql!("transactions/siblings.sql"), &[&merchants, &numbers]).await? {
        known.entry((row.try_get(0)?, row.try_get(1)?)).or_default().insert(row.try_get(2)?);
    }
    Ok(known)
}
