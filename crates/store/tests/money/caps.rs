//! Exact shares, caps that several purchases use up together, rules that were in force at the click, frozen rates.

use chrono::{TimeDelta, Utc};
use domain::ids::UserId;
use domain::money::{Currency, Paise};
use domain::network::Network;
use domain::transaction::{ForeignAmounts, NetworkTransaction, TransactionStatus as S};
use store::cashback::settle;

use crate::shop::{Shop, balance, status, with};

pub(crate) async fn apply(shop: &Shop, reports: &[NetworkTransaction]) {
    let mut client = shop.client().await;
    let transaction = client.transaction().await.unwrap();
    settle(&transaction, reports[0].network, reports, "pull", Utc::now()).await.unwrap();
    transaction.commit().await.unwrap();
}

pub(crate) async fn rules(shop: &Shop, order_cap: Option<i64>, month_cap: Option<i64>, ago: TimeDelta) {
    let from = Utc::now() - ago;
    let statement = "INSERT INTO cashback_rules (valid_from, order_cap_paise, month_cap_paise, holding_days, min_withdrawal_paise,
                                                 advance_limit_paise, note, set_by) VALUES ($1, $2, $3, 0, 10000, 100000, 'test', 'test')";
    shop.client().await.execute(statement, &[&from, &order_cap, &month_cap]).await.unwrap();
}

