//! The ledger beside the same work done bare, in one run on one throw-away Postgres with `fsync` on:
//! postings one at a time and in batches beside `pgbench` crediting a wallet in one statement, clicks beside a bare `COPY`,
//! and a pull of 100,000 transactions with matching, cashback and entries.
//!
//! `cargo bench --workspace --profile ci --bench ledger [-- postings|flush|pull…]`

mod bare;
mod shop;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use domain::ids::UserId;
use domain::money::Paise;
use domain::network::Network;
use domain::transaction::NetworkTransaction;
use domain::wallet::{Account, Transfer, TransferKind};
use futures_util::future::join_all;
use store::{Client, cashback, wallet};

use shop::Shop;

/// Callers of single postings, and clients of `pgbench` beside them: a few, and as many as one key is replayed by in the tests.
const WRITERS: [usize; 2] = [16, 64];
const PERIOD: Duration = Duration::from_secs(6);
const BATCH: usize = 200;
const CLICKS: usize = 200_000;
const FLUSH: usize = 5_000;
const PURCHASES: usize = 100_000;
const PAGE: usize = 500;

#[tokio::main]
async fn main() {
    let asked: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    // `cargo test --benches` only wants to know that it can be built.
    if asked.iter().any(|argument| argument == "--test") {
        return;
    }
    let is_asked = |part: &str| asked.is_empty() || asked.iter().any(|asked| asked == part);
    let server = bare::Server::start();
    let shop = Shop::open(&server, 72).await;
    if is_asked("postings") {
        for writers in WRITERS {
            single_postings(&server, &shop, writers).await;
        }
        let batched = batches(&shop, 0).await.max(batches(&shop, 1).await);
        println!("ledger postings in batches of {BATCH}             {batched:>10.0} /s");
    }
    if is_asked("flush") {
        flushes(&shop).await;
    }
    if is_asked("pull") {
        pulls(&shop).await;
    }
    let drift = wallet::drift(&shop.pool.get().await.unwrap(), 1).await.unwrap();
    assert!(drift.is_empty(), "the books are right after all of it");
}

/// Postings of callers with one transfer each, and the same work bare, side by side: twice in turn, so that a busy moment does
/// not fall on one of them only.
async fn single_postings(server: &bare::Server, shop: &Shop, writers: usize) {
    let [mut plain, mut floor, mut single, mut together] = [0.0_f64; 4];
    for round in 0..2 {
        plain = plain.max(server.credits(writers, PERIOD));
        floor = floor.max(server.entries(writers, PERIOD));
        single = single.max(postings(shop, writers, round).await);
        together = together.max(gathered(shop, writers, round).await);
    }
    println!("wallet credit by pgbench, one statement       {plain:>10.0} /s   {writers} clients");
    println!("the ledger's row by pgbench, nothing checked  {floor:>10.0} /s   {:.0} % of it", 100.0 * floor / plain);
    for (what, rate) in
        [("ledger postings of as many callers", together), ("  each in a transaction of its own", single)]
    {
        let (of_credit, of_row) = (100.0 * rate / plain, 100.0 * rate / floor);
        println!("{what:<45} {rate:>10.0} /s   {of_credit:.0} % of the credit, {of_row:.0} % of the row");
    }
}

async fn flushes(shop: &Shop) {
    let copied = bare::copy(shop, CLICKS, FLUSH).await;
    let flushed = flush(shop).await;
    println!("clicks by a bare COPY into the same table     {copied:>10.0} /s");
    println!(
        "click flush, idempotent                       {flushed:>10.0} /s   {:.0} % of it",
        100.0 * flushed / copied
    );
}

async fn pulls(shop: &Shop) {
    for what in ["new and matched", "the same again"] {
        let pulled = pull(shop).await;
        let alone = 1.0 / (pulled.ours + pulled.servers);
        println!(
            "pull of {PURCHASES}, {what:<16}           {:>10.0} /s   {} ledger entries",
            pulled.rate, pulled.entries
        );
        println!(
            "  processor time a row: {:.0} us ours, {:.0} us Postgres'; {alone:.0} /s on processors of its own",
            pulled.ours * 1e6,
            pulled.servers * 1e6
        );
    }
}

