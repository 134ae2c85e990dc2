//! Mails a second of one notifier, with a Postgres that syncs to disk, a Redis and a provider on loopback that answers at
//! once or after 50 ms; how long a mail takes to render; and how soon a code goes out while thousands of mails wait.
//!
//! `cargo build --workspace --bins --profile ci && cargo bench --workspace --profile ci --bench mails`
//!
//! Everything runs on this machine, so the figures say what machine and mails share. `BENCH_MAILS`: mails of the first
//! drain (40,000).

mod cpu;
mod provider;
mod world;

use std::time::{Duration, Instant};

use domain::jobs::Language;
use domain::jobs::email::{EmailMessage, SendEmail};
use domain::money::Paise;
use domain::redacted::Redacted;
use queue::{Enqueue, Producer};

use crate::cpu::Used;
use crate::provider::Provider;
use crate::world::World;

/// What a seed of this product asked for, and what is asked here.
const WANTED_PER_SECOND: f64 = 4_000.0;
const WANTED_SHARE: f64 = 0.9;
const WANTED_RENDERING_US: f64 = 100.0;
const WANTED_START_MS: f64 = 500.0;

const WAITING: usize = 10_000;
const CODES: usize = 200;

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it can be built.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut reader = config::Reader::new(&config::Environment);
    let mails: usize = reader.default("BENCH_MAILS", 40_000, "mails of the first drain");
    reader.finish(()).unwrap();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{} cores, load before {}", std::thread::available_parallelism().unwrap(), load.trim());

    let rate = drain(mails, 256, Duration::ZERO).await;
    println!("  {}", verdict(rate >= WANTED_PER_SECOND, &format!("at least {WANTED_PER_SECOND:.0} mails/s")));
    let (at_once, answer) = (64, Duration::from_millis(50));
    let rate = drain(10_000, at_once, answer).await;
    let allowed = f64::from(at_once) / answer.as_secs_f64();
    let share = rate / allowed;
    println!(
        "  {:.0} % of the {allowed:.0} mails/s that {at_once} at a time allow: {}",
        100.0 * share,
        verdict(share >= WANTED_SHARE, "at least 90 %")
    );
    codes(at_once, answer).await;
}

fn verdict(holds: bool, what: &str) -> String {
    format!("{what}: {}", if holds { "yes" } else { "NO" })
}

fn credited(number: usize) -> SendEmail {
    SendEmail {
        event_key: format!("bench:{number}").parse().unwrap(),
        to: format!("shopper{number}@example.in").parse().unwrap(),
        name: Some("Asha Rao".to_owned()),
        user_id: None,
        lang: if number.is_multiple_of(4) { Language::Hi } else { Language::En },
        message: EmailMessage::CashbackCredited {
            merchant: format!("Shop {}", number % 50),
            amount: Paise::new(12_000 + i64::try_from(number).unwrap()),
            balance: Paise::new(12_345_650),
        },
    }
}

/// Mails a second, from the first that the provider saw to the last one written down.
async fn drain(mails: usize, at_once: u32, answer: Duration) -> f64 {
    let provider = Provider::start(answer);
    let world = World::start(&provider, at_once).await;
    for part in (0..mails).collect::<Vec<_>>().chunks(5_000) {
        let jobs: Vec<_> = part.iter().map(|number| credited(*number)).collect();
        Producer::new(world.kv.clone()).enqueue_many(&jobs).await.unwrap();
    }
    let service = world.service().await;
    let before = Used::of(&world, &service);
    let begin = Instant::now();
    provider.seen(1).await;
    let first = begin.elapsed();
    world.all_sent(mails).await;
    let seconds = begin.elapsed().saturating_sub(first).as_secs_f64();
    let used = Used::of(&world, &service).since(&before);
    assert_eq!(provider.count(), mails, "each mail once");
    let rate = f64::from(u32::try_from(mails).unwrap()) / seconds;
    println!("{mails} mails, {at_once} at a time, provider answers in {} ms: {rate:.0} mails/s", answer.as_millis());
    used.print(mails, seconds);
    let rendering = world::rendering_us(&service).await;
    println!("  rendering {rendering:.0} us a mail: {}", verdict(rendering <= WANTED_RENDERING_US, "at most 100"));
    rate
}

/// How soon codes reach the provider while mails wait.
async fn codes(at_once: u32, answer: Duration) {
    let provider = Provider::start(answer);
    let world = World::start(&provider, at_once).await;
    let producer = Producer::new(world.kv.clone());
    let jobs: Vec<_> = (0..WAITING).map(credited).collect();
    producer.enqueue_many(&jobs).await.unwrap();
    let _service = world.service().await;
    provider.seen(500).await;
    let mut starts = Vec::new();
    let waiting = WAITING - provider.count();
    for number in 0..CODES {
        let to = format!("code{number}@example.in");
        let code = SendEmail {
            event_key: format!("code:{number}").parse().unwrap(),
            to: to.parse().unwrap(),
            message: EmailMessage::Otp { code: Redacted::new("482913".to_owned()), valid_minutes: 10 },
            ..credited(number)
        };
        let asked = Instant::now();
        producer.enqueue(Enqueue::new(&code).urgent()).await.unwrap();
        starts.push((to, asked));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let still = WAITING.saturating_sub(provider.count());
    let mut waits = Vec::new();
    for (to, asked) in starts {
        let came = provider.came(&to).await;
        waits.push(came.saturating_duration_since(asked).as_secs_f64() * 1e3);
    }
    waits.sort_by(f64::total_cmp);
    let at = |percent: usize| waits[(waits.len() * percent / 100).min(waits.len() - 1)];
    println!(
        "{CODES} codes among {waiting} waiting mails ({still} still waited after the last), {at_once} at a time, 50 ms each:"
    );
    println!(
        "  from push to the provider: p50 {:.0} ms, p99 {:.0} ms, longest {:.0} ms; {}",
        at(50),
        at(99),
        at(100),
        verdict(at(99) <= WANTED_START_MS, "p99 at most 500 ms")
    );
}
