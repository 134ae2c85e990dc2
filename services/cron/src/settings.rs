//! The settings of the scheduler and of its jobs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::TimeDelta;
use chrono_tz::Tz;
use config::{List, Reader};
use domain::contact::EmailAddress;
use domain::network::Network;

use crate::depot::{Place, S3};
use crate::feed::Source;
use crate::jobs::{self, clean_logs, clean_spool, sitemap};

/// The settings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) store: store::Settings,
    pub(crate) kv: kv::Settings,
    /// How long a run is held without a sign of life. Renewed four times in that time; fail-over is within it and a tick.
    pub(crate) lease: TimeDelta,
    /// The wall clock by which the shop lives.
    pub(crate) zone: Tz,
    /// Schedules that differ from the built-in ones, by job name.
    pub(crate) schedules: BTreeMap<String, String>,
    /// Networks that are pulled.
    pub(crate) networks: Vec<Network>,
    /// Who is told of troubles.
    pub(crate) alert_emails: Vec<EmailAddress>,
    /// What is a trouble.
    pub(crate) watch: Watch,
    /// Files with certificates whose end is shown.
    pub(crate) certificates: Vec<String>,
    /// How to reach buckets.
    pub(crate) s3: S3,
    /// How feeds are asked.
    pub(crate) outbound: outbound::Settings,
    /// Who tells stocks.
    pub(crate) inventory: Vec<Source>,
    /// Where redirectors spool clicks, if that can be seen from here.
    pub(crate) spool: Option<PathBuf>,
    /// Where old webhooks are archived.
    pub(crate) log_archive: Option<Place>,
    /// Sitemaps, if there are to be any.
    pub(crate) sitemap: Option<sitemap::Settings>,
}

impl Settings {
    /// Reads them. Shared, since every run looks at them.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Arc<Self> {
        let schedules = reader.family(
            "CRON_SCHEDULE_",
            "another schedule for a job, such as CRON_SCHEDULE_EXPIRE_OFFERS='0 3 * * *'; never, to leave it out",
        );
        let lease = lease(reader);
        let alert_emails = store::alerts::recipients(reader);
        let settings = Self {
            store: store::Settings::read(reader),
            kv: kv::Settings::read(reader),
            lease,
            zone: reader.default("SHOP_TIME_ZONE", Tz::Asia__Kolkata, "the wall clock by which schedules are read"),
            schedules: schedules.into_iter().map(|(name, text)| (name.to_lowercase(), text)).collect(),
            networks: reader
                .default("SYNC_NETWORKS", List(Network::ALL.to_vec()), "networks that are pulled, with commas")
                .0,
            alert_emails,
            watch: Watch::read(reader),
            certificates: reader
                .default(
                    "WATCHED_CERTIFICATES",
                    List(Vec::new()),
                    "files with certificates in PEM whose end is shown in metrics, with commas",
                )
                .0,
            s3: S3::read(reader),
            outbound: outbound::Settings::read(reader),
            inventory: Source::read_all(reader),
            spool: clean_spool::read(reader),
            log_archive: clean_logs::read(reader),
            sitemap: sitemap::Settings::read(reader),
        };
        if let Err(problems) = jobs::entries(&settings.schedules, settings.zone) {
            problems.into_iter().for_each(|problem| reader.problem(problem));
        }
        Arc::new(settings)
    }
}

/// For how long a run is held.
fn lease(reader: &mut Reader<'_>) -> TimeDelta {
    let seconds = reader.default(
        "CRON_LEASE_SECONDS",
        8,
        "after how many seconds without a sign of life another replica takes a run over (1 to 60)",
    );
    if !(1..=60).contains(&seconds) {
        reader.problem(format!("CRON_LEASE_SECONDS: {seconds} is not from 1 to 60"));
    }
    TimeDelta::seconds(seconds.clamp(1, 60))
}

/// From when on something is a trouble.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    /// After how many seconds without a worker a service counts as gone.
    pub(crate) service_gone_s: i64,
    /// Services that must be there.
    pub(crate) expected_services: Vec<String>,
    /// How many hours old what is known of a network may be.
    pub(crate) sync_late_hours: i64,
    /// How many more dead letters of one queue within an hour are a trouble.
    pub(crate) dead_letters_an_hour: u64,
    /// How many dead letters of one queue are a trouble.
    pub(crate) dead_letters_limit: u64,
    /// How many seconds the first job of a queue may wait.
    pub(crate) queue_age_limit_s: i64,
}

impl Watch {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            service_gone_s: reader.default(
                "SERVICE_GONE_SECONDS",
                300,
                "after how many seconds without a worker a service counts as gone",
            ),
            expected_services: reader
                .default(
                    "EXPECTED_SERVICES",
                    List(["redirector", "webhooks", "notifier", "cashback-sync", "admin"].map(str::to_owned).to_vec()),
                    "services of which at least one process must be alive, with commas",
                )
                .0,
            sync_late_hours: reader.default(
                "SYNC_LATE_HOURS",
                30,
                "how many hours old what is known of a network may be before ALERT_EMAILS is told",
            ),
            dead_letters_an_hour: reader.default(
                "DEAD_LETTERS_AN_HOUR",
                20,
                "how many more dead letters of one queue within an hour are told to ALERT_EMAILS",
            ),
            dead_letters_limit: reader.default(
                "DEAD_LETTERS_LIMIT",
                100,
                "how many dead letters of one queue are told to ALERT_EMAILS",
            ),
            queue_age_limit_s: reader.default(
                "QUEUE_AGE_LIMIT_SECONDS",
                600,
                "how many seconds the first job of a queue may wait before ALERT_EMAILS is told",
            ),
        }
    }
}
