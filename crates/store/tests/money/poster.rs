//! Postings that are gathered: each caller has an answer of its own, as if it had posted alone.

use std::collections::HashSet;
use std::sync::Arc;

use domain::ids::{UserId, WalletTransactionId};
use domain::money::Paise;
use domain::wallet::{Account, Transfer, TransferKind};
use futures_util::future::join_all;
use serde_json::json;
use store::wallet::{self, LedgerError, Posted, Poster};
use telemetry::Trail;

use crate::shop::{Shop, balance, count};

fn credit(user: UserId, paise: i64, key: &str) -> Transfer {
    Transfer {
        debit: Account::CashbackExpense,
        credit: Account::User(user),
        amount: Paise::new(paise),
        kind: TransferKind::CashbackCredit,
        key: key.to_owned(),
        reason: json!({}),
    }
}

/// A poster over connections that look rows up by key, as it asks for: they lock wallets in the order in which they are named.
fn poster_of(shop: &Shop) -> Arc<Poster> {
    let url = shop.database.url();
    let source = config::Map::from([("DATABASE_URL", url.as_str())]);
    let mut reader = config::Reader::new(&source);
    Arc::new(Poster::new(store::Pool::connect_by_key(&store::Settings::read(&mut reader)).unwrap()))
}

/// Posts all at once, each by a caller of its own.
async fn at_once(poster: &Arc<Poster>, transfers: Vec<Transfer>) -> Vec<Result<Posted, LedgerError>> {
    let callers = transfers.into_iter().map(|transfer| {
        let poster = Arc::clone(poster);
        tokio::spawn(async move { poster.post(&transfer).await })
    });
    join_all(callers).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_share_transactions_and_each_hears_of_its_own_transfer() {
    let shop = Shop::open().await;
    let mut users = Vec::new();
    for name in 0..10 {
        users.push(shop.shopper(&format!("s{name}")).await);
    }
    let poster = poster_of(&shop);
    let transfers: Vec<_> = (0..640).map(|n| credit(users[n % 10], 5, &format!("k{n}"))).collect();
    let answers = at_once(&poster, transfers).await;
    let ids: HashSet<_> = answers.iter().map(|answer| answer.as_ref().unwrap().id).collect();
    assert_eq!((ids.len(), count(&shop, "wallet_transactions").await), (640, 640));
    for (place, user) in users.iter().enumerate() {
        assert_eq!(balance(&shop, *user).await, 64 * 5);
        // The balances that its callers heard are those of its entries, each once.
        let mut heard: Vec<_> = answers
            .iter()
            .skip(place)
            .step_by(10)
            .map(|answer| answer.as_ref().unwrap().balance.unwrap().get())
            .collect();
        heard.sort_unstable();
        assert_eq!(heard, (1..=64).map(|n| n * 5).collect::<Vec<_>>());
    }
    let client = shop.client().await;
    assert!(wallet::drift(&client, 10).await.unwrap().is_empty());
    let shared = "SELECT count(DISTINCT xmin::text) FROM wallet_transactions";
    let transactions: i64 = client.query_one(shared, &[]).await.unwrap().get(0);
    assert!(transactions < 320, "640 postings in {transactions} transactions are not gathered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_callers_with_one_key_have_one_effect_and_one_answer() {
    let shop = Shop::open().await;
    let asha = shop.shopper("asha").await;
    let pair = [poster_of(&shop), poster_of(&shop)];
    let same = || (0..32).map(|_| credit(asha, 700, "one")).collect();
    let (here, there) = tokio::join!(at_once(&pair[0], same()), at_once(&pair[1], same()));
    let answers: Vec<_> = here.into_iter().chain(there).map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|posted| !posted.replayed).count(), 1, "once");
    assert_eq!(answers.iter().map(|posted| posted.id).collect::<HashSet<_>>().len(), 1);
    assert_eq!((balance(&shop, asha).await, count(&shop, "wallet_transactions").await), (700, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_refused_spoils_nothing_for_the_others() {
    let shop = Shop::open().await;
    let (asha, ravi) = (shop.shopper("asha").await, shop.shopper("ravi").await);
    let poster = poster_of(&shop);
    poster.post(&credit(asha, 100, "known")).await.unwrap();
    let mut transfers: Vec<_> = (0..60).map(|n| credit(ravi, 1, &format!("fine{n}"))).collect();
    let overdraft = Transfer {
        debit: Account::User(asha),
        credit: Account::PayoutClearing,
        kind: TransferKind::Withdrawal,
        ..credit(asha, 101, "too much")
    };
    transfers.insert(15, overdraft);
    transfers.insert(30, credit(asha, 99, "known"));
    transfers.insert(45, credit(UserId::generate(), 5, "nobody"));
    let answers = at_once(&poster, transfers).await;
    assert!(matches!(answers[15], Err(LedgerError::Insufficient)), "{:?}", answers[15]);
    assert!(matches!(answers[30], Err(LedgerError::OtherInput)), "{:?}", answers[30]);
    assert!(matches!(answers[45], Err(LedgerError::NoAccount)), "{:?}", answers[45]);
    assert_eq!(answers.iter().filter(|answer| answer.as_ref().is_ok_and(|posted| !posted.replayed)).count(), 60);
    assert_eq!((balance(&shop, asha).await, balance(&shop, ravi).await), (100, 60));
    assert_eq!(count(&shop, "wallet_transactions").await, 61);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_caller_that_goes_away_leaves_the_others_their_answers() {
    let shop = Shop::open().await;
    let asha = shop.shopper("asha").await;
    let poster = poster_of(&shop);
    let mut patient = Vec::new();
    for n in 0..120 {
        let poster = Arc::clone(&poster);
        let transfer = credit(asha, 3, &format!("k{n}"));
        let caller = tokio::spawn(async move { poster.post(&transfer).await });
        if n % 3 == 0 {
            // Among them, sooner or later, whoever posts for the others.
            tokio::task::yield_now().await;
            caller.abort();
        } else {
            patient.push(caller);
        }
    }
    for caller in patient {
        caller.await.unwrap().unwrap();
    }
    let again = at_once(&poster, (0..120).map(|n| credit(asha, 3, &format!("k{n}"))).collect()).await;
    assert!(again.iter().filter(|answer| answer.as_ref().unwrap().replayed).count() >= 80);
    assert_eq!((balance(&shop, asha).await, count(&shop, "wallet_transactions").await), (360, 120));
}

/// Transfers as arrays, straight to Postgres.
async fn post_apart(shop: &Shop, transfers: &[Transfer]) -> Result<usize, tokio_postgres::Error> {
    let ids: Vec<_> = transfers.iter().map(|_| WalletTransactionId::generate()).collect();
    let debits: Vec<_> = transfers.iter().map(|transfer| transfer.debit.id()).collect();
    let credits: Vec<_> = transfers.iter().map(|transfer| transfer.credit.id()).collect();
    let amounts: Vec<_> = transfers.iter().map(|transfer| transfer.amount).collect();
    let kinds: Vec<_> = transfers.iter().map(|transfer| transfer.kind.word()).collect();
    let keys: Vec<_> = transfers.iter().map(|transfer| transfer.key.as_str()).collect();
    let reasons: Vec<_> = transfers.iter().map(|transfer| &transfer.reason).collect();
    let text = "SELECT * FROM post_apart($1, $2, $3, $4, $5, $6, $7)";
    let rows = shop.client().await.query(text, &[&ids, &debits, &credits, &amounts, &kinds, &keys, &reasons]).await?;
    Ok(rows.len())
}

#[tokio::test]
async fn what_is_not_plain_is_refused_as_a_whole_and_moves_nothing() {
    let shop = Shop::open().await;
    let (asha, ravi, mira) = (shop.shopper("asha").await, shop.shopper("ravi").await, shop.shopper("mira").await);
    let start = [credit(asha, 100, "known"), credit(ravi, 50, "fine")];
    assert_eq!(post_apart(&shop, &start).await.unwrap(), 2);
    let between = |debit: Account, credit_to: Account| Transfer {
        debit,
        credit: credit_to,
        kind: TransferKind::Withdrawal,
        ..credit(asha, 101, "other")
    };
    let nowhere = Account::User(UserId::from_uuid(uuid::Uuid::from_u128(77)));
    for (transfer, code, what) in [
        (credit(asha, 100, "known"), "23505", "a key that was used"),
        (credit(ravi, 7, "known"), "23505", "a key that was used for something else"),
        (between(Account::User(asha), Account::PayoutClearing), "23514", "too little money"),
        (credit(UserId::generate(), 5, "nobody"), "WA006", "no wallet"),
        (between(Account::User(asha), nowhere), "WA006", "no account of ours"),
        (between(Account::User(asha), Account::User(ravi)), "WA006", "two shoppers"),
        (between(Account::PayoutClearing, Account::Bank), "WA006", "no shopper"),
        (credit(mira, 5, "twice"), "WA006", "a wallet that stands twice"),
    ] {
        let refused = post_apart(&shop, &[credit(mira, 9, "beside"), transfer]).await.unwrap_err();
        assert_eq!(refused.code().unwrap().code(), code, "{what}");
        assert_eq!([balance(&shop, asha).await, balance(&shop, ravi).await, balance(&shop, mira).await], [100, 50, 0]);
        assert_eq!(count(&shop, "wallet_transactions").await, 2, "{what}");
    }
    assert!(wallet::drift(&shop.client().await, 10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_with_wallets_of_their_own_each_hear_of_theirs() {
    let shop = Shop::open().await;
    let poster = poster_of(&shop);
    let mut users = Vec::new();
    for number in 0..32 {
        users.push(shop.shopper(&format!("s{number}")).await);
    }
    for turn in 1..=5 {
        let amount = |number: usize| i64::try_from(number + 1).unwrap();
        let transfers = (0..32).map(|number| credit(users[number], amount(number), &format!("{turn}:{number}")));
        let answers = at_once(&poster, transfers.collect()).await;
        let client = shop.client().await;
        for (number, answer) in answers.iter().enumerate() {
            let posted = answer.as_ref().unwrap();
            assert_eq!((posted.balance, posted.replayed), (Some(Paise::new(turn * amount(number))), false));
            let entry = "SELECT user_id, idempotency_key FROM wallet_transactions WHERE id = $1";
            let row = client.query_one(entry, &[&posted.id]).await.unwrap();
            assert_eq!((row.get::<_, UserId>(0), row.get::<_, String>(1)), (users[number], format!("{turn}:{number}")));
        }
    }
    let client = shop.client().await;
    let transactions = "SELECT count(DISTINCT xmin::text) FROM wallet_transactions";
    let transactions: i64 = client.query_one(transactions, &[]).await.unwrap().get(0);
    assert!(transactions < 80, "160 postings in {transactions} transactions are not gathered");
    assert!(wallet::drift(&client, 10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_entry_says_what_its_own_caller_belongs_to() {
    let shop = Shop::open().await;
    let asha = shop.shopper("asha").await;
    let poster = poster_of(&shop);
    let callers = (0..64).map(|number| {
        let (poster, transfer) = (Arc::clone(&poster), credit(asha, 1, &format!("k{number}")));
        let work = async move { poster.post(&transfer).await };
        let story = format!("story-{number}");
        tokio::spawn(async move {
            // Every fourth belongs to nothing.
            if number % 4 == 0 { work.await } else { Trail::of(None, Some(&story)).scope(work).await }
        })
    });
    for answer in join_all(callers).await {
        answer.unwrap().unwrap();
    }
    let wrong = "wallet_transactions WHERE reason->>'correlation_id' IS DISTINCT FROM
                 CASE WHEN substr(idempotency_key, 2)::int % 4 > 0 THEN 'story-' || substr(idempotency_key, 2) END";
    assert_eq!((count(&shop, "wallet_transactions").await, count(&shop, wrong).await), (64, 0));
}