async fn amounts(shop: &Shop, user: UserId) -> Vec<(i64, i32)> {
    let statement = "SELECT e.amount_paise, e.rule_version FROM cashback_events e JOIN affiliate_transactions t ON t.id = e.transaction_id
                     WHERE e.user_id = $1 ORDER BY t.external_transaction_id";
    let rows = shop.client().await.query(statement, &[&user]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn a_share_is_exact_and_its_rest_stays_with_the_platform() {
    let shop = Shop::open().await;
    let asha = shop.shopper("asha").await;
    let mut expected = 0;
    for (number, (rate, commission, share)) in
        [(3_333, 100, 33), (1, 9_999, 0), (10_000, 12_345, 12_345), (6_667, 3, 2), (0, 500, 0), (5_050, 99_999, 50_499)]
            .into_iter()
            .enumerate()
    {
        let click = shop.click(Network::Admitad, Some(asha), rate, None);
        shop.record(std::slice::from_ref(&click)).await;
        let report = shop.report(Network::Admitad, &number.to_string(), Some(click.click_id), 1);
        let report = with(report, |report| report.commission = Paise::new(commission));
        apply(&shop, &[status(report, S::Confirmed)]).await;
        expected += share;
        assert_eq!(balance(&shop, asha).await, expected, "{rate} of {commission}");
    }
}

#[tokio::test]
async fn several_purchases_share_the_caps_of_their_click_order_and_month() {
    let shop = Shop::open().await;
    let (asha, ravi, mina) = (shop.shopper("asha").await, shop.shopper("ravi").await, shop.shopper("mina").await);
    // The click's own cap, over two batches.
    let click = shop.click(Network::Admitad, Some(asha), 5_000, Some(7_000));
    shop.record(std::slice::from_ref(&click)).await;
    let of = |id: &str| status(shop.report(Network::Admitad, id, Some(click.click_id), 1), S::Confirmed);
    apply(&shop, &[of("a1")]).await;
    apply(&shop, &[of("a2"), of("a3")]).await;
    assert_eq!(amounts(&shop, asha).await, [(5_000, 1), (2_000, 1), (0, 1)]);

    // Order and month, once their rules are in force; a month cap counts what came before it, too.
    rules(&shop, Some(6_000), Some(9_000), TimeDelta::hours(1)).await;
    let (first, second) =
        (shop.click(Network::Admitad, Some(ravi), 5_000, None), shop.click(Network::Admitad, Some(ravi), 5_000, None));
    shop.record(&[first.clone(), second.clone()]).await;
    let of = |id: &str, click, order: &str| {
        let report = status(shop.report(Network::Admitad, id, Some(click), 1), S::Confirmed);
        with(report, |report| report.order_ref = Some(order.to_owned()))
    };
    apply(&shop, &[of("r1", first.click_id, "X"), of("r2", first.click_id, "X"), of("r3", second.click_id, "Y")]).await;
    assert_eq!(
        amounts(&shop, ravi).await,
        [(5_000, 2), (1_000, 2), (3_000, 2)],
        "the order caps at 6,000, the month at 9,000"
    );
    assert_eq!(balance(&shop, ravi).await, 9_000);
    // What was declined frees its share for the next purchase, not for those that are decided.
    apply(
        &shop,
        &[with(of("r1", first.click_id, "X"), |report| {
            report.status = S::Declined;
            report.status_updated_at = report.status_updated_at.map(|at| at + TimeDelta::hours(1));
        })],
    )
    .await;
    apply(&shop, &[of("r4", second.click_id, "Z")]).await;
    assert_eq!(amounts(&shop, ravi).await, [(5_000, 2), (1_000, 2), (3_000, 2), (5_000, 2)]);
    assert_eq!(balance(&shop, ravi).await, 9_000, "1,000 + 3,000 + 5,000");

    // A click from before the rules keeps the rules of its time, and the decision names them.
    let mut old = shop.click(Network::Admitad, Some(mina), 5_000, None);
    old.clicked_at = Utc::now() - TimeDelta::hours(2);
    shop.record(std::slice::from_ref(&old)).await;
    let big = with(of("m1", old.click_id, "M"), |report| report.commission = Paise::new(100_000));
    apply(&shop, &[big]).await;
    assert_eq!(amounts(&shop, mina).await, [(50_000, 1)]);
}

#[tokio::test]
async fn what_rises_or_comes_back_from_a_decline_takes_only_what_others_leave() {
    let shop = Shop::open().await;
    let (asha, ravi) = (shop.shopper("asha").await, shop.shopper("ravi").await);
    let of = |id: &str, click, age: i64, is: S, commission: i64| {
        let report = status(shop.report(Network::Admitad, id, Some(click), age), is);
        with(report, |report| report.commission = Paise::new(commission))
    };
    // The click's own cap.
    let click = shop.click(Network::Admitad, Some(asha), 5_000, Some(7_000));
    shop.record(std::slice::from_ref(&click)).await;
    let of_click = |id: &str, age: i64, is: S, commission: i64| of(id, click.click_id, age, is, commission);
    apply(&shop, &[of_click("a1", 1, S::Confirmed, 10_000), of_click("a2", 1, S::Confirmed, 10_000)]).await;
    apply(&shop, &[of_click("a1", 2, S::Confirmed, 20_000)]).await;
    assert_eq!(amounts(&shop, asha).await, [(5_000, 1), (2_000, 1)], "nothing is left for the rise");
    // A page in which one makes room, the next takes it, and what comes behind finds none.
    let page = [
        of_click("a2", 2, S::Declined, 10_000),
        of_click("a1", 3, S::Payable, 20_000),
        of_click("a3", 1, S::Confirmed, 10_000),
    ];
    apply(&shop, &page).await;
    apply(&shop, &[of_click("a2", 3, S::Confirmed, 10_000)]).await;
    assert_eq!(amounts(&shop, asha).await, [(7_000, 1), (0, 1), (0, 1)]);
    assert_eq!(balance(&shop, asha).await, 7_000);

    // The order caps at 6,000, the month at 9,000.
    rules(&shop, Some(6_000), Some(9_000), TimeDelta::hours(1)).await;
    let click = shop.click(Network::Admitad, Some(ravi), 5_000, None);
    shop.record(std::slice::from_ref(&click)).await;
    let in_order = |id: &str, order: &str, age: i64, is: S, commission: i64| {
        with(of(id, click.click_id, age, is, commission), |report| report.order_ref = Some(order.to_owned()))
    };
    let confirmed = |id: &str, order: &str| in_order(id, order, 1, S::Confirmed, 10_000);
    apply(&shop, &[confirmed("r1", "X"), confirmed("r2", "X")]).await;
    apply(&shop, &[in_order("r1", "X", 2, S::Confirmed, 20_000)]).await;
    assert_eq!(amounts(&shop, ravi).await, [(5_000, 2), (1_000, 2)], "the order is used up");
    apply(&shop, &[in_order("r1", "X", 3, S::Declined, 20_000)]).await;
    apply(&shop, &[confirmed("r3", "Y"), confirmed("r4", "Z")]).await;
    apply(&shop, &[in_order("r1", "X", 4, S::Confirmed, 20_000)]).await;
    assert_eq!(
        amounts(&shop, ravi).await,
        [(0, 2), (1_000, 2), (5_000, 2), (3_000, 2)],
        "the month was used up by others meanwhile"
    );
    assert_eq!(balance(&shop, ravi).await, 9_000);
}

#[tokio::test]
async fn a_foreign_commission_keeps_the_rate_of_its_first_report() {
    let shop = Shop::open().await;
    let asha = shop.shopper("asha").await;
    let click = shop.click(Network::Admitad, Some(asha), 10_000, None);
    shop.record(std::slice::from_ref(&click)).await;
    let foreign = |age: i64, currency: &str, commission: &str, rate: &str| {
        let (commission, rate) = (commission.parse().unwrap(), rate.parse().unwrap());
        with(status(shop.report(Network::Admitad, "usd", Some(click.click_id), age), S::Confirmed), |report| {
            report.sale = None;
            report.commission = domain::transaction::rupees_of(commission, rate).unwrap();
            let currency = Currency::parse(currency).unwrap();
            report.foreign = Some(ForeignAmounts { currency, sale: None, commission, rate });
        })
    };
    apply(&shop, &[foreign(1, "USD", "1.99", "84.10")]).await;
    assert_eq!(balance(&shop, asha).await, 16_735);
    apply(&shop, &[foreign(2, "USD", "1.99", "90.00")]).await;
    assert_eq!(balance(&shop, asha).await, 16_735, "a new rate of the day changes nothing");
    apply(&shop, &[foreign(3, "USD", "2.00", "90.00")]).await;
    assert_eq!(balance(&shop, asha).await, 16_820, "a new amount counts at the first rate");
    apply(&shop, &[foreign(4, "EUR", "2.00", "100.00")]).await;
    assert_eq!(balance(&shop, asha).await, 20_000, "another currency counts at its own rate, not at the dollar's");
}
