//! Whether something is flat: the line that fits the second half best may rise by so much and no more.

use crate::soak::sample::Samples;

/// What the second half may rise by: the larger of a share of its mean and a number.
struct Bound {
    share: f64,
    least: f64,
}

const MEMORY: Bound = Bound { share: 0.03, least: 1.0 };
const COUNT: Bound = Bound { share: 0.02, least: 2.0 };

/// Prints a line for each measure; says whether all are flat.
pub(crate) fn tell(samples: &Samples) -> bool {
    println!("| measure | at the start | at half | at the end | rise over the second half | allowed | |");
    println!("|---|---:|---:|---:|---:|---:|---|");
    let mut holds = true;
    let mut line = |name: &str, values: &[f64], bound: Bound| {
        let half = values.len() / 2;
        let (minutes, late) = (&samples.minutes[half..], &values[half..]);
        let mean = late.iter().sum::<f64>() / f64::from(u32::try_from(late.len()).unwrap());
        let rise = slope(minutes, late) * (minutes[minutes.len() - 1] - minutes[0]);
        let allowed = bound.least.max(bound.share * mean);
        let is_flat = rise <= allowed;
        holds &= is_flat;
        println!(
            "| {name} | {:.1} | {:.1} | {:.1} | {rise:+.2} | {allowed:.2} | {} |",
            values[0],
            values[half],
            values[values.len() - 1],
            if is_flat { "flat" } else { "RISES" }
        );
    };
    for (name, values) in &samples.resident_mib {
        line(&format!("memory of {name}, MiB"), values, MEMORY);
    }
    for (name, values) in &samples.open_files {
        line(&format!("open files of {name}"), values, COUNT);
    }
    line("connections to Postgres", &samples.connections, COUNT);
    line("keys in Redis that stay", &samples.keys_that_stay, COUNT);
    line("memory of Redis' data, MiB", &samples.redis_mib, MEMORY);
    let ending = &samples.keys_that_end;
    println!(
        "keys in Redis that end by themselves within a day: {:.0}, then {:.0}",
        ending[0],
        ending[ending.len() - 1]
    );
    holds
}

/// Of the line that fits best, by least squares.
fn slope(xs: &[f64], ys: &[f64]) -> f64 {
    let count = f64::from(u32::try_from(xs.len()).unwrap());
    let (x, y) = (xs.iter().sum::<f64>() / count, ys.iter().sum::<f64>() / count);
    let pairs = || xs.iter().zip(ys);
    let spread: f64 = pairs().map(|(one, _)| (one - x).powi(2)).sum();
    pairs().map(|(one, other)| (one - x) * (other - y)).sum::<f64>() / spread
}
