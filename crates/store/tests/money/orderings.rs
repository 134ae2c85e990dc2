//! Postback, pull, re-pull, replay and a late click, in every order: the same ledger.

use chrono::Utc;
use domain::network::Network;
use domain::transaction::{NetworkTransaction, TransactionStatus as S};
use store::cashback::{rematch, settle};
use store::transactions;

use crate::shop::{Shop, balance, count, status, with};

/// One thing that reaches us.
#[derive(Clone)]
enum Arrival {
    Reports(Vec<NetworkTransaction>),
    Click(Box<domain::jobs::click::RecordClick>),
}

async fn arrive(shop: &Shop, network: Network, arrival: &Arrival) {
    let mut client = shop.client().await;
    let waiting = match arrival {
        Arrival::Reports(reports) => {
            let transaction = client.transaction().await.unwrap();
            let settled = settle(&transaction, network, reports, "pull", Utc::now()).await.unwrap();
            transaction.commit().await.unwrap();
            transactions::unmatched_of_orders(&client, &settled.orders).await.unwrap()
        }
        Arrival::Click(click) => {
            testkit::seed::clicks(&mut client, [&**click]).await;
            transactions::unmatched_of_clicks(&client, &[click.click_id]).await.unwrap()
        }
    };
    for (network, ids) in waiting {
        let transaction = client.transaction().await.unwrap();
        rematch(&transaction, network, &ids, Utc::now()).await.unwrap();
        transaction.commit().await.unwrap();
    }
}

fn permutations(length: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for next in 0..length {
        all = all
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=order.len()).map(move |place| {
                    let mut order = order.clone();
                    order.insert(place, next);
                    order
                })
            })
            .collect();
    }
    all
}

#[tokio::test]
async fn every_order_of_six_arrivals_gives_the_same_ledger() {
    let shop = Shop::open().await;
    for (number, order) in permutations(6).into_iter().enumerate() {
        // With the network's own times, and without.
        let network = if number % 2 == 0 { Network::Admitad } else { Network::Cuelinks };
        let user = shop.shopper("s").await;
        let click = shop.click(network, Some(user), 5_000, None);
        let report = |name: &str, age: i64, is: S, commission: i64| {
            let report = shop.report(network, &format!("{number}:{name}"), Some(click.click_id), age);
            with(status(report, is), |report| {
                report.commission = domain::money::Paise::new(commission);
                if network == Network::Cuelinks {
                    report.status_updated_at = None;
                }
            })
        };
        let arrivals = [
            Arrival::Click(Box::new(click.clone())),
            // A postback that was confirmed, a pull of both purchases, a later re-pull, a replay of old news.
            Arrival::Reports(vec![report("a", 1, S::Pending, 10_000)]),
            Arrival::Reports(vec![report("a", 2, S::Confirmed, 10_000), report("b", 1, S::Confirmed, 4_000)]),
            Arrival::Reports(vec![report("b", 3, S::Declined, 4_000), report("a", 4, S::Payable, 12_000)]),
            Arrival::Reports(vec![report("a", 3, S::Declined, 0), report("a", 2, S::Confirmed, 10_000)]),
            Arrival::Reports(vec![report("b", 2, S::Payable, 9_000)]),
        ];
        for place in &order {
            arrive(&shop, network, &arrivals[*place]).await;
        }
        assert_eq!(balance(&shop, user).await, 6_000, "{network} {order:?}");
        let client = shop.client().await;
        let statuses: Vec<(String, i64)> = client
            .query("SELECT e.status, e.credited_paise FROM cashback_events e JOIN affiliate_transactions t ON t.id = e.transaction_id
                    WHERE e.user_id = $1 ORDER BY t.external_transaction_id", &[&user])
            .await
            .unwrap()
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        // Whether it was declined before or after it was credited depends on what was seen, and money does not.
        assert_eq!(statuses[0], ("payable".to_owned(), 6_000), "{network} {order:?}");
        assert!(
            matches!(statuses[1].0.as_str(), "declined" | "reversed") && statuses[1].1 == 0,
            "{network} {order:?} {statuses:?}"
        );
    }
    assert_eq!(count(&shop, "unmatched_transactions WHERE resolved_at IS NULL").await, 0);
    assert!(store::wallet::drift(&shop.client().await, 10).await.unwrap().is_empty());
}
