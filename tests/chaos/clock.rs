//! Every service with a clock that can be set (libfaketime), while Postgres, Redis and the world keep the right time.

use std::path::PathBuf;
use std::time::Duration;

use e2e::System;
use tempfile::TempDir;
use testkit::Redis;

use crate::servers::Postgres;
use crate::{World, place};

/// Where Debian's package `faketime` puts it.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// Where the clock goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Ahead,
    Back,
}

pub(crate) struct Clock {
    system: System,
    _redis: Redis,
    _postgres: Postgres,
    folder: TempDir,
}

impl World for Clock {
    type Fault = Fault;

    const FAULTS: &'static [(Fault, &'static str)] =
        &[(Fault::Ahead, "services' clocks jump an hour ahead"), (Fault::Back, "services' clocks jump an hour back")];

    fn is_here() -> Result<(), String> {
        let is_there = std::path::Path::new(LIBRARY).exists();
        is_there.then_some(()).ok_or_else(|| format!("{LIBRARY} is not there (Debian: apt-get install faketime)"))
    }

    async fn open() -> Self {
        let (folder, redis, postgres) = (tempfile::tempdir().unwrap(), Redis::durable(), Postgres::start());
        let clock = file(&folder).display().to_string();
        std::fs::write(&clock, "+0").unwrap();
        let settings = [
            ("LD_PRELOAD", LIBRARY),
            ("FAKETIME_TIMESTAMP_FILE", &clock),
            // It is looked at each second; time that has passed is told apart from the time of day, as a kernel does.
            ("FAKETIME_CACHE_DURATION", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let system = System::start(place(&postgres, &redis.url(), folder.path(), &settings)).await;
        Self { system, _redis: redis, _postgres: postgres, folder }
    }

    fn system(&self) -> &System {
        &self.system
    }

    async fn strike(&mut self, fault: Fault, _lasts: Duration) {
        self.set(match fault {
            Fault::Ahead => "+1h",
            Fault::Back => "-1h",
        });
    }

    /// Only after the jump was seen: a click says another time than Postgres, which wrote it down.
    async fn mend(&mut self, _fault: Fault) {
        testkit::eventually_true("clicks of another time", Duration::from_secs(20), async || {
            let sql = "SELECT count(*) > 0 FROM affiliate_clicks WHERE recorded_at > now() - interval '10 seconds'
                       AND greatest(clicked_at - recorded_at, recorded_at - clicked_at) > interval '50 minutes'";
            self.system.client().await.query_one(sql, &[]).await.unwrap().get(0)
        })
        .await;
        self.set("+0");
    }

    async fn recover(&mut self) {}
}

impl Clock {
    fn set(&self, offset: &str) {
        std::fs::write(file(&self.folder), offset).unwrap();
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("clock")
}
