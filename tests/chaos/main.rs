//! The whole system under load while things around it and in it break, one after another: `make chaos`.
//!
//! Shoppers click and payments are reported all the time. Each fault lasts a while and ends; then everything that was accepted
//! (a click that was redirected, a webhook that was answered with 200) is looked for in Postgres and in the simulated
//! providers' inboxes. A line a fault: accepted, done, lost, doubled, and how long after the fault's end all was done.
//!
//! `CHAOS_SECONDS`: how long each fault lasts (8). `CHAOS_ONLY`: faults whose name contains this. `BINARIES`: the folder of
//! the services' binaries (beside this executable).

mod books;
mod clock;
mod disk;
mod sentinel;
mod servers;
mod single;

use std::path::Path;
use std::time::{Duration, Instant};

use e2e::{Orders, Pace, Place, Ports, System, Traffic};

use crate::books::Counts;
use crate::servers::Postgres;

const SERVICES: [&str; 5] = ["redirector", "webhooks", "notifier", "cashback-sync", "cron"];
/// Orders that wait for their payment.
const ORDERS: usize = 12_000;
const PACE: Pace =
    Pace { clickers: 6, click_rest: Duration::from_millis(25), payers: 2, payment_rest: Duration::from_millis(50) };

/// A system in surroundings that can be broken.
trait World: Sized {
    type Fault: Copy + 'static;

    /// What can break, in the order in which it does.
    const FAULTS: &'static [(Self::Fault, &'static str)];

    /// Whether this machine has what it needs.
    fn is_here() -> Result<(), String> {
        Ok(())
    }

    async fn open() -> Self;
    fn system(&self) -> &System;
    /// Begins the fault.
    async fn strike(&mut self, fault: Self::Fault, lasts: Duration);
    /// Ends it: from now on everything that was accepted must get done.
    async fn mend(&mut self, fault: Self::Fault);
    /// Puts back what the next fault needs, after everything was counted.
    async fn recover(&mut self);
}

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it can be built.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut reader = config::Reader::new(&config::Environment);
    let lasts = Duration::from_secs(reader.default("CHAOS_SECONDS", 8, "how long each fault lasts"));
    let only = reader.optional("CHAOS_ONLY", "faults whose name contains this").unwrap_or_default();
    reader.finish(()).unwrap();
    println!(
        "{} cores; each fault lasts {} s under load",
        std::thread::available_parallelism().unwrap(),
        lasts.as_secs()
    );
    println!("{}", Counts::header());
    let mut is_right = play_all::<single::Single>(&only, lasts).await;
    is_right &= play_all::<sentinel::Sentinel>(&only, lasts).await;
    is_right &= play_all::<clock::Clock>(&only, lasts).await;
    if !is_right {
        println!("something was lost or doubled");
        std::process::exit(1);
    }
}

/// Every fault of a world that is asked for; says whether nothing was lost or doubled.
async fn play_all<W: World>(only: &str, lasts: Duration) -> bool {
    let faults: Vec<_> = W::FAULTS.iter().filter(|(_, name)| name.contains(only)).collect();
    if faults.is_empty() {
        return true;
    }
    if let Err(missing) = W::is_here() {
        faults.iter().for_each(|(_, name)| println!("{name:42} left out: {missing}"));
        return true;
    }
    let mut world = W::open().await;
    let orders = Orders::open(world.system(), ORDERS).await;
    let mut is_right = true;
    for (fault, name) in faults {
        let counts = play(&mut world, &orders, *fault, lasts).await;
        println!("{}", counts.line(name));
        is_right &= counts.nothing_is_missing();
        world.recover().await;
    }
    is_right
}

/// Load before, during and after the fault; then the books.
async fn play<W: World>(world: &mut W, orders: &Orders, fault: W::Fault, lasts: Duration) -> Counts {
    let calm = Duration::from_secs(2);
    let traffic = Traffic::start(world.system(), orders, PACE);
    tokio::time::sleep(calm).await;
    let begin = Instant::now();
    world.strike(fault, lasts).await;
    tokio::time::sleep(lasts.saturating_sub(begin.elapsed())).await;
    world.mend(fault).await;
    let mended = Instant::now();
    tokio::time::sleep(calm).await;
    let sent = traffic.stop().await;
    Counts::settle(world.system(), sent, mended).await
}

/// Where the system runs, with limits out of the way.
fn place(postgres: &Postgres, redis_url: &str, folder: &Path, more: &[(&str, &str)]) -> Place {
    let settings = [
        ("REDIRECT_LIMIT", "1000000"),
        ("EMAIL_PER_HOUR", "0"),
        ("EMAIL_PER_DAY", "0"),
        ("SMS_PER_HOUR", "0"),
        ("SMS_PER_DAY", "0"),
        ("OUTBOUND_TIMEOUT_MS", "3000"),
    ];
    let settings = settings.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Place {
        database_url: postgres.url(),
        redis_url: redis_url.to_owned(),
        ports: Ports::From(28_400),
        folder: folder.to_owned(),
        people: Vec::new(),
        settings: settings.collect(),
    }
}
