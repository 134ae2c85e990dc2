//! Postings and statements in a ledger that fills.

use domain::ids::UserId;
use domain::money::Paise;
use domain::wallet::{Account, Transfer, TransferKind};
use store::{Client, wallet};
use testkit::seed;

use super::{Curve, median_ms, postgres};

const ROUNDS: usize = 201;
const BATCH: usize = 200;
/// Entries of a shopper; one has half of all.
const EACH: usize = 20;
/// Lines of a page.
const PAGE: i64 = 20;

pub(crate) async fn measure(sizes: &[usize]) -> Vec<Curve> {
    let (_cluster, pool) = postgres().await;
    let client = pool.get().await.unwrap();
    let mut posted = Curve::new("one posting", "ms");
    let mut together = Curve::new("200 postings together", "ms");
    let mut read = Curve::new("a page of a shopper's statement", "ms");
    let mut deep = Curve::new("the same, of who has half of all entries", "ms");
    let mut there = 0;
    for size in sizes {
        let added = (size - there) / 2;
        seed::entries(&client, added / EACH, EACH).await;
        seed::entries(&client, 1, added).await;
        there = *size;
        let (users, busy) = (shoppers(&client).await, Busy::find(&client).await);
        let user = |number: usize| users[number * 31 % users.len()];

        let page = async |number: usize| {
            wallet::statement(&client, user(number), None, PAGE).await.unwrap();
        };
        read.add(*size, median_ms(ROUNDS, page).await);
        let page = async |number: usize| {
            let lines = wallet::statement(&client, busy.user, Some(busy.place(number)), PAGE).await.unwrap();
            assert!(!lines.is_empty(), "it has so many");
        };
        deep.add(*size, median_ms(ROUNDS, page).await);
        let post = async |number: usize| {
            wallet::post(&client, &credit(user(number), format!("one:{size}:{number}"))).await.unwrap();
        };
        posted.add(*size, median_ms(ROUNDS, post).await);
        let post = async |round: usize| {
            let transfers = (0..BATCH).map(|number| credit(user(number), format!("many:{size}:{round}:{number}")));
            wallet::post_many(&client, &transfers.collect::<Vec<_>>()).await.unwrap();
        };
        together.add(*size, median_ms(5, post).await);
        there += ROUNDS + 5 * BATCH;
    }
    vec![posted, together, read, deep]
}

fn credit(user: UserId, key: String) -> Transfer {
    Transfer {
        debit: Account::CashbackExpense,
        credit: Account::User(user),
        amount: Paise::new(100),
        kind: TransferKind::CashbackCredit,
        key,
        reason: serde_json::json!({}),
    }
}

/// Some shoppers with few entries.
async fn shoppers(client: &Client) -> Vec<UserId> {
    let sql = "SELECT user_id FROM wallet_transactions WHERE user_id IS NOT NULL
               GROUP BY user_id HAVING count(*) <= 100 ORDER BY random() LIMIT 1000";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Who has most entries.
struct Busy {
    user: UserId,
    oldest: i64,
    newest: i64,
}

impl Busy {
    async fn find(client: &Client) -> Self {
        let sql = "SELECT user_id, min(seq), max(seq) FROM wallet_transactions WHERE user_id IS NOT NULL
                   GROUP BY user_id ORDER BY count(*) DESC LIMIT 1";
        let row = client.query_one(sql, &[]).await.unwrap();
        Self { user: row.get(0), oldest: row.get(1), newest: row.get(2) }
    }

    /// Where a page begins: from the newest entry to the oldest.
    fn place(&self, round: usize) -> i64 {
        let left = i64::try_from(ROUNDS - round).unwrap();
        self.oldest + (self.newest - self.oldest) * left / i64::try_from(ROUNDS).unwrap()
    }
}
