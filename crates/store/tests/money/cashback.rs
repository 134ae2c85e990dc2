//! From a network's report to the wallet.

use crate::shop::{Shop, balance, status, with};
use chrono::Utc;
use domain::money::Paise;
use domain::network::Network;
use domain::transaction::{NetworkTransaction, QuarantineReason, Quarantined, TransactionStatus as S};
use store::cashback::{Settled, rematch, settle};
use store::{transactions, wallet};

async fn apply(shop: &Shop, reports: &[NetworkTransaction]) -> Settled {
    let mut client = shop.client().await;
    let transaction = client.transaction().await.unwrap();
    let settled = settle(&transaction, reports[0].network, reports, "pull", Utc::now()).await.unwrap();
    transaction.commit().await.unwrap();
    settled
}

/// Kinds and event keys of what was promised to people, in order.
async fn told(shop: &Shop) -> Vec<(String, String)> {
    let rows = shop
        .client()
        .await
        .query("SELECT payload->'message'->>'template', payload->>'event_key' FROM outbox WHERE kind IN ('email.send', 'sms.send') ORDER BY id", &[])
        .await;
    rows.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn a_purchase_is_tracked_credited_changed_and_taken_back() {
    let shop = Shop::open().await;
    let asha = shop.shopper("asha").await;
    let click = shop.click(Network::Admitad, Some(asha), 5_000, None);
    shop.record(std::slice::from_ref(&click)).await;
    let report = |age| shop.report(Network::Admitad, "1", Some(click.click_id), age);

    let first = apply(&shop, &[report(1)]).await;
    assert_eq!((first.new, first.matched, first.postings), (1, 1, 0));
    assert_eq!(balance(&shop, asha).await, 0);
    let overview = wallet::overview(&shop.client().await, asha).await.unwrap().unwrap();
    assert_eq!(overview.pending, Paise::new(5_000));

    assert_eq!(apply(&shop, &[status(report(2), S::Confirmed)]).await.postings, 1);
    assert_eq!(balance(&shop, asha).await, 5_000);
    // The same again, and older news, change nothing.
    for again in [status(report(2), S::Confirmed), report(1), status(report(1), S::Declined)] {
        let settled = apply(&shop, &[again]).await;
        assert_eq!((settled.changed, settled.unchanged, settled.postings), (0, 1, 0));
    }
    // A higher commission brings the difference; funded makes it payable; a decline takes all of it.
    let dearer = with(status(report(3), S::Payable), |report| report.commission = Paise::new(12_000));
    assert_eq!(apply(&shop, &[dearer]).await.postings, 1);
    assert_eq!(balance(&shop, asha).await, 6_000);
    assert_eq!(apply(&shop, &[status(report(4), S::Declined)]).await.postings, 1);
    assert_eq!(balance(&shop, asha).await, 0);

    let templates: Vec<_> = told(&shop).await.into_iter().map(|(template, _)| template).collect();
    assert_eq!(templates, ["cashback_tracked", "cashback_credited", "cashback_credited", "cashback_declined"]);
    let keys: std::collections::HashSet<_> = told(&shop).await.into_iter().map(|(_, key)| key).collect();
    assert_eq!(keys.len(), 4, "each news has a key of its own: {keys:?}");
    let history: i64 =
        shop.client().await.query_one("SELECT count(*) FROM affiliate_transaction_history", &[]).await.unwrap().get(0);
    assert_eq!(history, 4);
    assert!(wallet::drift(&shop.client().await, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_click_that_arrives_late_matches_by_itself_and_brings_its_order_along() {
    let shop = Shop::open().await;
    let asha = shop.shopper("asha").await;
    let click = shop.click(Network::Cuelinks, Some(asha), 10_000, None);
    let order = |report: NetworkTransaction| with(report, |report| report.order_ref = Some("A-1".to_owned()));
    let named = order(status(shop.report(Network::Cuelinks, "1", Some(click.click_id), 1), S::Confirmed));
    let sibling = order(status(shop.report(Network::Cuelinks, "2", None, 1), S::Confirmed));
    let stranger = shop.report(Network::Cuelinks, "3", None, 1);

    let settled = apply(&shop, &[named, sibling, stranger]).await;
    assert_eq!((settled.new, settled.matched, settled.unmatched), (3, 0, 3));
    shop.record(std::slice::from_ref(&click)).await;
    let mut client = shop.client().await;
    let waiting = store::transactions::unmatched_of_clicks(&client, &[click.click_id]).await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let first = rematch(&transaction, Network::Cuelinks, &waiting[&Network::Cuelinks], Utc::now()).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!((first.matched, first.postings), (1, 1));
    let siblings = store::transactions::unmatched_of_orders(&client, &first.orders).await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let second = rematch(&transaction, Network::Cuelinks, &siblings[&Network::Cuelinks], Utc::now()).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!((second.matched, second.postings), (1, 1));
    assert_eq!(balance(&shop, asha).await, 20_000);
    let open: i64 = client
        .query_one("SELECT count(*) FROM unmatched_transactions WHERE resolved_at IS NULL", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(open, 1, "the stranger stays");
}

#[tokio::test]
async fn the_sweep_finds_what_can_be_matched_now_and_nothing_else() {
    let shop = Shop::open().await;
    let asha = shop.shopper("asha").await;
    let here = shop.click(Network::Admitad, Some(asha), 5_000, None);
    // A click that led to the same shop through another network.
    let mut elsewhere = shop.click(Network::Cuelinks, Some(asha), 5_000, None);
    elsewhere.merchant_id = here.merchant_id;
    shop.record(&[here.clone(), elsewhere.clone()]).await;
    let of = |network, id: &str, click, order: &str| {
        with(shop.report(network, id, click, 1), |report| {
            report.order_ref = Some(order.to_owned());
            report.campaign_id = report.campaign_id.take().filter(|_| network == Network::Admitad);
        })
    };
    assert_eq!(apply(&shop, &[of(Network::Cuelinks, "1", Some(elsewhere.click_id), "A")]).await.matched, 1);
    let silent = [of(Network::Admitad, "2", None, "A"), of(Network::Admitad, "3", None, "B")];
    assert_eq!(apply(&shop, &silent).await.unmatched, 2);
    let client = shop.client().await;
    assert!(transactions::sweep(&client, 10).await.unwrap().is_empty(), "no click of their network is known");
    assert_eq!(apply(&shop, &[of(Network::Admitad, "4", Some(here.click_id), "B")]).await.matched, 1);
    let found = transactions::sweep(&client, 10).await.unwrap();
    let third = transactions::lock_known(&client, Network::Admitad, &["3"]).await.unwrap();
    assert_eq!(found, std::collections::HashMap::from([(Network::Admitad, vec![third[0].id])]));
}

#[tokio::test]
async fn what_was_put_aside_is_understood_by_a_report_that_says_nothing_new() {
    let shop = Shop::open().await;
    apply(&shop, &[shop.report(Network::Admitad, "1", None, 1)]).await;
    let client = shop.client().await;
    let riddle = Quarantined {
        network: Network::Admitad,
        external_id: Some("1".to_owned()),
        reason: QuarantineReason::UnknownStatus("on_the_moon".to_owned()),
        raw_status: Some("on_the_moon".to_owned()),
        observed_at: Utc::now(),
        raw: "{}".to_owned(),
    };
    transactions::quarantine(&client, &[riddle]).await.unwrap();
    assert_eq!(transactions::quarantined(&client, 10).await.unwrap().len(), 1);
    let settled = apply(&shop, &[shop.report(Network::Admitad, "1", None, 2)]).await;
    assert_eq!((settled.changed, settled.unchanged), (0, 1));
    assert!(transactions::quarantined(&client, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_page_of_riddles_is_put_aside_at_once_and_each_is_counted() {
    let shop = Shop::open().await;
    let client = shop.client().await;
    let riddle = |id: Option<&str>, status: &str| Quarantined {
        network: Network::Admitad,
        external_id: id.map(str::to_owned),
        reason: QuarantineReason::UnknownStatus(status.to_owned()),
        raw_status: Some(format!("{status}\0")),
        observed_at: Utc::now(),
        raw: "{}".to_owned(),
    };
    // One twice, as it changed while the page was read; two alike without an id.
    let page = [
        riddle(Some("1"), "odd"),
        riddle(Some("2"), "odd"),
        riddle(None, "odd"),
        riddle(Some("1"), "even"),
        riddle(None, "odd"),
    ];
    for times in 1..=2 {
        transactions::quarantine(&client, &page).await.unwrap();
        let mut rows = transactions::quarantined(&client, 10).await.unwrap();
        rows.sort_by(|one, other| one.external_id.cmp(&other.external_id));
        let seen: Vec<_> = rows.iter().map(|row| (row.raw_status.as_deref().unwrap(), row.times_seen)).collect();
        assert_eq!(seen, [("even", 2 * times), ("odd", times), ("odd", 2 * times)]);
        assert!(rows[2].external_id.starts_with("sha256:"));
    }
    transactions::quarantine(&client, &[]).await.unwrap();
}
