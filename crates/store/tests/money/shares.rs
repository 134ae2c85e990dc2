//! Random lives of purchases that share a click, an order and a month: whatever is reported of them, in whatever order, together they
//! never bring more than the cap of any.

use chrono::TimeDelta;
use domain::ids::UserId;
use domain::money::Paise;
use domain::network::Network;
use domain::transaction::TransactionStatus;

use crate::caps::{apply, rules};
use crate::histories::Dice;
use crate::shop::{Shop, status, with};

/// Purchases that live together, and how long.
const LIVES: usize = 6;
const STEPS: usize = 15;

/// What exceeds its cap, by statements of their own.
async fn exceeded(shop: &Shop, user: UserId) -> Vec<String> {
    let rows = shop
        .client()
        .await
        .query(
            "WITH counted AS MATERIALIZED (SELECT * FROM cashback_events WHERE user_id = $1 AND status NOT IN ('declined', 'reversed'))
             SELECT 'a click brings more than its cap' FROM counted e JOIN affiliate_clicks c ON c.id = e.click_id
             GROUP BY c.id, c.cap_paise HAVING sum(e.amount_paise) > c.cap_paise
             UNION ALL
             SELECT 'an order brings more than its cap' FROM counted e JOIN affiliate_transactions t ON t.id = e.transaction_id
             GROUP BY t.merchant_id, t.external_order_id HAVING sum(e.amount_paise) > 30000
             UNION ALL
             SELECT 'a month brings more than its cap' FROM counted e HAVING sum(e.amount_paise) > 50000",
            &[&user],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn random_purchases_that_share_caps_never_bring_more_than_any_of_them() {
    let shop = Shop::open().await;
    rules(&shop, Some(30_000), Some(50_000), TimeDelta::hours(1)).await;
    let mut most = 0;
    for seed in 0..20 {
        let mut dice = Dice(seed);
        let user = shop.shopper("s").await;
        let clicks = [Some(20_000), None].map(|cap| shop.click(Network::Admitad, Some(user), 5_000, cap));
        shop.record(&clicks).await;
        for step in 0..STEPS {
            let rows = 1 + dice.below(4);
            let page: Vec<_> = (0..rows)
                .map(|_| {
                    let life = dice.below(LIVES);
                    let age = i64::try_from(step.saturating_sub(dice.below(2))).unwrap();
                    let click = clicks[life % 2].click_id;
                    let report = shop.report(Network::Admitad, &format!("{seed}:{life}"), Some(click), age);
                    let is = TransactionStatus::ALL[dice.below(4)];
                    with(status(report, is), |report| {
                        report.commission = Paise::new(i64::try_from(dice.below(90_000)).unwrap());
                        report.order_ref = Some(format!("{seed}:{}", life % 3));
                    })
                })
                .collect();
            apply(&shop, &page).await;
            assert_eq!(exceeded(&shop, user).await, Vec::<String>::new(), "seed {seed}, step {step}");
        }
        most = most.max(crate::shop::balance(&shop, user).await);
    }
    assert!(most > 20_000, "there was something to share: {most}");
    assert!(store::wallet::drift(&shop.client().await, 10).await.unwrap().is_empty());
}
