//! Promises a second that one relay passes on, with a Postgres that syncs to disk and a Redis on this machine.
//!
//! `cargo bench --workspace --profile ci --bench relay`

use std::time::{Duration, Instant};

use domain::jobs::Language;
use domain::jobs::email::{EmailMessage, SendEmail};
use domain::money::Paise;
use outbox::Relay;
use queue::Producer;
use store::outbox::{Lane, Promise, lag, push_many};
use store::{Client, migrate};
use testkit::{Cluster, Redis, eventually_true, kv, pool};
use tokio_util::sync::CancellationToken;

/// As many as a large pull promises,
const PROMISES: usize = 50_000;
/// as many at a time as one of its pages.
const PAGE: usize = 500;
const LIMIT: Duration = Duration::from_mins(2);
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it can be built.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let (cluster, redis) = (Cluster::start(&["shared_buffers=256MB"]), Redis::start());
    let pool = pool(&cluster.url("postgres"));
    migrate::run(&pool).await.unwrap();
    for _ in 0..ROUNDS {
        promise(&pool.get().await.unwrap()).await;
        let shutdown = CancellationToken::new();
        let begin = Instant::now();
        let relay = Relay::new(pool.clone(), Producer::new(kv(&redis.url()))).run(shutdown.clone());
        let watch = async {
            let client = pool.get().await.unwrap();
            eventually_true("all are passed on", LIMIT, async || lag(&client).await.unwrap().0 == 0).await;
            let rate = f64::from(u32::try_from(PROMISES).unwrap()) / begin.elapsed().as_secs_f64();
            println!("promises passed on by one relay {rate:>10.0} /s");
            shutdown.cancel();
        };
        tokio::join!(relay, watch);
    }
}

async fn promise(client: &Client) {
    for page in 0..PROMISES / PAGE {
        let promises: Vec<_> = (0..PAGE).map(|number| Promise::of(&mail(page * PAGE + number), Lane::Normal)).collect();
        push_many(client, &promises.into_iter().collect::<Result<Vec<_>, _>>().unwrap()).await.unwrap();
    }
}

fn mail(number: usize) -> SendEmail {
    SendEmail {
        event_key: format!("bench:{number}").parse().unwrap(),
        to: format!("shopper{number}@example.in").parse().unwrap(),
        name: Some("Asha Rao".to_owned()),
        user_id: None,
        lang: Language::En,
        message: EmailMessage::CashbackCredited {
            merchant: "Kirana Express".to_owned(),
            amount: Paise::new(12_000),
            balance: Paise::new(12_345_650),
        },
    }
}
