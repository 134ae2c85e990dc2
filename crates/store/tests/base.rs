//! The schema itself: it applies once, every statement fits it, and the outbox keeps its promises.

use domain::ids::WithdrawalId;
use domain::job::Queue;
use domain::jobs::payment::StartPayout;
use domain::money::Paise;
use domain::network::Network;
use store::cashback::Settled;
use store::outbox::{self, Lane};
use store::sync::{self, Outcome, Turn};

#[tokio::test]
async fn migrations_run_twice_and_by_four_at_once() {
    let database = testkit::Database::empty().await;
    let pools: Vec<_> = (0..4).map(|_| database.pool()).collect();
    let runs = futures_util::future::join_all(pools.iter().map(store::migrate::run)).await;
    let applied: Vec<_> = runs.into_iter().map(|run| run.expect("no run fails").len()).collect();
    assert_eq!(applied.iter().filter(|count| **count > 0).count(), 1, "exactly one applies them: {applied:?}");
    assert!(store::migrate::run(&pools[0]).await.unwrap().is_empty());
}

#[tokio::test]
async fn every_statement_file_fits_the_schema() {
    let database = testkit::Database::start().await;
    let client = database.client().await;
    let mut files = Vec::new();
    for family in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/sql")).unwrap() {
        files.extend(std::fs::read_dir(family.unwrap().path()).unwrap().map(|file| file.unwrap().path()));
    }
    assert!(files.len() > 4, "the statement files were found");
    let mut wrong = Vec::new();
    for file in files {
        if let Err(error) = client.prepare(&std::fs::read_to_string(&file).unwrap()).await {
            wrong.push(format!(
                "{}: {}",
                file.display(),
                error.as_db_error().map_or(error.to_string(), ToString::to_string)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_promised_job_is_handed_out_once_and_only_after_its_commit() {
    let database = testkit::Database::start().await;
    let pool = database.pool();
    let mut writer = pool.get().await.unwrap();
    let mut reader = pool.get().await.unwrap();
    let job = StartPayout { withdrawal_id: WithdrawalId::generate() };

    let rolled_back = writer.transaction().await.unwrap();
    outbox::push(&rolled_back, &job, Lane::Normal).await.unwrap();
    drop(rolled_back);

    let transaction = writer.transaction().await.unwrap();
    assert!(outbox::push_once(&transaction, &job, Lane::Urgent, "one").await.unwrap());
    assert!(!outbox::push_once(&transaction, &job, Lane::Urgent, "one").await.unwrap());
    assert!(outbox::claim(&reader, 10, &[]).await.unwrap().is_empty(), "not before the commit");
    transaction.commit().await.unwrap();

    let first = reader.transaction().await.unwrap();
    let claimed = outbox::claim(&first, 10, &[]).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert!(claimed[0].urgent && claimed[0].kind == "payout.start" && claimed[0].queue == Queue::Payments);
    let second = writer.transaction().await.unwrap();
    assert!(outbox::claim(&second, 10, &[]).await.unwrap().is_empty(), "a row that is held is passed over");
    outbox::mark_relayed(&first, &[claimed[0].id]).await.unwrap();
    first.commit().await.unwrap();
    second.commit().await.unwrap();
    assert_eq!(outbox::lag(&reader).await.unwrap().0, 0);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_by_callers_and_listeners() {
    // Connections are taken, by the kernel, and nobody answers.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("postgres://shop@{}/shop", silent.local_addr().unwrap());
    let pool = testkit::pool(&url);
    let both = async { tokio::join!(pool.listen(&["outbox"]), pool.get()) };
    let (listener, client) = tokio::time::timeout(std::time::Duration::from_secs(20), both).await.unwrap();
    assert!(listener.err().unwrap().is_transient() && client.err().unwrap().is_transient());
}

#[tokio::test]
async fn a_listener_hears_of_new_promises() {
    let database = testkit::Database::start().await;
    let pool = database.pool();
    let mut listener = pool.listen(&["outbox"]).await.unwrap();
    let job = StartPayout { withdrawal_id: WithdrawalId::generate() };
    outbox::push(&pool.get().await.unwrap(), &job, Lane::Normal).await.unwrap();
    let heard = tokio::time::timeout(std::time::Duration::from_secs(5), listener.next()).await;
    assert_eq!(heard.unwrap().unwrap().channel, "outbox");
}

#[tokio::test]
async fn a_run_that_was_taken_up_takes_no_more_pages_of_whoever_had_it_before() {
    let database = testkit::Database::start().await;
    let client = database.pool().get().await.unwrap();
    let page = async |turn: Turn, next: &str| {
        sync::page_done(&client, turn, Some(next), &Settled::default(), 0, Paise::ZERO, &[]).await.unwrap()
    };
    let window = serde_json::json!({});
    let first = sync::begin(&client, Network::Admitad, &window, &window, "test").await.unwrap();
    assert!(page(first, "2").await);
    let taken_up = sync::resume(&client, first.run).await.unwrap().unwrap();
    assert_eq!(taken_up.cursor.as_deref(), Some("2"));
    assert!(!page(first, "3").await);
    assert!(!sync::finish(&client, first, Outcome::Succeeded, None).await.unwrap());
    assert!(page(taken_up.turn(), "4").await);
    assert!(sync::finish(&client, taken_up.turn(), Outcome::Succeeded, None).await.unwrap());
    assert_eq!(sync::resume(&client, first.run).await.unwrap(), None, "it has ended");
    let run = sync::list(&client, None, 10).await.unwrap().pop().unwrap();
    assert_eq!((run.cursor.as_deref(), run.pages), (Some("4"), 2));
}
