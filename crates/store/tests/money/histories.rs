//! Ten thousand random lives of purchases and wallets on real Postgres, with replays, two workers and crashes. After every
//! step the books are checked past our own code.

use std::collections::HashMap;

use chrono::{TimeDelta, Utc};
use domain::ids::{ClickId, UserId, WithdrawalId};
use domain::jobs::click::RecordClick;
use domain::money::Paise;
use domain::network::Network;
use domain::transaction::{NetworkTransaction, TransactionStatus};
use domain::wallet::PayoutState;
use store::cashback::{self, rematch, settle};
use store::transactions;
use store::withdrawals::{self, NewWithdrawal, RequestError};

use crate::shop::{Shop, with};
use crate::withdrawals::{news, tell};

/// Purchases that live together, and how long.
const LIVES: usize = 50;
const STEPS: usize = 20;

/// A small generator, so that a failure can be seen again.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    pub(crate) fn one_in(&mut self, most: usize) -> bool {
        self.below(most) == 0
    }
}

/// A purchase: what its network will say, in order, and what has reached us.
struct Life {
    user: UserId,
    click: RecordClick,
    is_clicked: bool,
    reports: Vec<NetworkTransaction>,
    newest: Option<usize>,
}

struct World<'a> {
    shop: &'a Shop,
    network: Network,
    lives: Vec<Life>,
    dice: Dice,
    pages: Vec<Vec<(usize, usize)>>,
    withdrawals: Vec<(WithdrawalId, i64)>,
    seed: u64,
}

impl<'a> World<'a> {
    async fn new(shop: &'a Shop, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let network = Network::ALL[dice.below(3)];
        let mut lives = Vec::new();
        for number in 0..LIVES {
            let user = shop.shopper("s").await;
            let cap = dice.one_in(4).then(|| i64::try_from(dice.below(60_000)).unwrap());
            let rate = i32::try_from(dice.below(10_001)).unwrap();
            let mut click = shop.click(network, Some(user), rate, cap);
            if seed.is_multiple_of(2) {
                // Under the first rules, which hold nothing back.
                click.clicked_at -= TimeDelta::hours(2);
            }
            let mut reports = Vec::new();
            for age in 0..2 + dice.below(7) {
                let status = TransactionStatus::ALL[dice.below(4)];
                let report = shop.report(
                    network,
                    &format!("{seed}:{number}"),
                    Some(click.click_id),
                    i64::try_from(age).unwrap(),
                );
                reports.push(with(crate::shop::status(report, status), |report| {
                    report.commission = Paise::new(i64::try_from(dice.below(90_000)).unwrap());
                    report.funded = status == TransactionStatus::Payable
                        || (status == TransactionStatus::Confirmed && dice.one_in(3));
                    if network != Network::Admitad {
                        report.status_updated_at = None;
                    }
                }));
            }
            lives.push(Life { user, click, is_clicked: false, reports, newest: None });
        }
        let mut world = Self { shop, network, lives, dice, pages: Vec::new(), withdrawals: Vec::new(), seed };
        let early: Vec<_> = (0..LIVES).filter(|_| !world.dice.one_in(4)).collect();
        world.click(&early).await;
        world
    }

    async fn click(&mut self, lives: &[usize]) {
        let clicks: Vec<_> = lives.iter().map(|life| self.lives[*life].click.clone()).collect();
        self.shop.record(&clicks).await;
        let ids: Vec<ClickId> = clicks.iter().map(|click| click.click_id).collect();
        let mut client = self.shop.client().await;
        for (network, ids) in transactions::unmatched_of_clicks(&client, &ids).await.unwrap() {
            let transaction = client.transaction().await.unwrap();
            rematch(&transaction, network, &ids, Utc::now()).await.unwrap();
            transaction.commit().await.unwrap();
        }
        for life in lives {
            self.lives[*life].is_clicked = true;
        }
    }

    /// A page of one or many purchases; some of them as they are now, some as they were, some twice.
    fn page(&mut self) -> Vec<(usize, usize)> {
        let rows = if self.dice.one_in(2) { 1 } else { 5 + self.dice.below(30) };
        (0..rows)
            .map(|_| {
                let life = self.dice.below(LIVES);
                let reports = self.lives[life].reports.len();
                let newest = self.lives[life].newest.map_or(0, |newest| (newest + 1).min(reports - 1));
                (life, if self.dice.one_in(3) { self.dice.below(reports) } else { newest })
            })
            .collect()
    }

