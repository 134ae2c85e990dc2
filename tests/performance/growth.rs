//! What an operation costs while what is there grows: `make growth`.
//!
//! Jobs that wait (1 k to 1 M), clicks in Postgres (10 k to 10 M), entries of the ledger (1 k to 1 M), offers (100 to
//! 100 k). Each operation is timed at each size by the code that ships: the queue's worker and producer, the statements of
//! `store`, the redirector's binary. Nothing may grow faster than the logarithm of what is there.
//!
//! `GROWTH_ONLY`: one of `jobs`, `clicks`, `entries`, `offers`. `GROWTH_MOST`: the largest size of all (10,000,000).

mod clicks;
mod entries;
mod jobs;
mod offers;

use std::time::{Duration, Instant};

use serde_json::json;
use store::Pool;
use testkit::Cluster;

use crate::plot::{Axis, Line, Panel, draw};
use crate::record;

/// Times vary from run to run by so much; beyond it an operation grows faster than the logarithm.
const LEEWAY: f64 = 1.5;

/// An operation's cost by size.
pub(crate) struct Curve {
    what: &'static str,
    unit: &'static str,
    points: Vec<(f64, f64)>,
}

/// Measures; says whether nothing grows faster than the logarithm.
pub(crate) async fn run() -> bool {
    let mut reader = config::Reader::new(&config::Environment);
    let only = reader.optional("GROWTH_ONLY", "jobs, clicks, entries or offers").unwrap_or_default();
    let most: usize = reader.default("GROWTH_MOST", 10_000_000, "the largest size of all");
    reader.finish(()).unwrap();
    let is_asked = |name: &str| only.is_empty() || only == name;
    let upto = |sizes: [usize; 4]| sizes.into_iter().filter(|size| *size <= most).collect::<Vec<_>>();
    let thousands = upto([1_000, 10_000, 100_000, 1_000_000]);
    let mut holds = true;
    if is_asked("jobs") {
        holds &= tell("jobs", "jobs that wait", &jobs::measure(&thousands).await);
    }
    if is_asked("entries") {
        holds &= tell("entries", "entries of the ledger", &entries::measure(&thousands).await);
    }
    if is_asked("offers") {
        holds &= tell("offers", "offers", &offers::measure(&upto([100, 1_000, 10_000, 100_000])).await);
    }
    if is_asked("clicks") {
        let sizes = upto([10_000, 100_000, 1_000_000, 10_000_000]);
        holds &= tell("clicks", "clicks in Postgres", &clicks::measure(&sizes).await);
    }
    holds
}

/// Prints the table, writes JSON and plot; says whether nothing grows faster than the logarithm.
fn tell(name: &str, of_what: &str, curves: &[Curve]) -> bool {
    println!("\n{of_what}:");
    let sizes: Vec<_> = curves[0].points.iter().map(|(size, _)| format!("{size:.0}")).collect();
    println!("| operation | {} | grew by | log n by | |", sizes.join(" | "));
    println!("|---|{}---:|---:|---|", "---:|".repeat(curves[0].points.len()));
    let mut holds = true;
    for curve in curves {
        let costs: Vec<_> = curve.points.iter().map(|(_, cost)| format!("{cost:.3}")).collect();
        let costs = costs.join(" | ");
        let (grew, allowed) = (curve.grew(), curve.logarithm());
        let is_slow = grew <= LEEWAY * allowed;
        holds &= is_slow;
        let verdict = if is_slow { "holds" } else { "GROWS FASTER" };
        println!("| {}, {} | {costs} | {grew:.2} | {allowed:.2} | {verdict} |", curve.what, curve.unit);
    }
    let figures =
        curves.iter().map(|curve| json!({"operation": curve.what, "unit": curve.unit, "points": curve.points}));
    record::write(
        &format!("growth-{name}.json"),
        json!({"of": of_what, "leeway": LEEWAY, "operations": figures.collect::<Vec<_>>()}),
    );
    let panels: Vec<_> = curves.iter().map(|curve| curve.panel(of_what)).collect();
    draw(&record::file(&format!("growth-{name}.svg")), &panels);
    holds
}

impl Curve {
    fn new(what: &'static str, unit: &'static str) -> Self {
        Self { what, unit, points: Vec::new() }
    }

    fn add(&mut self, size: usize, cost: f64) {
        println!("  {size} there: {} {cost:.3} {}", self.what, self.unit);
        self.points.push((f64::from(u32::try_from(size).unwrap()), cost));
    }

    fn ends(&self) -> ((f64, f64), (f64, f64)) {
        (self.points[0], self.points[self.points.len() - 1])
    }

    fn grew(&self) -> f64 {
        let ((_, first), (_, last)) = self.ends();
        last / first
    }

    fn logarithm(&self) -> f64 {
        let ((smallest, _), (largest, _)) = self.ends();
        largest.ln() / smallest.ln()
    }

    /// Beside the line that the logarithm would take from the smallest size.
    fn panel<'a>(&'a self, of_what: &'a str) -> Panel<'a> {
        let (smallest, first) = self.points[0];
        let logarithm = self.points.iter().map(|(size, _)| (*size, first * size.ln() / smallest.ln())).collect();
        let measured = Line { name: format!("{}, {}", self.what, self.unit), points: self.points.clone() };
        let allowed = Line { name: "log n".to_owned(), points: logarithm };
        Panel { title: self.what, x: of_what, axis: Axis::Powers, lines: vec![measured, allowed] }
    }
}

/// A quarter of the memory is what Postgres' manual advises. With less, the largest sizes lie beyond the buffers and the smallest in
/// them, and what shows is how this machine copies pages.
fn buffers() -> String {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total: u64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    format!("shared_buffers={}kB", total / 4)
}

/// A Postgres that syncs its commits, with our tables. It is tidied up when the bench says so, and not in between.
async fn postgres() -> (Cluster, Pool) {
    let cluster = Cluster::start(&[&buffers(), "max_wal_size=8GB", "autovacuum=off"]);
    let pool = testkit::pool(&cluster.url("postgres"));
    store::migrate::run(&pool).await.unwrap();
    (cluster, pool)
}

/// The median of so many rounds, in milliseconds.
async fn median_ms(rounds: usize, mut round: impl AsyncFnMut(usize)) -> f64 {
    let mut times: Vec<Duration> = Vec::with_capacity(rounds);
    for number in 0..rounds {
        let begin = Instant::now();
        round(number).await;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    times[rounds / 2].as_secs_f64() * 1e3
}
