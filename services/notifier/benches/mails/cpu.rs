//! Who used the processors, which is what tells the bottleneck.

use std::fs;

use testkit::Service;

use crate::world::World;

/// Seconds of processor time so far, by process.
pub(crate) struct Used {
    notifier: f64,
    postgres: f64,
    redis: f64,
    provider: f64,
}

impl Used {
    pub(crate) fn of(world: &World, service: &Service) -> Self {
        let postmaster = fs::read_dir(&world.folder)
            .unwrap()
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find_map(|path| fs::read_to_string(path.join("postmaster.pid")).ok())
            .or_else(|| fs::read_to_string(format!("{}/postmaster.pid", world.folder)).ok())
            .and_then(|text| text.lines().next()?.trim().parse().ok())
            .expect("the number of Postgres' process");
        Self {
            notifier: seconds(service.id()),
            postgres: children(postmaster).into_iter().chain([postmaster]).map(seconds).sum(),
            redis: seconds(world.redis.id().unwrap()),
            provider: seconds(std::process::id()),
        }
    }

    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            notifier: self.notifier - before.notifier,
            postgres: self.postgres - before.postgres,
            redis: self.redis - before.redis,
            provider: self.provider - before.provider,
        }
    }

    /// By mail, and as a share of the machine; the largest share is the bottleneck where the machine is full.
    pub(crate) fn print(&self, mails: usize, seconds: f64) {
        let cores = f64::from(u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap());
        let mails = f64::from(u32::try_from(mails).unwrap());
        let all = self.notifier + self.postgres + self.redis + self.provider;
        let us = |used: f64| 1e6 * used / mails;
        println!(
            "  processor time a mail: notifier {:.0} us, Postgres {:.0}, Redis {:.0}, bench and provider {:.0}; \
             machine {:.0} % full",
            us(self.notifier),
            us(self.postgres),
            us(self.redis),
            us(self.provider),
            100.0 * all / (seconds * cores)
        );
    }
}

/// The kernel keeps it for each thread, in nanoseconds; what threads used that have ended is not counted.
fn seconds(process: u32) -> f64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return 0.0 };
    threads
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<f64>().ok()
        })
        .sum::<f64>()
        / 1e9
}

fn children(parent: u32) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        fields.split_whitespace().nth(1).and_then(|text| text.parse().ok()) == Some(parent)
    })
    .collect()
}