fn per_second(count: usize, begin: Instant) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / begin.elapsed().as_secs_f64()
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

async fn postings(shop: &Shop, writers: usize, round: usize) -> f64 {
    let begin = Instant::now();
    let tasks = (0..writers).map(|writer| async move {
        let client = shop.pool.get().await.unwrap();
        let mut count = 0;
        while begin.elapsed() < PERIOD {
            let number = writer * 7_919 + count * 31;
            wallet::post(&client, &credit(shop.user(number), format!("one:{writers}:{round}:{writer}:{count}")))
                .await
                .unwrap();
            count += 1;
        }
        count
    });
    let count = join_all(tasks).await.into_iter().sum();
    per_second(count, begin)
}

/// Callers with one transfer each, who do not know of one another.
async fn gathered(shop: &Shop, writers: usize, round: usize) -> f64 {
    let begin = Instant::now();
    let poster = Arc::new(wallet::Poster::new(shop.pool.clone()));
    let tasks = (0..writers).map(|writer| {
        let (poster, users) = (Arc::clone(&poster), shop.users.clone());
        tokio::spawn(async move {
            let mut count = 0;
            while begin.elapsed() < PERIOD {
                let user = users[(writer * 7_919 + count * 31) % users.len()];
                poster.post(&credit(user, format!("gathered:{writers}:{round}:{writer}:{count}"))).await.unwrap();
                count += 1;
            }
            count
        })
    });
    let count = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
    per_second(count, begin)
}

async fn batches(shop: &Shop, round: usize) -> f64 {
    let begin = Instant::now();
    let tasks = (0..4_usize).map(|writer| async move {
        let client = shop.pool.get().await.unwrap();
        let mut count = 0;
        while begin.elapsed() < PERIOD {
            let batch: Vec<_> = (count..count + BATCH)
                .map(|number| {
                    credit(shop.user(writer * 7_919 + number * 31), format!("many:{round}:{writer}:{number}"))
                })
                .collect();
            wallet::post_many(&client, &batch).await.unwrap();
            count += BATCH;
        }
        count
    });
    let count = join_all(tasks).await.into_iter().sum();
    per_second(count, begin)
}

async fn flush(shop: &Shop) -> f64 {
    let clicks: Vec<_> = (0..CLICKS).map(|number| shop.click(number)).collect();
    let begin = Instant::now();
    let mut client = shop.pool.get().await.unwrap();
    for batch in clicks.chunks(FLUSH) {
        let written = testkit::seed::clicks(&mut client, batch).await;
        assert_eq!(written, u64::try_from(batch.len()).unwrap());
    }
    per_second(CLICKS, begin)
}

/// What a pull came to: rows a second, entries, and the processor seconds that a row took.
struct Pulled {
    rate: f64,
    entries: u64,
    ours: f64,
    servers: f64,
}

/// Pages as a run settles them: one transaction each, the history, the cashback, the entries and the mails with it.
async fn pull(shop: &Shop) -> Pulled {
    let reports: Vec<_> = (0..PURCHASES).map(|number| shop.report(number)).collect();
    let mut client = shop.pool.get().await.unwrap();
    let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let processes = [std::process::id(), u32::try_from(backend).unwrap()];
    let before = processes.map(bare::processor_seconds);
    let begin = Instant::now();
    let mut entries = 0;
    for page in reports.chunks(PAGE) {
        entries += settle(&mut client, page).await;
    }
    let rate = per_second(PURCHASES, begin);
    let rows = f64::from(u32::try_from(PURCHASES).unwrap());
    let [ours, servers] = [0, 1].map(|place| (bare::processor_seconds(processes[place]) - before[place]) / rows);
    Pulled { rate, entries, ours, servers }
}

async fn settle(client: &mut Client, page: &[NetworkTransaction]) -> u64 {
    let transaction = client.transaction().await.unwrap();
    let settled = cashback::settle(&transaction, Network::Admitad, page, "pull", Utc::now()).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(settled.unmatched, 0, "every purchase has its click");
    settled.postings
}