    fn rows(&self, page: &[(usize, usize)]) -> Vec<NetworkTransaction> {
        page.iter().map(|(life, report)| self.lives[*life].reports[*report].clone()).collect()
    }

    fn note(&mut self, page: &[(usize, usize)]) {
        for (life, report) in page {
            let newest = &mut self.lives[*life].newest;
            *newest = Some(newest.map_or(*report, |newest| newest.max(*report)));
        }
    }

    async fn settle(&self, page: &[(usize, usize)], commit: bool) {
        let rows = self.rows(page);
        let mut client = self.shop.client().await;
        let transaction = client.transaction().await.unwrap();
        settle(&transaction, self.network, &rows, "pull", Utc::now()).await.unwrap();
        if commit {
            transaction.commit().await.unwrap();
        } else {
            // What a killed worker leaves: nothing.
            transaction.rollback().await.unwrap();
        }
    }

    async fn step(&mut self) {
        match self.dice.below(12) {
            0..=4 => {
                let page = self.page();
                self.settle(&page, true).await;
                self.note(&page);
                self.pages.push(page);
            }
            5 => {
                let page = self.page();
                self.settle(&page, false).await;
            }
            6 => {
                let (one, other) = (self.page(), self.page());
                tokio::join!(self.settle(&one, true), self.settle(&other, true), self.settle(&one, true));
                self.note(&one);
                self.note(&other);
            }
            7 if !self.pages.is_empty() => {
                let page = self.pages[self.dice.below(self.pages.len())].clone();
                self.settle(&page, true).await;
            }
            8 => {
                let late: Vec<_> = (0..LIVES).filter(|life| !self.lives[*life].is_clicked).take(3).collect();
                self.click(&late).await;
            }
            9 => {
                let (user, amount) =
                    (self.lives[self.dice.below(LIVES)].user, 10_000 + i64::try_from(self.dice.below(20_000)).unwrap());
                let wish = NewWithdrawal {
                    id: WithdrawalId::generate(),
                    user_id: user,
                    amount: Paise::new(amount),
                    fund_account_id: "fa_test".to_owned(),
                    idempotency_key: format!("{}:{}", self.seed, self.dice.below(1_000_000)),
                };
                match withdrawals::request(&self.shop.client().await, &wish).await {
                    Ok(made) => {
                        let again = withdrawals::request(&self.shop.client().await, &wish).await.unwrap();
                        assert_eq!(made.id, again.id);
                        self.withdrawals.push((made.id, amount));
                    }
                    Err(RequestError::Insufficient { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            10 if !self.withdrawals.is_empty() => {
                use PayoutState::{Failed, Processed, Processing, Reversed, Waiting};
                let (id, amount) = self.withdrawals[self.dice.below(self.withdrawals.len())];
                let state = [Waiting, Processing, Processed, Processed, Failed, Reversed][self.dice.below(6)];
                tell(self.shop, &news(id, state, amount, Utc::now())).await.unwrap();
            }
            _ => {
                let ahead = Utc::now() + TimeDelta::days(3);
                cashback::release_held(&mut self.shop.client().await, ahead, 100).await.unwrap();
            }
        }
    }

    /// The books, by statements of their own.
    async fn check(&self, step: usize) {
        let client = self.shop.client().await;
        let users: Vec<UserId> = self.lives.iter().map(|life| life.user).collect();
        let at = format!("world {} step {step}", self.seed);
        let wrong = client
            .query(
                "WITH entries AS MATERIALIZED (SELECT * FROM wallet_transactions WHERE user_id = ANY ($1))
                 SELECT 'a balance is not its entries' FROM wallet_balances b WHERE b.account_id = ANY ($1) AND b.balance_paise <>
                     (SELECT coalesce(sum(CASE WHEN credit_account = b.account_id THEN amount_paise ELSE -amount_paise END), 0) FROM entries WHERE user_id = b.account_id)
                 UNION ALL
                 SELECT 'a running balance is wrong' FROM (
                     SELECT balance_after_paise, sum(CASE WHEN credit_account = user_id THEN amount_paise ELSE -amount_paise END) OVER (PARTITION BY user_id ORDER BY seq) AS running
                     FROM entries) AS e WHERE running <> balance_after_paise
                 UNION ALL
                 SELECT 'below zero without a claw-back' FROM entries WHERE debit_account = user_id AND balance_after_paise < 0 AND kind <> 'cashback_clawback'
                 UNION ALL
                 SELECT 'a cashback has another effect than it says' FROM cashback_events e WHERE e.user_id = ANY ($1) AND e.credited_paise <>
                     (SELECT coalesce(sum(CASE WHEN credit_account = e.user_id THEN amount_paise ELSE -amount_paise END), 0) FROM entries
                      WHERE reason->>'cashback_id' = e.id::text)
                 UNION ALL
                 SELECT 'a history does not lead to its state' FROM cashback_events e WHERE e.user_id = ANY ($1) AND (e.revision, e.status, e.credited_paise) IS DISTINCT FROM
                     (SELECT (count(*)::int, (array_agg(h.status ORDER BY h.revision DESC))[1], sum(h.posted_paise)::bigint) FROM cashback_history h WHERE h.cashback_id = e.id)
                 UNION ALL
                 SELECT 'a withdrawal has another effect than it says' FROM withdrawals w WHERE w.user_id = ANY ($1) AND
                     CASE WHEN w.status IN ('failed', 'reversed') THEN 0 ELSE -w.amount_paise END <>
                     (SELECT coalesce(sum(CASE WHEN credit_account = w.user_id THEN amount_paise ELSE -amount_paise END), 0) FROM entries
                      WHERE reason->>'withdrawal_id' = w.id::text)
                 UNION ALL
                 SELECT 'the sum over all accounts is not zero' FROM (
                     SELECT (SELECT sum(balance_paise) FROM wallet_balances WHERE account_id = ANY ($1)) +
                            (SELECT coalesce(sum(CASE WHEN is_platform_account(credit_account) THEN amount_paise ELSE -amount_paise END), 0) FROM entries) AS total) AS s
                 WHERE total <> 0",
                &[&users],
            )
            .await
            .unwrap();
        let wrong: Vec<String> = wrong.iter().map(|row| row.get(0)).collect();
        assert!(wrong.is_empty(), "{at}: {wrong:?}");

        // What the newest report says is what is in the wallet, whatever came before it.
        let rows = client
            .query(
                "SELECT t.external_transaction_id, t.status, t.commission_paise, e.credited_paise FROM affiliate_transactions t
                 LEFT JOIN cashback_events e ON e.transaction_id = t.id WHERE t.external_transaction_id LIKE $1 || ':%'",
                &[&self.seed.to_string()],
            )
            .await
            .unwrap();
        let stored: HashMap<String, (String, i64, Option<i64>)> =
            rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3)))).collect();
        for life in &self.lives {
            let Some(newest) = life.newest.map(|newest| &life.reports[newest]) else { continue };
            let due = matches!(newest.status, TransactionStatus::Confirmed | TransactionStatus::Payable).then(|| {
                let share = newest.commission.get() * i64::from(life.click.rate.get()) / 10_000;
                life.click.cap.map_or(share, |cap| share.min(cap.get()))
            });
            let due = life.is_clicked.then_some(due.unwrap_or(0));
            let expected = (newest.status.word().to_owned(), newest.commission.get(), due);
            assert_eq!(stored.get(&newest.external_id), Some(&expected), "{at}: {}", newest.external_id);
        }
    }
}

/// A quarter of the ten thousand.
async fn quarter(first: u64) {
    let shop = Shop::open().await;
    shop.client()
        .await
        .batch_execute("INSERT INTO cashback_rules (valid_from, holding_days, min_withdrawal_paise, advance_limit_paise, note, set_by)
                        VALUES (now() - interval '1 hour', 1, 10000, 10000000, 'test', 'test')")
        .await
        .unwrap();
    for seed in first..first + 50 {
        let mut world = World::new(&shop, seed).await;
        for step in 0..STEPS {
            world.step().await;
            world.check(step).await;
        }
    }
    assert!(store::wallet::drift(&shop.client().await, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn random_histories_keep_every_invariant_first_quarter() {
    quarter(1_000).await;
}

#[tokio::test]
async fn random_histories_keep_every_invariant_second_quarter() {
    quarter(2_000).await;
}

#[tokio::test]
async fn random_histories_keep_every_invariant_third_quarter() {
    quarter(3_000).await;
}

#[tokio::test]
async fn random_histories_keep_every_invariant_last_quarter() {
    quarter(4_000).await;
}
