//! Who used the processors, which is what tells the bottleneck.

use testkit::Service;
use testkit::usage::cpu_seconds;

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
        Self {
            notifier: cpu_seconds(service.id()),
            postgres: world.cluster.processes().into_iter().map(cpu_seconds).sum(),
            redis: cpu_seconds(world.redis.id().unwrap()),
            provider: cpu_seconds(std::process::id()),
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
